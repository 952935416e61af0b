"""The stored calls of a source, row by row → the counters that are kept of them, repaired where they differ."""

from datetime import date

from sqlalchemy import Connection

from etl.db.statements import Statements, execute, fetch_all, fetch_value
from etl.runtime.humanize import counted
from etl.sync.run import SourceRun

SQL = Statements("rollups")


def audit(run: SourceRun) -> None:
    """Count the calls anew and repair what differs, with a note: whoever writes past the triggers leaves rollups wrong.

    From then on the triggers keep them right, so that a proof may count by them.
    """
    run.acquire_lease()
    wrong = run.transaction(_recount, run.source.name)
    if wrong:
        days = counted(len(wrong), "day")
        run.result.notes.append(
            f"calls of {days} were written past the triggers of warehouse.calls: the rollups are counted anew"
        )


def _recount(connection: Connection, source: str) -> set[date]:
    """Repair the rollups of a source → the days on which they were wrong."""
    of = {"source": source}
    fetch_value(connection, SQL.lock_rollups, of)
    execute(connection, SQL.add_dimensions, of)
    wrong = {row.day for each in (SQL.recount_streams, SQL.recount_calls) for row in fetch_all(connection, each, of)}
    if wrong:
        execute(connection, SQL.delete_orphans)
    return wrong
