"""When each stretch of a list was last read again for late changes, and which is due."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from etl.db import tables
from etl.model import Source, Sweep

AHEAD = timedelta(minutes=2)  # so far the clocks of two machines may be apart


def due_sweep(connection: Connection, source: Source, phone: str, now: datetime) -> Sweep | None:
    """The widest sweep of a list whose last time is long enough ago; a wider one does the work of the narrower."""
    t = tables.sweeps
    rows = connection.execute(select(t).where(t.c.source == source.name, t.c.phone == phone)).all()
    last = {timedelta(seconds=float(row.horizon_seconds)): row.swept_at for row in rows}
    due = [s for s in source.sweeps if s.horizon not in last or not _is_fresh(now - last[s.horizon], s)]
    return max(due, key=lambda sweep: sweep.horizon, default=None)


def _is_fresh(ago: timedelta, sweep: Sweep) -> bool:
    """Whether a sweep was done not long ago; one that lies ahead was done before a clock was set back."""
    return -AHEAD <= ago < sweep.every


def swept(connection: Connection, source: Source, phone: str, back_to: timedelta, now: datetime) -> None:
    """Note that a list was read back that far: every sweep of that horizon or less is done."""
    of_list = {"source": source.name, "phone": phone, "swept_at": now}
    done = [s.horizon.total_seconds() for s in source.sweeps if s.horizon <= back_to]
    if done:
        new = insert(tables.sweeps).values([{**of_list, "horizon_seconds": horizon} for horizon in done])
        connection.execute(new.on_conflict_do_update(constraint="pk_sweeps", set_={"swept_at": now}))


def oldest_unfinished(connection: Connection, source: str, since: datetime) -> datetime | None:
    """``created_at`` of the oldest call since then that may still change by its own marks."""
    c = tables.calls.c
    found: datetime | None = connection.scalar(
        select(func.min(c.created_at)).where(c.source == source, c.is_final.is_not(True), c.created_at >= since)
    )
    return found
