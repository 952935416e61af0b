"""One call's history → text for a terminal; control characters of a provider's values are replaced."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from etl.cli.output import printable
from etl.cli.terminal import ago
from etl.reports.call_history_model import CallDetails, CallHistory, QuarantinedRecord, RunEffect
from etl.reports.next_read import NextRead
from etl.runtime.humanize import duration

Line = tuple[str, str, str]  # a label, its text, and a style


def print_history(history: CallHistory) -> None:
    """Print a call's history."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(printable(f"{history.source}:{history.provider_call_id}"), style="bold"))
    for label, text, style in _lines(history):
        console.print(Text.assemble((f"  {label:<13}", "dim"), (printable(text), style)))


def _lines(history: CallHistory) -> Iterator[Line]:
    if history.details is None or history.next_read is None:
        yield "stored", "no: its record could not be loaded, see quarantine below", "red"
    else:
        yield from _details(history.details, is_changed=bool(history.changes))
        yield "read next", _next_read(history.next_read), "" if history.next_read.at else "dim"
        yield from _labelled("flags", [f"{flag}: {text}" for flag, text in history.details.flags.items()], "yellow")
    yield from _labelled("versions", _versions(history))
    yield from _labelled("changes", _changes(history))
    yield from _labelled("runs", [_run(run) for run in history.runs])
    for index, record in enumerate(history.rejected):
        yield "" if index else "quarantine", _rejected(record), "" if record.resolved_at else "yellow"


def _labelled(label: str, texts: list[str], style: str = "") -> Iterator[Line]:
    for index, text in enumerate(texts):
        yield "" if index else label, text, style


def _details(call: CallDetails, *, is_changed: bool) -> Iterator[Line]:
    yield "call", f"{call.direction}, {call.outcome}; read from {call.provider}", ""
    yield "call key", str(call.call_key), ""
    yield "agent", call.agent_name or "unknown", ""
    yield "customer", call.customer or "unknown", ""
    yield "created", _at(call.created_at), ""
    yield "ended", _at(call.ended_at) if call.ended_at else "unknown", ""
    yield "duration", "unknown" if call.duration_seconds is None else duration(float(call.duration_seconds)), ""
    yield "summary", call.summary or "none", ""
    yield "first seen", _at(call.first_seen_at), ""
    yield "last seen", _at(call.last_seen_at), ""
    yield "last changed", _at(call.changed_at) if is_changed else "never", ""
    yield "final", f"yes; lookbacks end {_at(call.settles_at)}" if call.settles_at else "not yet", ""
    if call.delisted_at:
        yield "delisted", f"{_at(call.delisted_at)}: the provider no longer lists it", "red"
    turns = f", {call.transcript.turns} turns" if call.transcript.is_stored else ""
    asked = f"; last requested {_at(call.transcript.asked_at)}" if call.transcript.asked_at else ""
    yield "transcript", f"{call.transcript.message}{turns}{asked}", ""
    yield "cost", _cost(call), ""


def _next_read(read: NextRead) -> str:
    if read.at is None:
        return f"never: {read.message}"
    when = _at(read.at) if read.at > datetime.now(UTC) else "now"
    return f"{'about' if read.is_scheduled else 'not before'} {when}: {read.message}" if when != "now" else read.message


def _cost(call: CallDetails) -> str:
    if call.cost.amount is None:
        return call.cost.message
    parts = [_amount(name, part) for name, part in call.cost.components.items()]
    total = f"{call.cost.amount} {call.cost.unit or ''}".strip()
    return f"{total} ({', '.join(parts)})" if parts else total


def _amount(name: str, part: Mapping[str, object]) -> str:
    return f"{name} {part.get('amount')}"


def _versions(history: CallHistory) -> list[str]:
    return [
        f"{_stamp(version.received_at)}  {version.kind}, {version.size_bytes:,} bytes, payload {version.seq}, "
        f"run {version.run_id}{', the newest' if version.is_newest else ''}"
        for version in history.versions
    ]


def _changes(history: CallHistory) -> list[str]:
    return [
        f"{_stamp(change.changed_at)}  {change.field}: {_value(change.old_value)} → {_value(change.new_value)}, "
        f"run {change.run_id}"
        for change in history.changes
    ]


def _run(run: RunEffect) -> str:
    about = f"{run.kind} {run.status}, {_stamp(run.started_at)}" if run.started_at else "no longer stored"
    effects = [
        f"{count} {noun}{'s' if count != 1 else ''} {verb}"
        for count, noun, verb in (
            (run.versions_received, "record", "received"),
            (run.fields_changed, "field", "changed"),
            (run.records_quarantined, "record", "quarantined"),
        )
        if count
    ]
    return f"{run.run_id}  {about}: {', '.join(effects + ['saw it last'] * run.saw_it_last)}"


def _rejected(record: QuarantinedRecord) -> str:
    seen = f"first seen {_stamp(record.first_seen_at)}, last {_stamp(record.last_seen_at)}"
    state = f"resolved {_stamp(record.resolved_at)}" if record.resolved_at else "not resolved"
    command = f"`etl quarantine show {record.quarantine_id}` shows it"
    return f"{record.quarantine_id}  {record.reason}; {seen}; {state}; {command}"


def _value(value: str | None) -> str:
    return "null" if value is None else value


def _at(at: datetime | None) -> str:
    return f"{_stamp(at)}, {ago(at)}" if at else "never"


def _stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
