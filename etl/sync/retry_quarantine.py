"""Records in quarantine → the transformer again: those that can become rows by now do."""

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
        run.acquire_lease()
        seq = run.state.fetch_one(SQL.older_than_all, {"older": OLDER_THAN_ALL}).seq
        records = receive(run, [bytes(row.payload) for row in waiting[first : first + BATCH]], seq)
        with run.lease.transaction() as connection:
            load(connection, run, Batch(records, pages=1), is_listed=False)
