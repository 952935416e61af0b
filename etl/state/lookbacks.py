"""When each stretch of a list was last read again for late changes, and which is due."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from etl.db import tables
from etl.model import Lookback, Source

AHEAD = timedelta(minutes=2)  # so far the clocks of two machines may be apart


def due_lookback(connection: Connection, source: Source, partition: str, now: datetime) -> Lookback | None:
    """The widest sweep of a list whose last time is long enough ago; a wider one does the work of the narrower."""
    t = tables.lookbacks
    rows = connection.execute(select(t).where(t.c.source == source.name, t.c.partition == partition)).all()
    last = {timedelta(seconds=float(row.window_seconds)): row.completed_at for row in rows}
    due = [s for s in source.lookbacks if s.window not in last or not _is_fresh(now - last[s.window], s)]
    return max(due, key=lambda sweep: sweep.window, default=None)


def _is_fresh(ago: timedelta, sweep: Lookback) -> bool:
    """Whether a sweep was done not long ago; one that lies ahead was done before a clock was set back."""
    return -AHEAD <= ago < sweep.interval


def mark_done(connection: Connection, source: Source, partition: str, back_to: timedelta, now: datetime) -> None:
    """Note that a list was read back that far: every sweep of that horizon or less is done."""
    of_list = {"source": source.name, "partition": partition, "completed_at": now}
    done = [s.window.total_seconds() for s in source.lookbacks if s.window <= back_to]
    if done:
        new = insert(tables.lookbacks).values([{**of_list, "window_seconds": horizon} for horizon in done])
        connection.execute(new.on_conflict_do_update(constraint="pk_lookbacks", set_={"completed_at": now}))


def oldest_open_call(connection: Connection, source: str, since: datetime) -> datetime | None:
    """``created_at`` of the oldest call since then that may still change by its own marks."""
    c = tables.calls.c
    found: datetime | None = connection.scalar(
        select(func.min(c.created_at)).where(c.source == source, c.is_final.is_not(True), c.created_at >= since)
    )
    return found
