"""Records as received ↔ ``raw.payloads``: a row for each response that brought new content.

The records of a response are stored together: they share keys and words, and compress to a fifth.
"""

import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from isal import isal_zlib
from sqlalchemy import Connection

from etl.db import tables
from etl.db.copy import append
from etl.db.engine import uuid_array
from etl.db.statements import Statements, execute, fetch_all
from etl.loader.batch import ReceivedRecord, WriteContext
from etl.loader.plan import Change, seqs_of
from etl.loader.writer import fetch_rows

LEVEL = 2  # of ISA-L: a quarter of the time of zlib's level 3 for a fiftieth more bytes; the next takes twice as long
COLUMNS = ("seq", "source", "kind", "received_at", "run_id", "call_keys", "records_zlib_msgpack")
SQL = Statements("payloads")
_decoder = msgspec.msgpack.Decoder(list[bytes])


class PayloadVersion(NamedTuple):
    """One content of a call's record, as received with the response to request ``seq``."""

    kind: str  # call or transcript
    seq: int
    received_at: datetime
    run_id: int | None
    payload: bytes


def archive(connection: Connection, ctx: WriteContext, changes: Iterable[Change]) -> None:
    """Store the exact bytes of every record behind some changes, unless its content is stored already."""
    responses: dict[tuple[int, str], list[ReceivedRecord]] = defaultdict(list)
    for change in changes:
        is_one = change.before is None and len(change.records) == 1
        stored, now = seqs_of(change.before) if change.before else (), () if is_one else seqs_of(change.row)
        for record in change.records:
            if is_one or (record.seq not in stored and record.seq in now):
                responses[record.seq, record.kind].append(record)
    rows = []
    for (seq, kind), records in responses.items():
        packed = _packed([record.payload for record in records])
        rows.append((seq, ctx.source, kind, ctx.now, ctx.run_id, [record.key for record in records], packed))
    append(connection, tables.payloads, COLUMNS, rows)


def _packed(payloads: Sequence[bytes]) -> bytes:
    return isal_zlib.compress(msgspec.msgpack.encode(payloads), LEVEL)


def records(row: Any) -> Sequence[tuple[UUID, bytes]]:
    """The records of a row of ``raw.payloads``, each with the key of its call."""
    return list(zip(row.call_keys, _decoder.decode(zlib.decompress(row.records_zlib_msgpack)), strict=True))


def remove(connection: Connection, seqs: Sequence[int], keys: Collection[UUID]) -> int:
    """Remove the records of some calls from the responses that brought them → how many; the others stay."""
    removed, empty = 0, list[int]()
    for seq in seqs:
        for row in fetch_all(connection, SQL.payloads, {"seqs": [seq]}):
            before = records(row)
            kept = [record for record in before if record[0] not in keys]
            removed += len(before) - len(kept)
            if not kept:
                empty.append(seq)
            elif len(kept) < len(before):
                values = {"keys": uuid_array(key for key, _ in kept), "records": _packed([each for _, each in kept])}
                execute(connection, SQL.rewrite, values | {"seq": seq})
    execute(connection, SQL.delete_payloads, {"seqs": empty})
    return removed


def versions(connection: Connection, keys: Collection[UUID]) -> Mapping[UUID, Sequence[PayloadVersion]]:
    """The versions of the records of some calls, in the order in which they came."""
    rows = fetch_rows(connection, keys, ("call_key", "latest_request_seq", "payload_seqs"))
    seqs = {key: set(seqs_of(row)) for key, row in rows.items()}
    found: dict[UUID, list[PayloadVersion]] = {key: [] for key in seqs}
    for row in fetch_all(connection, SQL.payloads, {"seqs": list(set().union(*seqs.values()))}):
        for key, payload in records(row):
            if row.seq in seqs.get(key, ()):
                found[key].append(PayloadVersion(row.kind, row.seq, row.received_at, row.run_id, payload))
    return found
