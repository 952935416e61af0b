"""The runs of a source: one row each, from beginning to end."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection

from etl.db.statements import Statements, execute, fetch_one, fetch_value
from etl.loader.batch import Counts
from etl.runtime.clock import Clock
from etl.state.session import StateSession

SQL = Statements("runs")


class RunRecord:
    """The row of one run in ``ops.runs``."""

    def __init__(self, state: StateSession, source: str, kind: str, owner: str, clock: Clock) -> None:
        self._state, self._source, self._clock = state, source, clock
        row = state.fetch_one(SQL.begin_run, {"source": source, "kind": kind, "now": clock.now(), "owner": owner})
        self.run_id = int(row.run_id) if row else 0

    def count(self, connection: Connection, counts: Counts, requests: int) -> None:
        """Add the counts of a batch, and the requests of the run so far, in the transaction of the batch."""
        execute(connection, SQL.count_batch, {"run_id": self.run_id, "requests": requests, **counts.as_dict()})

    def end(self, status: str, requests: int, error: str | None = None, notes: Iterable[str] = ()) -> Counts:
        """Store how the run ended → its counts; one that succeeded ends the pause of its source."""
        values = {"run_id": self.run_id, "source": self._source, "status": status, "now": self._clock.now()}
        result = {"requests": requests, "error": error, "notes": list(notes)}
        row = self._state.fetch_one(SQL.end_run, values | result)
        return Counts(*row) if row else Counts()


def is_done(
    connection: Connection, source: str, kind: str, since: datetime, now: datetime, before: int = 2**63 - 1
) -> bool:
    """Whether an earlier run of this kind, one ``before`` this, is at work or has succeeded since then."""
    values = {"source": source, "kind": kind, "since": since, "now": now, "before": before}
    return bool(
        fetch_value(connection, SQL.is_running, values) or fetch_value(connection, SQL.has_succeeded_since, values)
    )


def fail(connection: Connection, run_id: int, error: str, now: datetime) -> None:
    """Mark a run that hangs as failed, and end its session: that frees the lease."""
    row = fetch_one(connection, SQL.fail_run, {"run_id": run_id, "error": error, "now": now})
    if row is not None:
        fetch_value(connection, SQL.end_session, row._asdict())
