"""The runs of a source: one row each in ``ops.runs``, from beginning to end."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection

from etl.db.statements import Statements, fetch_one, fetch_value
from etl.loader.batch import Counts
from etl.model import Source
from etl.state.settings_versions import settings_json

SQL = Statements("runs")


class Begun(NamedTuple):
    """A run that was added, and what it needs of the database."""

    run_id: int
    crashes: int  # runs in a row before it whose process did not survive for a page
    masking_key: bytes
    settings_id: int
    is_under_other_settings: bool  # than the run before


def begin(connection: Connection, source: Source, kind: str, owner: str, now: datetime) -> Begun:
    """Add the row of a run, and its source's settings where they are new."""
    values = {"source": source.name, "kind": kind, "owner": owner, "now": now, "settings": settings_json(source)}
    return Begun(*fetch_one(connection, SQL.begin_run, values))


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
