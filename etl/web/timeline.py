"""A call's history → the events that the page lists, oldest first (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from etl.reports.call_history_model import CallHistory, Change, ReceivedVersion
from etl.runtime.humanize import counted


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a call; ``fields`` are changed fields with their old and new values."""

    at: datetime
    text: str
    fields: tuple[tuple[str, str | None, str | None], ...] = ()


def timeline_events(history: CallHistory, limit: int = 200) -> list[Event]:
    """The last events: each version received, each set of changed fields, and when the call was last seen."""
    details = history.details
    if details is None:
        return []
    kinds = {run.run_id: run.kind for run in history.runs if run.kind}
    events = [Event(version.received_at, _received(version, kinds)) for version in history.versions]
    for at in dict.fromkeys(change.changed_at for change in history.changes):
        events.append(_changed(at, [change for change in history.changes if change.changed_at == at]))
    if all(event.at < details.last_seen_at for event in events):
        events.append(Event(details.last_seen_at, "seen again, unchanged"))
    return sorted(events, key=lambda event: event.at)[-limit:]


def _received(version: ReceivedVersion, kinds: dict[int, str]) -> str:
    kind = kinds.get(version.run_id or 0)
    by = f" by run {version.run_id}" + (f" ({kind})" if kind else "") if version.run_id else ""
    current = ", current version" if version.is_newest else ""
    what = "transcript" if version.kind == "transcript" else "record"
    return f"{what} received{by}: {version.size_bytes:,} bytes{current}"


def _changed(at: datetime, changes: Sequence[Change]) -> Event:
    fields = tuple((change.field, change.old_value, change.new_value) for change in changes)
    return Event(at, f"{counted(len(fields), 'field')} changed", fields)
