"""What was done, as one row per run of a source."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, text

from etl.loader.batch import Counts
from etl.runtime.clock import Clock
from etl.state.session import StateSession

# A run whose session is gone was cut off: nobody else will say so.
BEGIN = text("""
    WITH buried AS (
        UPDATE ops.runs r
           SET status = 'interrupted', finished_at = :now, error = 'the process ended before the run did'
         WHERE source = :source AND status = 'running'
           AND NOT EXISTS (SELECT FROM pg_stat_activity a
                            WHERE a.pid = r.backend_pid
                              AND (a.backend_start IS NULL OR a.backend_start = r.backend_started_at))
    )
    INSERT INTO ops.runs (source, kind, status, started_at, owner, backend_pid, backend_started_at)
    SELECT :source, :kind, 'running', :now, :owner, pid, backend_start
      FROM pg_stat_activity WHERE pid = pg_backend_pid()
    RETURNING run_id
""")
COUNT = text("""
    UPDATE ops.runs
       SET pages = pages + :pages, received = received + :received, inserted = inserted + :inserted,
           updated = updated + :updated, unchanged = unchanged + :unchanged,
           quarantined = quarantined + :quarantined, requests = :requests
     WHERE run_id = :run_id
""")
END = text("""
    WITH released AS (
        UPDATE ops.sources SET paused_until = NULL, pause_reason = NULL
         WHERE source = :source AND :status = 'succeeded' AND paused_until IS NOT NULL
    )
    UPDATE ops.runs
       SET status = :status, finished_at = :now, requests = :requests, error = :error, notes = :notes
     WHERE run_id = :run_id
    RETURNING pages, received, inserted, updated, unchanged, quarantined
""")


class RunRecord:
    """One run of a source in the books, from its beginning to its end."""

    def __init__(self, desk: StateSession, source: str, kind: str, owner: str, clock: Clock) -> None:
        self._desk, self._source, self._clock = desk, source, clock
        row = desk.fetch_one(BEGIN, {"source": source, "kind": kind, "now": clock.now(), "owner": owner})
        self.run_id = int(row.run_id) if row else 0

    def count(self, connection: Connection, counts: Counts, requests: int) -> None:
        """Add a batch's counts, and the requests of the run so far, in the batch's own transaction."""
        connection.execute(COUNT, {"run_id": self.run_id, "requests": requests, **counts.as_dict()})

    def end(self, status: str, requests: int, error: str | None = None, notes: Iterable[str] = ()) -> Counts:
        """Say how it ended; a run that succeeded also lifts the source's pause."""
        row = self._desk.fetch_one(
            END,
            {
                "run_id": self.run_id,
                "source": self._source,
                "status": status,
                "now": self._clock.now(),
                "requests": requests,
                "error": error,
                "notes": list(notes),
            },
        )
        return Counts(*row) if row else Counts()


UNDER_WAY = text("""
    SELECT EXISTS (
        SELECT FROM ops.runs r
         WHERE source = :source AND kind = :kind AND status = 'running' AND run_id < :before
           AND EXISTS (SELECT FROM pg_stat_activity a
                        WHERE a.pid = r.backend_pid
                          AND (a.backend_start IS NULL OR a.backend_start = r.backend_started_at)))
""")
# What began later than now began before a clock was set back, and says nothing.
SUCCEEDED_SINCE = text("""
    SELECT EXISTS (SELECT FROM ops.runs
                    WHERE source = :source AND kind = :kind AND status = 'succeeded' AND run_id < :before
                      AND started_at BETWEEN :since AND :now)
""")
FAIL = text("""
    UPDATE ops.runs SET status = 'failed', finished_at = :now, error = :error
     WHERE run_id = :run_id AND status = 'running'
    RETURNING backend_pid, backend_started_at
""")
END_SESSION = text("""
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE pid = :backend_pid AND (backend_start IS NULL OR backend_start = :backend_started_at)
""")


def is_done(
    connection: Connection, source: str, kind: str, since: datetime, now: datetime, before: int = 2**63 - 1
) -> bool:
    """Whether some process does this with a source right now, or has done so since then; in a run ``before`` this."""
    of = {"source": source, "kind": kind, "since": since, "now": now, "before": before}
    return bool(connection.scalar(UNDER_WAY, of) or connection.scalar(SUCCEEDED_SINCE, of))


def fail(connection: Connection, run_id: int, error: str, now: datetime) -> None:
    """Say that a run which hangs has failed, and end its session: the source's lease is free with it."""
    row = connection.execute(FAIL, {"run_id": run_id, "error": error, "now": now}).mappings().one_or_none()
    if row is not None:
        connection.execute(END_SESSION, dict(row))
