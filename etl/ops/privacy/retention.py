"""How long what is kept → what is older is removed, a few hundred rows in a transaction, between others' batches."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from etl.db.statements import Statements, execute, fetch_all
from etl.fields.person import since
from etl.runtime.humanize import counted
from etl.state import removed_calls
from etl.state.lease import Priority
from etl.sync.run import SourceRun

SQL = Statements("removed_calls")
CALLS, RESPONSES = 500, 200  # of a transaction


def expire(run: SourceRun) -> None:
    """Remove the raw payloads, transcripts and calls of a source that are older than they are kept."""
    kept, now = run.source.retention, run.deps.clock.now()
    raw, transcripts, calls = (since(each, now) for each in (kept.raw, kept.transcripts, kept.calls))
    with run.at_priority(Priority.BACKFILL):
        run.acquire_lease()
        run.transaction(_begin, run.source.name, calls, raw)
        for what, oldest, remove in (
            ("raw response", raw, _remove_raw),
            ("transcript", transcripts, _remove_transcripts),
            ("call", calls, _remove_calls),
        ):
            if oldest and (removed := _in_batches(run, oldest, remove)):
                run.result.notes.append(f"{counted(removed, what)} removed, from before {oldest:%Y-%m-%d}")


Remove = Callable[[Connection, SourceRun, datetime], int]


def _begin(connection: Connection, source: str, calls: datetime | None, raw: datetime | None) -> None:
    execute(connection, SQL.set_kept, {"source": source, "calls": calls, "raw": raw})
    execute(connection, SQL.keep_again, {"source": source, "since": calls})
    if raw:
        execute(connection, SQL.delete_closed_rejects, {"source": source, "since": raw})


def _in_batches(run: SourceRun, oldest: datetime, remove: Remove) -> int:
    total, removed = 0, 1
    while removed:
        run.acquire_lease()
        removed = run.transaction(remove, run, oldest)
        total += removed
    return total


def _remove_raw(connection: Connection, run: SourceRun, oldest: datetime) -> int:
    return execute(connection, SQL.delete_raw_before, {"source": run.source.name, "since": oldest, "batch": RESPONSES})


def _remove_transcripts(connection: Connection, run: SourceRun, oldest: datetime) -> int:
    values = {"source": run.source.name, "since": oldest, "batch": CALLS}
    keys = [row.call_key for row in fetch_all(connection, SQL.transcripts_before, values)]
    return removed_calls.forget_transcripts(connection, keys, run.deps.clock.now())


def _remove_calls(connection: Connection, run: SourceRun, oldest: datetime) -> int:
    values = {"source": run.source.name, "since": oldest, "batch": CALLS}
    keys = [row.call_key for row in fetch_all(connection, SQL.calls_before, values)]
    return removed_calls.remove(connection, keys, "expired", run.deps.clock.now()).calls if keys else 0
