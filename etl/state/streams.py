"""What the books remember of each list: its order, what of it is held for certain, and where unfinished walks go on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select, text, update
from sqlalchemy.dialects.postgresql import insert

from etl.db import tables
from etl.intervals import merged
from etl.model import Window
from etl.paging import Order, Place


@dataclass(frozen=True, slots=True)
class UnfinishedWalk:
    """A walk through a window that was cut off, and where it goes on."""

    window: Window
    place: Place


@dataclass(frozen=True, slots=True)
class ListState:
    """What is known of one list of a source before it is read."""

    source: str
    phone: str
    order: Order = Order.UNKNOWN
    listed: int | None = None
    held: int | None = None
    read_whole_at: datetime | None = None
    completeness: str = "unknown"
    listed_from: datetime | None = None  # the oldest call that the provider still lists, where older ones are held
    page_size: int | None = None  # the largest that the provider accepts, where it refused a larger one
    coverage: tuple[Window, ...] = ()
    unfinished: tuple[UnfinishedWalk, ...] = ()  # newest first

    @property
    def watermark(self) -> datetime | None:
        """The newest instant that is held; everything above it is still to be read."""
        tops = [w.end for w in self.coverage] + [w.place.newest for w in self.unfinished if w.place.newest]
        return max(tops, default=None)


LIST = text("""
    SELECT l.list_order, l.listed, l.held, l.read_whole_at, l.completeness, l.listed_from, l.page_size,
           ARRAY(SELECT ARRAY[starts_at, ends_at] FROM ops.coverage
                  WHERE source = :source AND phone = :phone) AS coverage,
           ARRAY(SELECT ARRAY[starts_at, ends_at] FROM ops.walks
                  WHERE source = :source AND phone = :phone ORDER BY ends_at DESC, starts_at) AS walks,
           ARRAY(SELECT place FROM ops.walks
                  WHERE source = :source AND phone = :phone ORDER BY ends_at DESC, starts_at) AS places
      FROM (SELECT) AS nothing LEFT JOIN ops.lists l ON l.source = :source AND l.phone = :phone
""")


def load_list(connection: Connection, source: str, phone: str) -> ListState:
    """What the books hold of a list."""
    row = connection.execute(LIST, {"source": source, "phone": phone}).one()
    walks = zip(row.walks, row.places, strict=True)
    return ListState(
        source,
        phone,
        Order(row.list_order or Order.UNKNOWN),
        row.listed,
        row.held,
        row.read_whole_at,
        row.completeness or "unknown",
        row.listed_from,
        row.page_size,
        merged(Window(*ends) for ends in row.coverage),
        tuple(UnfinishedWalk(Window(*ends), _place(place)) for ends, place in walks),
    )


def save_place(connection: Connection, state: ListState, window: Window, place: Place, now: datetime) -> None:
    """Note where a walk through a window goes on, in the transaction of the data before it."""
    values = {"place": _as_json(place), "updated_at": now}
    connection.execute(
        insert(tables.walks)
        .values(source=state.source, phone=state.phone, starts_at=window.start, ends_at=window.end, **values)
        .on_conflict_do_update(constraint="pk_walks", set_=values)
    )


def finish_walk(connection: Connection, state: ListState, window: Window, held: Sequence[Window]) -> None:
    """Note that a walk is at its end, and what of its window is held for certain."""
    t = tables.walks
    connection.execute(
        delete(t).where(
            t.c.source == state.source,
            t.c.phone == state.phone,
            t.c.starts_at == window.start,
            t.c.ends_at == window.end,
        )
    )
    if held:
        _cover(connection, state, held)


def _cover(connection: Connection, state: ListState, held: Sequence[Window]) -> None:
    c = tables.coverage
    of_list = (c.c.source == state.source, c.c.phone == state.phone)
    rows = connection.execute(select(c.c.starts_at, c.c.ends_at).where(*of_list)).all()
    before = {Window(row.starts_at, row.ends_at) for row in rows}
    after = set(merged([*before, *held]))
    for gone in before - after:
        connection.execute(delete(c).where(*of_list, c.c.starts_at == gone.start))
    for new in after - before:
        connection.execute(
            insert(c)
            .values(source=state.source, phone=state.phone, starts_at=new.start, ends_at=new.end)
            .on_conflict_do_update(constraint="pk_coverage", set_={"ends_at": new.end})
        )


def save_list(connection: Connection, state: ListState, **values: Any) -> None:
    """Write what a walk found out about a list: any columns of ``ops.lists``."""
    connection.execute(
        insert(tables.lists)
        .values(
            source=state.source,
            phone=state.phone,
            **{"list_order": state.order.value, "completeness": "unknown", **values},
        )
        .on_conflict_do_update(constraint="pk_lists", set_=values or {"phone": state.phone})
    )


def raise_to_verified(connection: Connection, source: str) -> None:
    """Note that all days of a source were compared one by one; that does for lists whose whole count agrees."""
    t = tables.lists
    agrees = (t.c.source == source, t.c.completeness == "agrees")
    connection.execute(update(t).where(*agrees).values(completeness="verified", reason=None))


HELD = text("""
    WITH edges AS (
        SELECT created_at FROM warehouse.calls
         WHERE source = :source AND missing_since IS NULL
           AND (CAST(:phone AS text) = '' OR :phone IN (from_number, to_number))
           AND created_at >= :since AND created_at < :until
         UNION ALL
        SELECT created_at FROM warehouse.calls
         WHERE source = :source AND missing_since IS NULL
           AND (CAST(:phone AS text) = '' OR :phone IN (from_number, to_number))
           AND created_at >= :again AND created_at < :before
    )
    SELECT (SELECT count(*) FROM edges)
         + (SELECT coalesce(sum(calls - missing), 0) FROM warehouse.daily_lists
             WHERE source = :source AND phone = :phone AND day >= :first AND day < :last)
""")
EVER = datetime.max.replace(tzinfo=UTC)
SETTLED = text("""
    SELECT count(*) AS calls, count(*) FILTER (WHERE is_final IS NOT TRUE) AS unfinished FROM warehouse.calls
     WHERE source = :source AND missing_since IS NULL AND created_at >= :since
       AND (CAST(:phone AS text) = '' OR :phone IN (from_number, to_number))
""")


def held(connection: Connection, state: ListState, since: datetime, *, before: datetime = EVER) -> int:
    """How many calls of a list the warehouse holds of a span of time, those marked missing aside.

    Whole days, UTC, are counted already, and only the calls of the days that the span cuts are looked at.
    """
    first, last = _midnight(since), _midnight(before)
    first += timedelta(days=first < since)
    if first >= last or not _is_counted(connection, state):
        first = last = before
    edges = {"since": since, "until": first, "again": last, "before": before}
    values = {"source": state.source, "phone": state.phone, "first": first.date(), "last": last.date(), **edges}
    return int(connection.scalar(HELD, values) or 0)


def settled(connection: Connection, state: ListState, since: datetime) -> int | None:
    """How many calls of a list are held from then on; ``None`` where one of them may still change by its own marks."""
    row = connection.execute(SETTLED, {"source": state.source, "phone": state.phone, "since": since}).one()
    return None if row.unfinished else int(row.calls)


def _midnight(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _is_counted(connection: Connection, state: ListState) -> bool:
    """Whether a list's calls are counted as they come: those of a whole source, and of a number in the books."""
    t = tables.lists.c
    in_the_books = select(t.phone).where(t.source == state.source, t.phone == state.phone)
    return not state.phone or connection.scalar(in_the_books) is not None


def _as_json(place: Place) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        return value.isoformat() if isinstance(value, datetime) else value

    return {name: plain(getattr(place, name)) for name in Place.__slots__}


def _place(stored: dict[str, Any]) -> Place:
    def time(name: str) -> datetime | None:
        return datetime.fromisoformat(stored[name]) if stored[name] else None

    end = time("end")
    assert end is not None  # noqa: S101 - written by _as_json above
    return Place(
        stored["position"], stored["size"], end, Order(stored["order"]), time("newest"), time("oldest"), stored["total"]
    )


def coverage_of(connection: Connection, source: str) -> dict[str, Sequence[Window]]:
    """What is held for certain, by phone."""
    out: dict[str, list[Window]] = {}
    for row in connection.execute(select(tables.coverage).filter_by(source=source)):
        out.setdefault(row.phone, []).append(Window(row.starts_at, row.ends_at))
    return {phone: merged(windows) for phone, windows in out.items()}
