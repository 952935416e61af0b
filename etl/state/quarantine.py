"""Records that could not become rows: kept with the reason and their exact bytes."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import accumulate, groupby
from typing import Any

from sqlalchemy import Connection

from etl.db.statements import Statements, execute, fetch_all, fetch_one, fetch_value
from etl.loader.batch import ReceivedRecord, WriteContext

SQL = Statements("quarantine")
PART_BYTES = 16 << 20  # of payloads that are read at once


def put(connection: Connection, writing: WriteContext, rejects: Sequence[ReceivedRecord]) -> None:
    """Store rejected records of different content; one that is stored already is only marked as seen again."""
    if rejects:
        records = {
            "digests": [reject.digest for reject in rejects],
            "call_ids": [reject.call_id for reject in rejects],
            "sizes": (sizes := [len(reject.payload) for reject in rejects]),
            "starts": list(accumulate(sizes, initial=1))[:-1],
            "payloads": b"".join(
                [reject.payload for reject in rejects]
            ),  # an array's elements are written in hex, twice
            "reasons": [reject.error for reject in rejects],
        }
        values = {"source": writing.source, "now": writing.now, "run_id": writing.run_id}
        execute(connection, SQL.put_rejects, values | records)


def resolve(connection: Connection, writing: WriteContext, loaded: Sequence[ReceivedRecord]) -> None:
    """Mark what waits of calls that are rows now, or has the content of their records, as resolved."""
    if waiting := fetch_all(connection, SQL.waiting, {"source": writing.source}):
        known = {record.call_id for record in loaded} | {record.digest for record in loaded}
        if done := [row.quarantine_id for row in waiting if {row.provider_call_id, row.digest} & known]:
            execute(connection, SQL.resolve, {"ids": done, "now": writing.now})


def waiting(connection: Connection, source: str) -> int:
    """The number of records that wait in place of a call: a bad version of a stored call stands for none."""
    return int(fetch_value(connection, SQL.count_without_row, {"source": source}))


def payloads_waiting(connection: Connection, source: str) -> Iterator[bytes]:
    """The exact bytes of those records, of which few are held at once."""
    waiting = fetch_all(connection, SQL.records_without_row, {"source": source})
    sizes = accumulate(row.size_bytes for row in waiting)
    for _, part in groupby(zip(sizes, waiting, strict=True), lambda each: each[0] // PART_BYTES):
        yield from payloads(connection, [row.quarantine_id for _, row in part])


def listed(connection: Connection, sources: Sequence[str], *, closed: bool = False) -> Sequence[Any]:
    """The open records of some sources, or of all, newest first; with ``closed`` resolved and dismissed ones too."""
    return fetch_all(connection, SQL.quarantined, {"sources": list(sources) or None, "with_closed": closed})


def payloads(connection: Connection, quarantine_ids: Sequence[int]) -> list[bytes]:
    """The exact bytes of some records."""
    return [bytes(row.payload) for row in fetch_all(connection, SQL.payloads, {"quarantine_ids": list(quarantine_ids)})]


def dismiss(connection: Connection, quarantine_ids: Sequence[int], now: datetime) -> set[int]:
    """Take open records out of the list for good → those that were in it.

    Where the same bytes come again they stay dismissed, and in place of a call they still count as listed.
    """
    values = {"quarantine_ids": list(quarantine_ids), "now": now}
    return {row.quarantine_id for row in fetch_all(connection, SQL.dismiss_records, values)}


def one(connection: Connection, quarantine_id: int) -> Any:
    """One record with its bytes, ``None`` if there is no such record."""
    return fetch_one(connection, SQL.quarantined_record, {"quarantine_id": quarantine_id})
