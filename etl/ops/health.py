"""The daemon's heartbeat and the sync state → whether it is alive, and whether every source is read in time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from etl.db.engine import DatabaseProblem, describe
from etl.db.revisions import require_revision
from etl.db.statements import Statements, fetch_all
from etl.model import Source
from etl.runtime.humanize import counted
from etl.settings import schedule

MAX_HEARTBEAT_AGE_SECONDS = 90.0  # the daemon's main loop beats every fifteen seconds
MISSED_RUNS = 3
MOST_NAMED = 10
MIN_FRESHNESS = timedelta(minutes=15)
SQL = Statements("sources")


@dataclass(frozen=True, slots=True)
class Health:
    """Whether it is healthy, and what to report, one line each."""

    is_healthy: bool
    message: tuple[str, ...]


def alive(heartbeat_age_seconds: float) -> Health:
    """Whether the daemon's main loop runs."""
    if heartbeat_age_seconds > MAX_HEARTBEAT_AGE_SECONDS:
        return Health(False, (f"the last heartbeat of the daemon was {heartbeat_age_seconds:.0f} s ago: restart it",))
    return Health(True, ("alive",))


def ready(db: Engine, sources: Sequence[Source], now: datetime) -> Health:
    """Whether the database is reachable and at this version's revision, and no configured source is stale.

    A source that is paused, or whose last run failed, makes it degraded: ready, with its name.
    """
    try:
        require_revision(db)
        with db.connect() as connection:
            late = stale(sources, progress(connection, now), now)
            degraded = [row.source for row in fetch_all(connection, SQL.failing_sources, {"now": now})]
    except DatabaseProblem as problem:
        return Health(False, (str(problem),))
    except SQLAlchemyError as error:
        return Health(False, (describe(error),))
    if late:
        lines = [f"{name}: last read {at:%Y-%m-%d %H:%M} UTC" for name, at in late]
        more = [f"and {counted(len(late) - MOST_NAMED, 'source')} more"] if len(late) > MOST_NAMED else []
        return Health(False, (*lines[:MOST_NAMED], *more))
    names = {source.name for source in sources}
    troubled = [name for name in degraded if name in names]
    others = f" and {len(troubled) - MOST_NAMED:,} more" if len(troubled) > MOST_NAMED else ""
    who = ", ".join(troubled[:MOST_NAMED]) + others
    return Health(True, (f"ready, degraded: {who} paused or failing" if troubled else "ready",))


def stale(sources: Sequence[Source], last: Mapping[str, datetime], now: datetime) -> list[tuple[str, datetime]]:
    """The sources that were not read in time, and when each last made progress."""
    known = [(source, last[source.name]) for source in sources if source.name in last]
    return [(source.name, at) for source, at in known if now > freshness_deadline(source, at)]


def freshness_deadline(source: Source, at: datetime) -> datetime:
    """By when a source that was last read ``at`` has to be read again: three intervals, 15 minutes at least."""
    found, when = at, schedule.parse(source.schedule)
    for _ in range(MISSED_RUNS):
        found = schedule.next_time(when, found, source.timezone, at)
    return max(found, at + MIN_FRESHNESS)


def progress(connection: Connection, now: datetime) -> dict[str, datetime]:
    """When each stored source last made progress, UTC."""
    return {row.source: row.at for row in fetch_all(connection, SQL.last_progress, {"now": now})}
