"""Records in quarantine → the transformer again: those that can become rows by now do."""

from collections.abc import Sequence

from etl.db.statements import Statements
from etl.loader.batch import Batch
from etl.state import quarantine
from etl.sync.load import load, receive
from etl.sync.run import SourceRun

BATCH = 500
OLDER_THAN_ALL = 1 << 62  # such a record fills what is empty, and overwrites nothing that a response brought

SQL = Statements("payloads")


def retry(run: SourceRun) -> None:
    """Try every record of the source that waits; one that is rejected again stays, with its reason of today."""
    with run.deps.db.connect() as connection:
        waiting = quarantine.listed(connection, [run.source.name])
    for first in range(0, len(waiting), BATCH):
        _retry(run, [bytes(row.payload) for row in waiting[first : first + BATCH]])


def _retry(run: SourceRun, payloads: Sequence[bytes]) -> None:
    run.acquire_lease()
    [number] = run.state.fetch_all(SQL.older_than_all, {"older": OLDER_THAN_ALL})
    batch = Batch()
    batch.add_page(receive(run, payloads, number.seq))
    with run.lease.transaction() as connection:
        result = load(connection, run, batch, is_listed=False)
        rejected = {reject.record.digest for reject in result.rejected}
        digests = [record.digest for record in batch.received if record.digest not in rejected]
        quarantine.resolve_records(connection, result.ctx, digests)
