"""The state of each stream of a source: its order, what of it is complete, and where unfinished scans go on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from etl.db.engine import as_json
from etl.db.statements import Statements, execute, fetch_all, fetch_one, fetch_value
from etl.intervals import coalesce
from etl.model import Window
from etl.paging import ResumePoint, SortOrder

SQL = Statements("streams")
EVER = datetime.max.replace(tzinfo=UTC)
BEGINNING = datetime(2015, 1, 1, tzinfo=UTC)  # before any of the four providers


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An unfinished scan of a window, and where it goes on."""

    window: Window
    resume_point: ResumePoint


@dataclass(frozen=True, slots=True)
class StreamState:
    """What is known of a stream before it is read."""

    source: str
    partition: str
    sort_order: SortOrder = SortOrder.UNKNOWN
    remote_count: int | None = None
    local_count: int | None = None
    full_scan_at: datetime | None = None
    completeness: str = "unknown"
    remote_oldest_at: datetime | None = None  # the oldest call still listed, if older ones are stored
    surplus_count: int | None = None  # by how many calls the total exceeds what is listed
    page_size: int | None = None  # the largest that the provider accepts, if it refused a larger one
    coverage: tuple[Window, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()  # newest first
    is_filter_ignored: bool = False  # this run saw calls of other partitions in it; not stored

    @property
    def watermark(self) -> datetime | None:
        """The newest time up to which calls are stored; everything above it is still to be read."""
        ends = [window.end for window in self.coverage] + [
            checkpoint.resume_point.newest for checkpoint in self.checkpoints if checkpoint.resume_point.newest
        ]
        return max(ends, default=None)


def load_stream(connection: Connection, source: str, partition: str) -> StreamState:
    """The stored state of a stream."""
    row = fetch_one(connection, SQL.load_stream, {"source": source, "partition": partition})
    checkpoints = zip(row.checkpoints, row.resume_points, strict=True)
    coverage = coalesce(Window(*span) for span in row.coverage)
    unfinished = tuple(Checkpoint(Window(*span), _resume_point(stored)) for span, stored in checkpoints)
    known = (row.remote_count, row.local_count, row.full_scan_at, row.completeness or "unknown", row.remote_oldest_at)
    order = SortOrder(row.sort_order or SortOrder.UNKNOWN)
    return StreamState(source, partition, order, *known, row.surplus_count, row.page_size, coverage, unfinished)


def save_stream(connection: Connection, state: StreamState, **values: Any) -> None:
    """Store what a scan found out about a stream: any columns of ``ops.streams``."""
    new = {**_stream_key(state), "sort_order": state.sort_order.value, "completeness": "unknown", **values}
    execute(connection, SQL.save_stream, {"new": as_json(new), "changes": as_json(values)})


def save_checkpoint(
    connection: Connection, state: StreamState, window: Window, resume_point: ResumePoint, now: datetime
) -> None:
    """Store where the scan of a window goes on, in the transaction of the rows before it."""
    stored = {name: _plain(getattr(resume_point, name)) for name in ResumePoint.__slots__}
    execute(connection, SQL.save_checkpoint, {**_scan_key(state, window), "resume_point": as_json(stored), "now": now})


def finish_checkpoint(connection: Connection, state: StreamState, window: Window, covered: Sequence[Window]) -> None:
    """Remove the checkpoint of a finished scan, and store what of its window is complete."""
    execute(connection, SQL.delete_checkpoint, _scan_key(state, window))
    if covered:
        _cover(connection, state, covered)


def _cover(connection: Connection, state: StreamState, covered: Sequence[Window]) -> None:
    rows = fetch_all(connection, SQL.coverage, _stream_key(state))
    before = {Window(row.starts_at, row.ends_at) for row in rows}
    after = set(coalesce([*before, *covered]))
    if obsolete := [window.start for window in before - after]:
        execute(connection, SQL.delete_coverage, {**_stream_key(state), "starts": obsolete})
    if new := sorted(after - before, key=lambda window: window.start):
        spans = {"starts": [window.start for window in new], "ends": [window.end for window in new]}
        execute(connection, SQL.save_coverage, _stream_key(state) | spans)


def _stream_key(state: StreamState) -> dict[str, Any]:
    return {"source": state.source, "partition": state.partition}


def _scan_key(state: StreamState, window: Window) -> dict[str, Any]:
    return {**_stream_key(state), "start": window.start, "end": window.end}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _resume_point(stored: dict[str, Any]) -> ResumePoint:
    times = {name: datetime.fromisoformat(stored[name]) for name in ("end", "newest", "oldest") if stored[name]}
    return ResumePoint(**{**stored, **times, "order": SortOrder(stored["order"])})


def coverage_of(connection: Connection, source: str) -> dict[str, Sequence[Window]]:
    """The complete windows of a source, by partition."""
    windows: dict[str, list[Window]] = {}
    for row in fetch_all(connection, SQL.coverage, {"source": source, "partition": None}):
        windows.setdefault(row.partition, []).append(Window(row.starts_at, row.ends_at))
    return {partition: coalesce(spans) for partition, spans in windows.items()}


def reread_in(connection: Connection, source: str, was: ZoneInfo, zone: ZoneInfo) -> None:
    """Leave as complete only what is so whether times have an offset or are read in another zone from now on.

    Scans that were cut off begin again.
    """

    def move(at: datetime) -> datetime:
        return at.astimezone(was).replace(tzinfo=zone).astimezone(UTC)

    for partition, windows in coverage_of(connection, source).items():
        key = {"source": source, "partition": partition}
        execute(connection, SQL.delete_coverage, {**key, "starts": [window.start for window in windows]})
        both = [
            Window(start if start <= BEGINNING else max(start, move(start)), min(end, move(end)))
            for start, end in ((window.start, window.end) for window in windows)
        ]
        spans = {"starts": [each.start for each in both if each], "ends": [each.end for each in both if each]}
        execute(connection, SQL.save_coverage, key | spans)
    execute(connection, SQL.delete_checkpoints, {"source": source})


def promote_to_verified(connection: Connection, source: str) -> None:
    """Mark streams whose counts match as verified, once every day of the source was compared call by call."""
    execute(connection, SQL.promote_to_verified, {"source": source})


def count_stored(connection: Connection, state: StreamState, since: datetime, *, before: datetime = EVER) -> int:
    """The number of stored calls of a stream in a span of time, without delisted ones.

    Whole days, UTC, come from the rollup; only the calls of the days that the span cuts are read.
    """
    first, last = _midnight(since), _midnight(before)
    first += timedelta(days=first < since)
    if first >= last or not _has_rollup(connection, state):
        first = last = before
    edges = {"since": since, "until": first, "again": last, "before": before}
    days = {"first": first.date(), "last": last.date()}
    return int(fetch_value(connection, SQL.count_stored, _stream_key(state) | edges | days))


def count_if_all_final(connection: Connection, state: StreamState, since: datetime) -> int | None:
    """The number of stored calls of a stream since then; ``None`` if one of them may still change by its status."""
    row = fetch_one(connection, SQL.count_open, {**_stream_key(state), "since": since})
    return None if row.open_calls else int(row.calls)


def _midnight(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _has_rollup(connection: Connection, state: StreamState) -> bool:
    """Whether the rollup counts a stream's calls: a source's always, a partition's once it is stored."""
    return not state.partition or bool(fetch_value(connection, SQL.has_rollup, _stream_key(state)))
