"""Calls → the warehouse: a batch is merged with what is held; what is new is copied in, what differs is upserted."""

import hashlib
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import DBAPIError

from etl import tables
from etl.copying import append, upsert
from etl.database import describe, json_bytes, sqlstate, uuid_array
from etl.merge import changes, merge
from etl.stream import CALL_KEY_NAMESPACE, Call, Drift, Reject, Turn

BAD_DATA = ("21", "22", "23", "54")  # SQLSTATE classes that the data causes; all others are the server's affair
UNIQUE_VIOLATION = "23505"
ROWS = select(tables.calls).where(text("call_key = ANY(CAST(:keys AS uuid[]))"))
CALL_ROW = itemgetter(*tables.calls.columns.keys())


def call_key(source: str, provider_call_id: str) -> uuid.UUID:
    """The key of a call: the same for the same source and provider id, everywhere and always (RFC 9562, version 5)."""
    name = f"{source}\x1f{provider_call_id}".encode()
    digest = hashlib.sha1(CALL_KEY_NAMESPACE.bytes + name, usedforsecurity=False).digest()
    return uuid.UUID(bytes=digest[:16], version=5)


def turns_digest(turns: Sequence[Turn]) -> bytes:
    """What tells one transcript from another."""
    return hashlib.blake2b(json_bytes(turns), digest_size=16).digest()


class Record(NamedTuple):
    """One record as it was received: an element of a list, or the answer with a transcript."""

    kind: str  # call or transcript
    digest: bytes
    seq: int
    payload: bytes


@dataclass(slots=True)
class Entry:
    """What a batch makes of one call: the row before and after, and what came with it."""

    before: Mapping[str, Any] | None
    row: dict[str, Any]
    turns: tuple[Turn, ...] | None = None  # None: the transcript stays as it is
    records: list[Record] = field(default_factory=list)
    drift: tuple[Drift, ...] = ()


@dataclass(frozen=True, slots=True)
class Writing:
    """Which run writes, of which source, and at what time."""

    source: str
    provider: str
    run_id: int | None
    now: datetime


def rows_of(connection: Connection, keys: Collection[uuid.UUID]) -> dict[uuid.UUID, Mapping[str, Any]]:
    """The rows that are held of some calls, whole."""
    if not keys:
        return {}
    found = connection.execute(ROWS, {"keys": uuid_array(keys)})
    names = list(found.keys())
    return {row.call_key: dict(zip(names, row, strict=True)) for row in found}


def enter(writing: Writing, key: uuid.UUID, before: Mapping[str, Any] | None, call: Call, record: Record) -> Entry:
    """One record as an entry of the call with this key: a new row, or the held one merged with it."""
    seq = record.seq
    if before is None:
        row = {
            "call_key": key,
            "source": writing.source,
            "provider": writing.provider,
            "provider_call_id": call.provider_call_id,
            **call.columns,
            "turn_count": 0,
            "has_transcript": False,
            "first_seen_at": writing.now,
            "changed_at": writing.now,
            "missing_since": None,
            "seen_seq": seq,
            "record_seqs": [seq],
            "record_digest": record.digest,
            "earlier_digests": None,
            "turns_digest": None,
        }
    else:
        row = merge(before, call, seq)
        row["missing_since"] = None  # it is listed again
        _take_version(row, before, record)
    newer = row["seen_seq"] == seq
    turns = call.turns if call.turns and (newer or not row["has_transcript"]) else None
    entry = Entry(before, row, None, [record], call.drift)
    take_transcript(entry, turns)
    return entry


def _take_version(row: dict[str, Any], before: Mapping[str, Any], record: Record) -> None:
    """Note another content of a call's record; one that it had before is kept already."""
    known = {before["record_digest"], *(before["earlier_digests"] or ())}
    if record.digest not in known:
        row["record_seqs"] = seqs_with(before, record.seq)
    if row["seen_seq"] == record.seq:
        row["record_digest"] = record.digest
    row["earlier_digests"] = sorted((known | {record.digest}) - {row["record_digest"]}) or None


def seqs_with(row: Mapping[str, Any], seq: int) -> list[int]:
    """The answers that versions of a call came with, this one among them."""
    seqs: list[int] = row["record_seqs"]
    return seqs if seq in seqs else [*seqs, seq]


def take_transcript(entry: Entry, turns: tuple[Turn, ...] | None) -> None:
    """Replace the transcript whole, where there is one and it is another than the one held."""
    if turns and (digest := turns_digest(turns)) != entry.row["turns_digest"]:
        entry.turns = turns
        entry.row.update(turn_count=len(turns), has_transcript=True, turns_digest=digest)


def write(
    connection: Connection, writing: Writing, entries: Sequence[Entry], *, met: bool = False
) -> list[tuple[Entry, Reject]]:
    """Write a batch's entries; those that the database refuses for what they are come back, their neighbours load.

    ``met``: some of those that seemed new are there already, so all of them are merged.
    """
    if not entries:
        return []
    try:
        with connection.begin_nested():
            _add(connection, [entry for entry in entries if _is_new(entry, met)])
            _change(connection, writing, [entry for entry in entries if not _is_new(entry, met)])
    except (DBAPIError, psycopg.Error, ValueError, OverflowError) as error:
        if sqlstate(error) == UNIQUE_VIOLATION and not met:
            return write(connection, writing, entries, met=True)
        if not _is_bad_data(error):
            raise
        if len(entries) == 1:
            return [(entries[0], _reject(entries[0], error))]
        half = len(entries) // 2
        return write(connection, writing, entries[:half], met=met) + write(connection, writing, entries[half:], met=met)
    return []


def _is_new(entry: Entry, met: bool) -> bool:
    return entry.before is None and not met


def _is_bad_data(error: BaseException) -> bool:
    code = sqlstate(error)
    return isinstance(error, psycopg.DataError | ValueError | OverflowError) if code is None else code[:2] in BAD_DATA


def _reject(entry: Entry, error: BaseException) -> Reject:
    reason = describe(error) if sqlstate(error) else "a value does not fit its column"
    return Reject(reason, entry.records[-1].payload, entry.row["provider_call_id"])


def _add(connection: Connection, entries: Sequence[Entry]) -> None:
    """Calls of which nothing is held: no row of theirs can be in the way."""
    append(connection, tables.calls, [CALL_ROW(entry.row) for entry in entries])
    append(connection, tables.transcripts, _transcripts(entries))


def _change(connection: Connection, writing: Writing, entries: Sequence[Entry]) -> None:
    """Calls that are held: what differs is written, and each change leaves a line."""
    changed = [entry for entry in entries if _settle(entry, writing.now)]
    upsert(connection, tables.calls, [CALL_ROW(entry.row) for entry in changed])
    upsert(connection, tables.transcripts, _transcripts(changed))
    append(connection, tables.changes, [row for entry in changed for row in _changes(entry, writing)])


def _settle(entry: Entry, now: datetime) -> bool:
    """Whether the row or its turns have to be written; where a value changed, the row says when."""
    if entry.before is None:
        return True
    if differs(entry):
        entry.row["changed_at"] = now
    return entry.turns is not None or dict(entry.before) != entry.row


def differs(entry: Entry) -> bool:
    """Whether anything that a reader of the warehouse sees changes with this entry."""
    return entry.before is not None and (entry.turns is not None or bool(changes(entry.before, entry.row)))


def _transcripts(entries: Sequence[Entry]) -> list[tuple[uuid.UUID, tuple[Turn, ...]]]:
    return [(entry.row["call_key"], entry.turns) for entry in entries if entry.turns is not None]


def _changes(entry: Entry, writing: Writing) -> list[tuple[Any, ...]]:
    if entry.before is None:
        return []
    found = changes(entry.before, entry.row)
    if entry.turns is not None and entry.before["has_transcript"]:
        found.append(("transcript", f"{entry.before['turn_count']} turns", f"{len(entry.turns)} turns"))
    return [(entry.row["call_key"], writing.now, writing.run_id, *change) for change in found]
