"""Calls → the warehouse: a batch is merged with what is held, copied into staging tables, and upserted from there."""

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import Column, Connection, Insert, MetaData, Table, or_, select, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.exc import DBAPIError

from etl import tables
from etl.database import as_json, describe, sqlstate
from etl.merge import changes, merge
from etl.stream import CALL_KEY_NAMESPACE, Call, Drift, Reject, Turn

BAD_DATA = ("21", "22", "23", "54")  # SQLSTATE classes that the data causes; all others are the server's affair


def call_key(source: str, provider_call_id: str) -> uuid.UUID:
    """The key of a call: the same for the same source and provider id, everywhere and always (RFC 9562, version 5)."""
    return uuid.uuid5(CALL_KEY_NAMESPACE, f"{source}\x1f{provider_call_id}")


def turns_digest(turns: Sequence[Turn]) -> bytes:
    """What tells one transcript from another."""
    content = repr([tuple(turn) for turn in turns])
    return hashlib.blake2b(content.encode(errors="surrogatepass"), digest_size=16).digest()


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


def rows_of(connection: Connection, keys: Iterable[uuid.UUID]) -> dict[uuid.UUID, Mapping[str, Any]]:
    """The rows that are held of some calls, whole."""
    found = connection.execute(select(tables.calls).where(tables.calls.c.call_key.in_(list(keys)))).mappings()
    return {row["call_key"]: dict(row) for row in found}


def enter(writing: Writing, before: Mapping[str, Any] | None, call: Call, record: Record) -> Entry:
    """One record as an entry: a new row, or the held one merged with it."""
    seq = record.seq
    if before is None:
        row = {
            "call_key": call_key(writing.source, call.provider_call_id),
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
            "turns_digest": None,
        }
    else:
        row = merge(before, call, seq)
        row["missing_since"] = None  # it is listed again
    newer = row["seen_seq"] == seq
    turns = call.turns if call.turns and (newer or not row["has_transcript"]) else None
    entry = Entry(before, row, None, [record], call.drift)
    if newer or before is None:
        row["record_digest"] = record.digest
    take_transcript(entry, turns)
    return entry


def take_transcript(entry: Entry, turns: tuple[Turn, ...] | None) -> None:
    """Replace the transcript whole, where there is one and it is another than the one held."""
    if turns and (digest := turns_digest(turns)) != entry.row["turns_digest"]:
        entry.turns = turns
        entry.row.update(turn_count=len(turns), has_transcript=True, turns_digest=digest)


def write(connection: Connection, writing: Writing, entries: Sequence[Entry]) -> list[tuple[Entry, Reject]]:
    """Write a batch's entries; those that the database refuses for what they are come back, their neighbours load."""
    try:
        with connection.begin_nested():
            _write(connection, writing, entries)
    except (DBAPIError, psycopg.DataError, ValueError, OverflowError) as error:
        if not _is_bad_data(error):
            raise
        if len(entries) == 1:
            return [(entries[0], _reject(entries[0], error))]
        half = len(entries) // 2
        return write(connection, writing, entries[:half]) + write(connection, writing, entries[half:])
    return []


def _is_bad_data(error: BaseException) -> bool:
    code = sqlstate(error)
    return isinstance(error, psycopg.DataError | ValueError | OverflowError) if code is None else code[:2] in BAD_DATA


def _reject(entry: Entry, error: BaseException) -> Reject:
    reason = describe(error) if sqlstate(error) else "a value does not fit its column"
    return Reject(reason, entry.records[-1].payload, entry.row["provider_call_id"])


def _write(connection: Connection, writing: Writing, entries: Sequence[Entry]) -> None:
    changed = [entry for entry in entries if _settle(entry, writing.now)]
    _upsert(connection, tables.calls, (entry.row for entry in changed))
    _upsert(connection, tables.turns, (row for entry in changed for row in _turn_rows(entry)))
    _upsert(connection, tables.records, (row for entry in entries for row in _record_rows(entry, writing)))
    surplus = [
        {"key": entry.row["call_key"], "count": entry.row["turn_count"]}
        for entry in changed
        if entry.turns is not None and entry.before is not None
    ]
    if surplus:  # whatever the row says of how many there were
        connection.execute(text("DELETE FROM warehouse.turns WHERE call_key = :key AND turn_index >= :count"), surplus)
    log = (row for entry in changed for row in _changes(entry, writing))
    _copy(connection, "warehouse.changes", CHANGE_COLUMNS, log)


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


def _turn_rows(entry: Entry) -> list[dict[str, Any]]:
    return [
        {"call_key": entry.row["call_key"], "turn_index": index, **turn._asdict()}
        for index, turn in enumerate(entry.turns or ())
    ]


def _record_rows(entry: Entry, writing: Writing) -> list[dict[str, Any]]:
    versions = {(record.kind, record.digest): record for record in entry.records}  # each once, as it came last
    return [
        {
            "call_key": entry.row["call_key"],
            "received_at": writing.now,
            "run_id": writing.run_id,
            **record._asdict(),
        }
        for record in versions.values()
    ]


CHANGE_COLUMNS = ("call_key", "changed_at", "run_id", "field", "old_value", "new_value")


def _changes(entry: Entry, writing: Writing) -> list[tuple[Any, ...]]:
    if entry.before is None:
        return []
    found = changes(entry.before, entry.row)
    if entry.turns is not None and entry.before["has_transcript"]:
        found.append(("transcript", f"{entry.before['turn_count']} turns", f"{len(entry.turns)} turns"))
    return [(entry.row["call_key"], writing.now, writing.run_id, *change) for change in found]


def _upsert(connection: Connection, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    """Copy rows into the session's staging table, and from there into the warehouse where they are new or differ."""
    columns = [column.name for column in table.columns]
    json = {column.name for column in table.columns if isinstance(column.type, JSONB)}
    values = [
        tuple(as_json(row[name]) if name in json and row[name] is not None else row[name] for name in columns)
        for row in rows
    ]
    if not values:
        return
    staging = f"staged_{table.name}"
    connection.exec_driver_sql(
        f"CREATE TEMP TABLE IF NOT EXISTS {staging} (LIKE {table.schema}.{table.name}) ON COMMIT DELETE ROWS"
    )
    connection.exec_driver_sql(f"TRUNCATE {staging}")
    _copy(connection, staging, columns, values)
    connection.execute(_merge_statement(table.key))


def _copy(connection: Connection, target: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        return
    with driver.cursor() as cursor, cursor.copy(f"COPY {target} ({', '.join(columns)}) FROM STDIN") as copy:
        copy.write_row(first)
        for row in rows:
            copy.write_row(row)


@cache
def _merge_statement(key: str) -> Insert:
    """``INSERT … SELECT … FROM staging ON CONFLICT (primary key) DO UPDATE … WHERE any column is distinct``.

    Ordered by the key, so that two writers meet the same rows in the same order.
    """
    table = tables.metadata.tables[key]
    staged = Table(f"staged_{table.name}", MetaData(), *(Column(c.name, c.type) for c in table.columns))
    in_order = [staged.c[column.name] for column in table.primary_key.columns]
    columns = [column.name for column in table.columns]
    statement = insert(table).from_select(columns, select(staged).order_by(*in_order))
    rest = [name for name in columns if name not in table.primary_key.columns]
    if table is tables.records:
        rest = ["seq"]  # a version that comes again is the newest again; its bytes are held already
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={name: statement.excluded[name] for name in rest},
        where=or_(*(table.c[name].is_distinct_from(statement.excluded[name]) for name in rest)),
    )
