"""One call's life → what happened to it, oldest first, as a person tells it (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from etl.reports.call_history_model import CallHistory, Change, ReceivedVersion
from etl.runtime.humanize import counted


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened; ``fields`` are a changed field's name, its old value and its new one."""

    at: datetime
    said: str
    fields: tuple[tuple[str, str | None, str | None], ...] = ()


def timeline_events(life: CallHistory, most: int = 200) -> list[Event]:
    """What the books remember: each version as it came, each run that changed fields, and when it was last seen."""
    held = life.held
    if held is None:
        return []
    kinds = {run.run_id: run.kind for run in life.runs if run.kind}
    events = [Event(version.received_at, _received(version, kinds)) for version in held.versions]
    for at in dict.fromkeys(change.changed_at for change in held.changes):
        events.append(_changed(at, [change for change in held.changes if change.changed_at == at]))
    if all(event.at < held.last_seen_at for event in events):
        events.append(Event(held.last_seen_at, "seen again, as it is held"))
    return sorted(events, key=lambda event: event.at)[-most:]


def _received(version: ReceivedVersion, kinds: dict[int, str]) -> str:
    kind = kinds.get(version.run_id or 0)
    by = f" by run {version.run_id}" + (f", a {kind}" if kind else "") if version.run_id else ""
    what = "the transcript" if version.kind == "transcript" else "the record"
    return f"{what} came{by}: {version.size:,} bytes{', the version in force' if version.is_newest else ''}"


def _changed(at: datetime, changes: Sequence[Change]) -> Event:
    fields = tuple((change.field, change.old_value, change.new_value) for change in changes)
    return Event(at, f"{counted(len(fields), 'field')} changed", fields)
