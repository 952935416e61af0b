"""The runs of a source: one row each in ``ops.runs``, from beginning to end."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from etl.db.statements import Statements, fetch_one, fetch_value
from etl.loader.batch import Counts

SQL = Statements("runs")


def begin(connection: Connection, source: str, kind: str, owner: str, now: datetime) -> tuple[int, int, bytes]:
    """Add the row of a run → its key, how many runs in a row died before a page, the masking key."""
    values = {"source": source, "kind": kind, "owner": owner, "now": now}
    row = fetch_one(connection, SQL.begin_run, values)
    return row.run_id, row.crashes, row.masking_key


def count(connection: Connection, run_id: int, counts: Counts, requests: int) -> Counts:
    """Add a batch's counts, in its transaction, and store the requests so far → the counts of the run."""
    values = {"run_id": run_id, "requests": requests, **counts._asdict()}
    return Counts(*fetch_one(connection, SQL.count_batch, values))


def end(connection: Connection, values: Mapping[str, Any]) -> Counts:
    """Store how the run ended → its counts; one that succeeded ends the pause of its source."""
    row = fetch_one(connection, SQL.end_run, values)
    return Counts(*row) if row else Counts()


def is_done(
    connection: Connection, source: str, kind: str, since: datetime, now: datetime, before: int = 2**63 - 1
) -> bool:
    """Whether an earlier run of this kind, one ``before`` this, is at work or has succeeded since then."""
    values = {"source": source, "kind": kind, "since": since, "now": now, "before": before}
    return bool(fetch_value(connection, SQL.is_done, values))


def fail(connection: Connection, run_id: int, error: str, now: datetime) -> None:
    """Mark a run that hangs as failed, and end its session: that frees the lease."""
    row = fetch_one(connection, SQL.fail_run, {"run_id": run_id, "error": error, "now": now})
    if row is not None:
        fetch_value(connection, SQL.end_session, row._asdict())
