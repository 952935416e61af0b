"""When each lookback of a stream was last completed, and which is due."""

from datetime import datetime, timedelta

from sqlalchemy import Connection

from etl.db.statements import Statements, execute, fetch_all, fetch_value
from etl.model import Lookback, Source

SQL = Statements("streams")
MAX_CLOCK_SKEW = timedelta(minutes=2)


def due_lookback(connection: Connection, source: Source, partition: str, now: datetime) -> Lookback | None:
    """The widest lookback of a stream that is due: it includes the narrower ones."""
    completed_at = completed(connection, source.name, partition)
    due = [
        lookback
        for lookback in source.lookbacks
        if lookback.window not in completed_at or not _is_fresh(now - completed_at[lookback.window], lookback)
    ]
    return max(due, key=lambda lookback: lookback.window, default=None)


def completed(connection: Connection, source: str, partition: str) -> dict[timedelta, datetime]:
    """When each lookback of a stream was last completed, by its window."""
    rows = fetch_all(connection, SQL.lookbacks, {"source": source, "partition": partition})
    return {timedelta(seconds=float(row.window_seconds)): row.completed_at for row in rows}


def _is_fresh(age: timedelta, lookback: Lookback) -> bool:
    """Whether a lookback is not due yet; one from the future was completed before a clock was set back."""
    return -MAX_CLOCK_SKEW <= age < lookback.interval


def mark_done(connection: Connection, source: Source, partition: str, back_to: timedelta, now: datetime) -> None:
    """Store that a stream was read that far back: every lookback with this window or a narrower one is completed."""
    windows = [lookback.window.total_seconds() for lookback in source.lookbacks if lookback.window <= back_to]
    if windows:  # most heads are narrower than all
        values = {"source": source.name, "partition": partition, "windows": windows, "now": now}
        execute(connection, SQL.complete_lookbacks, values)


def oldest_open_call(connection: Connection, source: str, since: datetime) -> datetime | None:
    """When the oldest call since then was created that may still change by its status."""
    oldest: datetime | None = fetch_value(connection, SQL.oldest_open_call, {"source": source, "since": since})
    return oldest
