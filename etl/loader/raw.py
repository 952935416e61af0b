"""Records as received → a row of ``raw.payloads`` for each answer that brought any, and back to the calls they are of.

The records of an answer are kept together: they repeat each other's keys and words, and deflate to a fifth.
"""

import uuid
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from etl.db import tables
from etl.db.copy import append
from etl.db.statements import Statements, fetch_all
from etl.loader.writer import RawRecord, RowChange, WriteContext, fetch_rows, seqs_of

LEVEL = 3  # a sixteenth smaller than the lowest for a tenth more time; the next takes half as long again
_FRAMED = msgspec.msgpack.Decoder(list[bytes])

SQL = Statements("payloads")


class PayloadVersion(NamedTuple):
    """One content of a record of a call, as received with the answer ``seq``."""

    kind: str  # call or transcript
    seq: int
    received_at: datetime
    run_id: int | None
    payload: bytes


def archive(connection: Connection, writing: WriteContext, entries: Iterable[RowChange]) -> None:
    """Keep the exact bytes of every record that a batch's entries were made of, unless its content is kept already."""
    answers: dict[tuple[int, str], list[tuple[uuid.UUID, RawRecord]]] = defaultdict(list)
    for entry in entries:
        known = seqs_of(entry.before) if entry.before else ()
        for record in entry.records:
            if record.seq not in known and record.seq in seqs_of(entry.row):
                answers[record.seq, record.kind].append((entry.row["call_key"], record))
    rows = [
        (seq, writing.source, kind, writing.now, writing.run_id, [key for key, _ in came], _compress(came))
        for (seq, kind), came in answers.items()
    ]
    append(connection, tables.payloads, rows)


def versions(connection: Connection, keys: Collection[uuid.UUID]) -> Mapping[uuid.UUID, Sequence[PayloadVersion]]:
    """The versions of the records of some calls, in the order in which they came."""
    rows = fetch_rows(connection, keys, ("call_key", "latest_request_seq", "payload_seqs"))
    wanted = {key: set(seqs_of(row)) for key, row in rows.items()}
    found: dict[uuid.UUID, list[PayloadVersion]] = {key: [] for key in wanted}
    for row in fetch_all(connection, SQL.payloads, {"seqs": list(set().union(*wanted.values()))}):
        for key, payload in zip(row.call_keys, unpacked(row.records_zlib_msgpack), strict=True):
            if row.seq in wanted.get(key, ()):
                found[key].append(PayloadVersion(row.kind, row.seq, row.received_at, row.run_id, payload))
    return found


def _compress(came: Sequence[tuple[uuid.UUID, RawRecord]]) -> bytes:
    return zlib.compress(msgspec.msgpack.encode([record.payload for _, record in came]), LEVEL)


def unpacked(records: bytes) -> list[bytes]:
    """The records of a row of ``raw.payloads``, each as received."""
    return _FRAMED.decode(zlib.decompress(records))
