"""Records in quarantine through the transformer again: those that can become rows by now do."""

from collections.abc import Sequence

from etl.db.statements import Statements
from etl.loader import writer
from etl.loader.batch import Batch
from etl.model import Page
from etl.state import quarantine
from etl.sync.load import stored_versions, write
from etl.sync.run import SourceRun

BATCH = 500
OLDER_THAN_ALL = 1 << 62  # a record that waited fills what is empty and overwrites nothing that an answer brought

SQL = Statements("payloads")


def retry(run: SourceRun) -> None:
    """Try every record of the source that waits; what is refused again stays, with its reason of today."""
    with run.deps.db.connect() as connection:
        waiting = quarantine.listed(connection, [run.source.name])
    for first in range(0, len(waiting), BATCH):
        _retry(run, [bytes(row.payload) for row in waiting[first : first + BATCH]])


def _retry(run: SourceRun, payloads: Sequence[bytes]) -> None:
    run.acquire_lease()
    batch = Batch(run.provider, run.source)
    [number] = run.state.fetch_all(SQL.older_than_all, {"older": OLDER_THAN_ALL})
    batch.add_page(Page(payloads), number.seq)
    batch.stored.update(stored_versions(run, batch.received))
    with run.lease.transaction() as connection:
        writing = run.write_context()
        rows = writer.fetch_rows(connection, batch.changed_keys())
        entries, rejects, counts = batch.plan_writes(writing, rows, set())
        refused = {reject.payload for reject in write(connection, run, writing, entries, counts, rejects)}
        quarantine.resolve_payloads(connection, writing, [each for each in payloads if each not in refused])
