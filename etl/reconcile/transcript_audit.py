"""The stored transcripts of a source against the calls that say they have one, repaired where they differ."""

import uuid
from collections.abc import Sequence

from sqlalchemy import Connection

from etl.db.engine import uuid_array
from etl.db.statements import Statements, fetch_all
from etl.loader.plan import BatchPlan
from etl.runtime.humanize import counted
from etl.sync.load import write
from etl.sync.replay import BATCH, rebuild
from etl.sync.run import SourceRun

SQL = Statements("transcripts")


def audit_transcripts(run: SourceRun) -> None:
    """Restore from the raw payloads, with a note, transcripts that were removed behind the loader's back.

    Where the payloads hold none, the transcript is requested again, or read when its call is listed again.
    """
    keys = [row.call_key for row in run.state.fetch_all(SQL.miscounted, {"source": run.source.name})]
    missing = 0
    for start in range(0, len(keys), BATCH):
        run.acquire_lease()
        missing += run.transaction(_restore, run, keys[start : start + BATCH])
    if keys:
        found = f"{counted(len(keys), 'transcript')} did not agree with what their calls say"
        left = f"{missing} cannot be restored and are read again with their calls" if missing else "all are restored"
        run.result.notes.append(f"{found}: {left}")


def _restore(connection: Connection, run: SourceRun, keys: Sequence[uuid.UUID]) -> int:
    """Rebuild some calls → how many transcripts are still missing."""
    ctx = run.write_context()
    changes = rebuild(connection, ctx, run.source, keys)
    write(connection, run, ctx, BatchPlan([change for change in changes if change.columns], len(changes)))
    left = fetch_all(connection, SQL.recount, {"keys": uuid_array(keys), "now": ctx.now})
    return sum(row.is_missing for row in left)
