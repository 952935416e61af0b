"""The daemon's signs of life, and the books → whether it is alive, and whether every source is read as it should be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from etl.db.engine import DatabaseProblem, describe
from etl.db.revisions import require_revision
from etl.model import Source
from etl.settings import schedule

LONGEST_SILENCE = 90.0  # the daemon looks around every fifteen seconds
MISSED = 3
SHORTEST_GOAL = timedelta(minutes=15)
# A reading that takes hours succeeds late, and comes on all the while.
PROGRESS = text("""
    SELECT s.source,
           greatest(s.first_seen_at,
                    (SELECT max(finished_at) FROM ops.runs r
                      WHERE r.source = s.source AND status = 'succeeded' AND kind IN ('sync', 'backfill')),
                    (SELECT max(updated_at) FROM ops.checkpoints w WHERE w.source = s.source)) AS at
      FROM ops.sources s
""")


@dataclass(frozen=True, slots=True)
class Health:
    """Whether it is well, and what is to be said of it, a line each."""

    is_well: bool
    message: tuple[str, ...]


def alive(silent_seconds: float) -> Health:
    """Whether the process does anything at all; ``silent_seconds`` is how long the daemon has not looked around."""
    if silent_seconds > LONGEST_SILENCE:
        return Health(False, (f"the daemon has given no sign of life for {silent_seconds:.0f} s: start it anew",))
    return Health(True, ("alive",))


def ready(db: Engine, sources: Sequence[Source], now: datetime) -> Health:
    """Whether the database is reachable and of this program's revision, and no configured source is stalled."""
    try:
        require_revision(db)
        with db.connect() as connection:
            late = stale(sources, progress(connection), now)
    except DatabaseProblem as problem:
        return Health(False, (str(problem),))
    except SQLAlchemyError as error:
        return Health(False, (describe(error),))
    return Health(not late, tuple(f"{name}: not read since {at:%Y-%m-%d %H:%M} UTC" for name, at in late) or ("ready",))


def stale(sources: Sequence[Source], last: Mapping[str, datetime], now: datetime) -> list[tuple[str, datetime]]:
    """The sources that came on so long ago that they have missed their goal, and when that was."""
    known = [(source, last[source.name]) for source in sources if source.name in last]
    return [(source.name, at) for source, at in known if now > freshness_deadline(source, at)]


def freshness_deadline(source: Source, at: datetime) -> datetime:
    """The goal: by when a source that was read at some time has to be read again; three of its times, or 15 min."""
    found, when = at, schedule.parse(source.schedule)
    for _ in range(MISSED):
        found = schedule.next_time(when, found, source.timezone, at)
    return max(found, at + SHORTEST_GOAL)


def progress(connection: Connection) -> dict[str, datetime]:
    """When each source of the books last came on, UTC."""
    return {row.source: row.at for row in connection.execute(PROGRESS)}
