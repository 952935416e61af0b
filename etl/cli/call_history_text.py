"""One call's life → what a person reads of it on a terminal, with nothing in it that a terminal would obey."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from etl.cli.terminal import ago
from etl.reports.call_history_model import CallDetails, CallHistory, Rejected, RunEffect
from etl.reports.next_read import NextRead

Line = tuple[str, str, str]  # a label, what is said, and its style
JOINERS = "\u200c\u200d"  # invisible, and part of how Indian scripts are written


def print_history(told: CallHistory) -> None:
    """Print a call's life."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(_clean(f"{told.source}:{told.provider_call_id}"), style="bold"))
    for label, said, style in _lines(told):
        console.print(Text.assemble((f"  {label:<13}", "dim"), (_clean(said), style)))


def _lines(told: CallHistory) -> Iterator[Line]:
    if told.held is None:
        yield "held", "no: it never became a row, as the quarantine says below", "red"
    else:
        yield from _facts(told.held)
        yield from _history(told.held)
    for place, run in enumerate(told.runs):
        yield "runs" if place == 0 else "", _run(run), ""
    for place, each in enumerate(told.rejected):
        yield "quarantine" if place == 0 else "", _reject(each), "" if each.resolved_at else "yellow"


def _facts(held: CallDetails) -> Iterator[Line]:
    yield "call", f"{held.direction}, {held.outcome}; read from {held.provider}", ""
    yield "call key", str(held.call_key), ""
    yield "created", _at(held.created_at), ""
    yield "ended", _at(held.ended_at) if held.ended_at else "no time is known", ""
    yield "first seen", _at(held.first_seen_at), ""
    yield "last seen", _at(held.last_seen_at), ""
    yield "last changed", _at(held.changed_at) if held.changes else "never since", ""
    yield "final", _final(held), ""
    if held.delisted_at:
        yield "missing", f"the provider lists it no more, since {_at(held.delisted_at)}", "red"
    turns = f", {held.transcript.turns} turns" if held.transcript.is_held else ""
    asked = f"; last asked for {_at(held.transcript.asked_at)}" if held.transcript.asked_at else ""
    yield "transcript", f"{held.transcript.said}{turns}{asked}", ""
    yield "cost", _cost(held), ""
    yield "read again", _next(held.next_reading), "" if held.next_reading.at else "dim"


def _final(held: CallDetails) -> str:
    if held.settled_at:
        return f"yes, and settled since {_at(held.settled_at)}"
    return f"yes; settled {_at(held.settles_at)}" if held.settles_at else "not yet"


def _next(reading: NextRead) -> str:
    if reading.at is None:
        return f"by nothing: {reading.said}"
    return f"{'about' if reading.is_scheduled else 'not before'} {_at(reading.at)}: {reading.said}"


def _cost(held: CallDetails) -> str:
    if held.cost.amount is None:
        return held.cost.said
    parts = [_amount(name, part) for name, part in held.cost.components.items()]
    whole = f"{held.cost.amount} {held.cost.unit or ''}".strip()
    return f"{whole} ({', '.join(parts)})" if parts else whole


def _amount(name: str, part: Mapping[str, object]) -> str:
    return f"{name} {part.get('amount')}"


def _history(held: CallDetails) -> Iterator[Line]:
    for place, (flag, meaning) in enumerate(held.flags.items()):
        yield "flags" if place == 0 else "", f"{flag}: {meaning}", "yellow"
    for place, version in enumerate(held.versions):
        said = f"{_stamp(version.received_at)}  {version.kind}, {version.size:,} bytes, answer {version.seq}"
        newest = ", the newest" if version.is_newest else ""
        yield "versions" if place == 0 else "", f"{said}, run {version.run_id}{newest}", ""
    for place, change in enumerate(held.changes):
        said = f"{_stamp(change.changed_at)}  {change.field}: {_value(change.old_value)} → {_value(change.new_value)}"
        yield "changes" if place == 0 else "", f"{said}, run {change.run_id}", ""


def _run(run: RunEffect) -> str:
    what = f"{run.kind} {run.status}, {_stamp(run.started_at)}" if run.started_at else "no longer in the books"
    did = [
        f"{count} {noun}{'s' if count != 1 else ''} {verb}"
        for count, noun, verb in (
            (run.received, "record", "received"),
            (run.changed, "field", "changed"),
            (run.quarantined, "record", "quarantined"),
        )
        if count
    ]
    return f"{run.run_id}  {what}: {', '.join(did + ['saw it last'] * run.saw_it_last)}"


def _reject(each: Rejected) -> str:
    seen = f"first seen {_stamp(each.first_seen_at)}, last {_stamp(each.last_seen_at)}"
    then = f"; resolved {_stamp(each.resolved_at)}" if each.resolved_at else "; it waits"
    return f"{each.quarantine_id}  {each.reason}; {seen}{then}; `etl quarantine show {each.quarantine_id}` shows it"


def _value(value: str | None) -> str:
    return "nothing" if value is None else value


def _at(at: datetime | None) -> str:
    return f"{_stamp(at)}, {ago(at)}" if at else "never"


def _stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _clean(text: str) -> str:
    return "".join(char if char.isprintable() or char in JOINERS else "\ufffd" for char in text)
