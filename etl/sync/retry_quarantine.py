"""Records in quarantine through the transformer again: those that can become rows by now do."""

from collections.abc import Sequence

from sqlalchemy import text

from etl.loader import writer
from etl.loader.batch import Batch
from etl.model import Page
from etl.state import quarantine
from etl.sync.run import Reader

BATCH = 500
OLDER_THAN_ALL = 1 << 62  # a record that waited fills what is empty and overwrites nothing that an answer brought

NUMBER = text("SELECT nextval('ops.observations') - :older AS seq")


def retry(reader: Reader) -> None:
    """Try every record of the source that waits; what is refused again stays, with its reason of today."""
    with reader.means.db.connect() as connection:
        waiting = quarantine.listed(connection, [reader.source.name])
    for first in range(0, len(waiting), BATCH):
        _retry(reader, [bytes(row["payload"]) for row in waiting[first : first + BATCH]])


def _retry(reader: Reader, payloads: Sequence[bytes]) -> None:
    reader.take_turn()
    batch = Batch(reader.provider, reader.source)
    [number] = reader.desk.all(NUMBER, {"older": OLDER_THAN_ALL})
    batch.take(Page(payloads), number.seq)
    batch.held.update(reader.held(batch.arrivals))
    with reader.lease.transaction() as connection:
        writing = reader.writing()
        rows = writer.rows_of(connection, batch.unknown())
        entries, rejects, counts = batch.settle(writing, rows, set())
        refused = {reject.payload for reject in reader.write(connection, writing, entries, counts, rejects)}
        quarantine.resolve_payloads(connection, writing, [each for each in payloads if each not in refused])
