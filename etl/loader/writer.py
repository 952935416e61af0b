"""Calls → the warehouse: a batch is merged with what is held; what is new is copied in, what differs is updated."""

import hashlib
import sys
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError

from etl.db import tables
from etl.db.copy import append, fetch, update, upsert
from etl.db.engine import describe, json_bytes, sqlstate, uuid_array
from etl.loader.merge import changes, merge
from etl.model import CALL_KEY_NAMESPACE, Call, Drift, Reject, Turn

BAD_DATA = ("21", "22", "23", "54")  # SQLSTATE classes that the data causes; all others are the server's affair
UNIQUE_VIOLATION = "23505"
Put = Callable[[Connection, Table, Sequence[Sequence[Any]]], None]
COLUMNS = tuple(sys.intern(str(column.name)) for column in tables.calls.columns)  # SQLAlchemy's are slow as keys
NOTHING: Mapping[str, Any] = dict.fromkeys(COLUMNS)
NAMESPACE = CALL_KEY_NAMESPACE.bytes


def call_key(source: str, provider_call_id: str) -> uuid.UUID:
    """The key of a call: the same for the same source and provider id, everywhere and always (RFC 9562, version 5)."""
    name = f"{source}\x1f{provider_call_id}".encode()
    digest = hashlib.sha1(NAMESPACE + name, usedforsecurity=False).digest()
    return uuid.UUID(bytes=digest[:16], version=5)


def hash_transcript(turns: Sequence[Turn]) -> bytes:
    """What tells one transcript from another."""
    return hashlib.blake2b(json_bytes(turns), digest_size=16).digest()


class RawRecord(NamedTuple):
    """One record as it was received: an element of a list, or the answer with a transcript."""

    kind: str  # call or transcript
    digest: bytes
    seq: int
    payload: bytes


@dataclass(slots=True)
class RowChange:
    """What a batch makes of one call: the row before and after, and what came with it."""

    before: Mapping[str, Any] | None
    row: dict[str, Any]
    turns: tuple[Turn, ...] | None = None  # None: the transcript stays as it is
    records: list[RawRecord] = field(default_factory=list)
    drift: tuple[Drift, ...] = ()


@dataclass(frozen=True, slots=True)
class WriteContext:
    """Which run writes, of which source, and at what time."""

    source: str
    provider: str
    run_id: int | None
    now: datetime


def fetch_rows(
    connection: Connection, keys: Collection[uuid.UUID], columns: tuple[str, ...] = COLUMNS
) -> dict[uuid.UUID, Mapping[str, Any]]:
    """The rows that are held of some calls: whole, or of each some columns, its key among them."""
    if not keys:
        return {}
    found = fetch(connection, tables.calls, columns, uuid_array(keys))
    return {row.call_key: dict(zip(columns, row, strict=True)) for row in found}


def plan_row(
    writing: WriteContext, key: uuid.UUID, before: Mapping[str, Any] | None, call: Call, record: RawRecord
) -> RowChange:
    """One record as an entry of the call with this key: a new row, or the held one merged with it."""
    seq = record.seq
    if before is None:
        row = {
            **NOTHING,  # so that the values are in the order of the columns
            "call_key": key,
            "source": writing.source,
            "provider": writing.provider,
            "provider_call_id": call.provider_call_id,
            **call.columns,
            "turn_count": 0,
            "has_transcript": False,
            "first_seen_at": writing.now,
            "changed_at": writing.now,
            "latest_request_seq": seq,
            "content_hash": record.digest,
        }
    else:
        row = merge(before, call, seq)
        row["delisted_at"] = None  # it is listed again
        _take_version(row, before, record)
    newer = row["latest_request_seq"] == seq
    turns = call.turns if call.turns and (newer or not row["has_transcript"]) else None
    entry = RowChange(before, row, None, [record], call.drift)
    set_transcript(entry, turns)
    return entry


def _take_version(row: dict[str, Any], before: Mapping[str, Any], record: RawRecord) -> None:
    """Note another content of a call's record; one that it had before is kept already."""
    known = {before["content_hash"], *(before["previous_content_hashes"] or ())}
    if record.digest not in known:
        row["payload_seqs"] = seqs_with(before, record.seq)
    if row["latest_request_seq"] == record.seq:
        row["content_hash"] = record.digest
    row["previous_content_hashes"] = sorted((known | {record.digest}) - {row["content_hash"]}) or None


def seqs_of(row: Mapping[str, Any]) -> Sequence[int]:
    """The answers that versions of a call came with, in the order in which they came."""
    return row["payload_seqs"] or (row["latest_request_seq"],)


def seqs_with(row: Mapping[str, Any], seq: int) -> list[int]:
    """The same, this one among them."""
    return [*dict.fromkeys((*seqs_of(row), seq))]


def set_transcript(entry: RowChange, turns: tuple[Turn, ...] | None) -> None:
    """Replace the transcript whole, where there is one and it is another than the one held."""
    if turns and (digest := hash_transcript(turns)) != entry.row["transcript_hash"]:
        entry.turns = turns
        entry.row.update(turn_count=len(turns), has_transcript=True, transcript_hash=digest)


def write(
    connection: Connection, writing: WriteContext, entries: Sequence[RowChange], *, met: bool = False
) -> list[tuple[RowChange, Reject]]:
    """Write a batch's entries; those that the database refuses for what they are come back, their neighbours load.

    ``met``: some of those that seemed new are there already, so all of them are merged.
    """
    if not entries:
        return []
    put = upsert if met else append
    try:
        with connection.begin_nested():
            _add(connection, [entry for entry in entries if entry.before is None], put)
            _change(connection, writing, [entry for entry in entries if entry.before is not None], put)
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


def _is_bad_data(error: BaseException) -> bool:
    code = sqlstate(error)
    return isinstance(error, psycopg.DataError | ValueError | OverflowError) if code is None else code[:2] in BAD_DATA


def _reject(entry: RowChange, error: BaseException) -> Reject:
    reason = describe(error) if sqlstate(error) else "a value does not fit its column"
    return Reject(reason, entry.records[-1].payload, entry.row["provider_call_id"])


def _add(connection: Connection, entries: Sequence[RowChange], put: Put) -> None:
    """Calls of which nothing was held."""
    put(connection, tables.calls, [tuple(entry.row.values()) for entry in entries])
    put(connection, tables.transcripts, _transcripts(entries))


def _change(connection: Connection, writing: WriteContext, entries: Sequence[RowChange], put: Put) -> None:
    """Calls that are held: the columns in which any of them differs are written, and each change leaves a line."""
    changed = [(entry, before) for entry in entries if (before := entry.before) and _needs_write(entry, writing.now)]
    columns = sorted({name for entry, before in changed for name, value in entry.row.items() if value != before[name]})
    rows = [(entry.row["call_key"], *(entry.row[name] for name in columns)) for entry, _ in changed]
    update(connection, tables.calls, tuple(columns), rows)
    put(connection, tables.transcripts, _transcripts([e for e, before in changed if not before["has_transcript"]]))
    upsert(connection, tables.transcripts, _transcripts([e for e, before in changed if before["has_transcript"]]))
    append(connection, tables.changes, [row for entry, before in changed for row in _changes(entry, before, writing)])


def _needs_write(entry: RowChange, now: datetime) -> bool:
    """Whether the row or its turns have to be written; where a value changed, the row says when."""
    if has_changes(entry):
        entry.row["changed_at"] = now
    return entry.turns is not None or entry.before != entry.row


def has_changes(entry: RowChange) -> bool:
    """Whether anything that a reader of the warehouse sees changes with this entry."""
    return entry.before is not None and (entry.turns is not None or bool(changes(entry.before, entry.row)))


def _transcripts(entries: Sequence[RowChange]) -> list[tuple[Any, ...]]:
    """The transcripts that came with a batch, by columns."""
    return [
        (entry.row["call_key"], "".join([t.speaker[0] for t in turns]), [t.text for t in turns], _times(turns))
        for entry in entries
        if (turns := entry.turns) is not None
    ]


def _times(turns: Sequence[Turn]) -> list[Any] | None:
    """When each turn was said; most providers never say."""
    times: list[Any] = [turn[2:] for turn in turns]
    return times if times.count((None, None)) < len(times) else None


def _changes(entry: RowChange, before: Mapping[str, Any], writing: WriteContext) -> list[tuple[Any, ...]]:
    found = changes(before, entry.row)
    if entry.turns is not None and before["has_transcript"]:
        found.append(("transcript", f"{before['turn_count']} turns", f"{len(entry.turns)} turns"))
    return [(entry.row["call_key"], writing.now, writing.run_id, *change) for change in found]
