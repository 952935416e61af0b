"""What the books remember of each list: its order, what of it is held for certain, and where unfinished walks go on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select, text, update
from sqlalchemy.dialects.postgresql import insert

from etl.db import tables
from etl.intervals import coalesce
from etl.model import Window
from etl.paging import ResumePoint, SortOrder


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A walk through a window that was cut off, and where it goes on."""

    window: Window
    resume_point: ResumePoint


@dataclass(frozen=True, slots=True)
class StreamState:
    """What is known of one list of a source before it is read."""

    source: str
    partition: str
    sort_order: SortOrder = SortOrder.UNKNOWN
    remote_count: int | None = None
    local_count: int | None = None
    full_scan_at: datetime | None = None
    completeness: str = "unknown"
    remote_oldest_at: datetime | None = None  # the oldest call that the provider still lists, where older ones are held
    page_size: int | None = None  # the largest that the provider accepts, where it refused a larger one
    coverage: tuple[Window, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()  # newest first
    is_filter_ignored: bool = False  # this run saw calls of other partitions in it; not stored

    @property
    def watermark(self) -> datetime | None:
        """The newest instant that is held; everything above it is still to be read."""
        tops = [w.end for w in self.coverage] + [
            w.resume_point.newest for w in self.checkpoints if w.resume_point.newest
        ]
        return max(tops, default=None)


LIST = text("""
    SELECT l.sort_order, l.remote_count, l.local_count, l.full_scan_at, l.completeness, l.remote_oldest_at, l.page_size,
           ARRAY(SELECT ARRAY[starts_at, ends_at] FROM ops.coverage
                  WHERE source = :source AND partition = :partition) AS coverage,
           ARRAY(SELECT ARRAY[starts_at, ends_at] FROM ops.checkpoints
                  WHERE source = :source AND partition = :partition ORDER BY ends_at DESC, starts_at) AS checkpoints,
           ARRAY(SELECT resume_point FROM ops.checkpoints
                  WHERE source = :source AND partition = :partition ORDER BY ends_at DESC, starts_at) AS resume_points
      FROM (SELECT) AS nothing LEFT JOIN ops.streams l ON l.source = :source AND l.partition = :partition
""")


def load_stream(connection: Connection, source: str, partition: str) -> StreamState:
    """What the books hold of a list."""
    row = connection.execute(LIST, {"source": source, "partition": partition}).one()
    walks = zip(row.checkpoints, row.resume_points, strict=True)
    return StreamState(
        source,
        partition,
        SortOrder(row.sort_order or SortOrder.UNKNOWN),
        row.remote_count,
        row.local_count,
        row.full_scan_at,
        row.completeness or "unknown",
        row.remote_oldest_at,
        row.page_size,
        coalesce(Window(*ends) for ends in row.coverage),
        tuple(Checkpoint(Window(*ends), _place(place)) for ends, place in walks),
    )


def save_checkpoint(
    connection: Connection, state: StreamState, window: Window, place: ResumePoint, now: datetime
) -> None:
    """Note where a walk through a window goes on, in the transaction of the data before it."""
    values = {"resume_point": _as_json(place), "updated_at": now}
    connection.execute(
        insert(tables.checkpoints)
        .values(source=state.source, partition=state.partition, starts_at=window.start, ends_at=window.end, **values)
        .on_conflict_do_update(constraint="pk_checkpoints", set_=values)
    )


def finish_checkpoint(connection: Connection, state: StreamState, window: Window, held: Sequence[Window]) -> None:
    """Note that a walk is at its end, and what of its window is held for certain."""
    t = tables.checkpoints
    connection.execute(
        delete(t).where(
            t.c.source == state.source,
            t.c.partition == state.partition,
            t.c.starts_at == window.start,
            t.c.ends_at == window.end,
        )
    )
    if held:
        _cover(connection, state, held)


def _cover(connection: Connection, state: StreamState, held: Sequence[Window]) -> None:
    c = tables.coverage
    of_list = (c.c.source == state.source, c.c.partition == state.partition)
    rows = connection.execute(select(c.c.starts_at, c.c.ends_at).where(*of_list)).all()
    before = {Window(row.starts_at, row.ends_at) for row in rows}
    after = set(coalesce([*before, *held]))
    for gone in before - after:
        connection.execute(delete(c).where(*of_list, c.c.starts_at == gone.start))
    for new in after - before:
        connection.execute(
            insert(c)
            .values(source=state.source, partition=state.partition, starts_at=new.start, ends_at=new.end)
            .on_conflict_do_update(constraint="pk_coverage", set_={"ends_at": new.end})
        )


def save_stream(connection: Connection, state: StreamState, **values: Any) -> None:
    """Write what a walk found out about a list: any columns of ``ops.streams``."""
    connection.execute(
        insert(tables.streams)
        .values(
            source=state.source,
            partition=state.partition,
            **{"sort_order": state.sort_order.value, "completeness": "unknown", **values},
        )
        .on_conflict_do_update(constraint="pk_streams", set_=values or {"partition": state.partition})
    )


def promote_to_verified(connection: Connection, source: str) -> None:
    """Note that all days of a source were compared one by one; that does for lists whose whole count agrees."""
    t = tables.streams
    agrees = (t.c.source == source, t.c.completeness == "count_match")
    connection.execute(update(t).where(*agrees).values(completeness="verified", reason=None))


HELD = text("""
    WITH edges AS (
        SELECT created_at FROM warehouse.calls
         WHERE source = :source AND delisted_at IS NULL
           AND (CAST(:partition AS text) = '' OR :partition IN (from_number, to_number))
           AND created_at >= :since AND created_at < :until
         UNION ALL
        SELECT created_at FROM warehouse.calls
         WHERE source = :source AND delisted_at IS NULL
           AND (CAST(:partition AS text) = '' OR :partition IN (from_number, to_number))
           AND created_at >= :again AND created_at < :before
    )
    SELECT (SELECT count(*) FROM edges)
         + (SELECT coalesce(sum(calls - delisted_count), 0) FROM warehouse.stream_rollup_daily
             WHERE source = :source AND partition = :partition AND day >= :first AND day < :last)
""")
EVER = datetime.max.replace(tzinfo=UTC)
SETTLED = text("""
    SELECT count(*) AS calls, count(*) FILTER (WHERE is_final IS NOT TRUE) AS unfinished FROM warehouse.calls
     WHERE source = :source AND delisted_at IS NULL AND created_at >= :since
       AND (CAST(:partition AS text) = '' OR :partition IN (from_number, to_number))
""")


def count_stored(connection: Connection, state: StreamState, since: datetime, *, before: datetime = EVER) -> int:
    """How many calls of a list the warehouse holds of a span of time, those marked missing aside.

    Whole days, UTC, are counted already, and only the calls of the days that the span cuts are looked at.
    """
    first, last = _midnight(since), _midnight(before)
    first += timedelta(days=first < since)
    if first >= last or not _is_counted(connection, state):
        first = last = before
    edges = {"since": since, "until": first, "again": last, "before": before}
    values = {"source": state.source, "partition": state.partition, "first": first.date(), "last": last.date(), **edges}
    return int(connection.scalar(HELD, values) or 0)


def count_if_all_final(connection: Connection, state: StreamState, since: datetime) -> int | None:
    """How many calls of a list are held from then on; ``None`` where one of them may still change by its own marks."""
    row = connection.execute(SETTLED, {"source": state.source, "partition": state.partition, "since": since}).one()
    return None if row.unfinished else int(row.calls)


def _midnight(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _is_counted(connection: Connection, state: StreamState) -> bool:
    """Whether a list's calls are counted as they come: those of a whole source, and of a number in the books."""
    t = tables.streams.c
    in_the_books = select(t.partition).where(t.source == state.source, t.partition == state.partition)
    return not state.partition or connection.scalar(in_the_books) is not None


def _as_json(place: ResumePoint) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        return value.isoformat() if isinstance(value, datetime) else value

    return {name: plain(getattr(place, name)) for name in ResumePoint.__slots__}


def _place(stored: dict[str, Any]) -> ResumePoint:
    def time(name: str) -> datetime | None:
        return datetime.fromisoformat(stored[name]) if stored[name] else None

    end = time("end")
    assert end is not None  # noqa: S101 - written by _as_json above
    return ResumePoint(
        stored["position"],
        stored["size"],
        end,
        SortOrder(stored["order"]),
        time("newest"),
        time("oldest"),
        stored["total"],
    )


def coverage_of(connection: Connection, source: str) -> dict[str, Sequence[Window]]:
    """What is held for certain, by partition."""
    out: dict[str, list[Window]] = {}
    for row in connection.execute(select(tables.coverage).filter_by(source=source)):
        out.setdefault(row.partition, []).append(Window(row.starts_at, row.ends_at))
    return {partition: coalesce(windows) for partition, windows in out.items()}
