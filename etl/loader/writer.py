"""Row changes → the warehouse: copied in where new, updated where they differ, isolated where the server refuses."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import Connection, Table
from sqlalchemy.exc import DBAPIError

from etl.db import tables
from etl.db.copy import append, fetch, update, upsert
from etl.db.engine import describe, sqlstate, uuid_array
from etl.loader.batch import ReceivedRecord, WriteContext
from etl.loader.plan import COLUMNS, Change, Insert, RowChange

BAD_DATA = ("21", "22", "23", "54")  # SQLSTATE classes that the data causes; the server causes all others
UNIQUE_VIOLATION = "23505"
TRANSCRIPT_COLUMNS = ("call_key", "speakers", "texts", "times", "customer_name")
NAME = COLUMNS.index("customer_name")
CHANGE_COLUMNS = ("call_key", "changed_at", "run_id", "field", "old_value", "new_value")
Put = Callable[[Connection, Table, tuple[str, ...], Sequence[Sequence[Any]]], None]


def fetch_rows(
    connection: Connection, keys: Collection[UUID], columns: tuple[str, ...] = COLUMNS
) -> dict[UUID, Mapping[str, Any]]:
    """The stored rows of some calls, whole or some columns of each, its key among them."""
    if not keys:
        return {}
    rows = fetch(connection, tables.calls, columns, uuid_array(keys))
    return {row.call_key: dict(zip(columns, row, strict=True)) for row in rows}


def write(
    connection: Connection, ctx: WriteContext, changes: Sequence[Change], put: Put = append
) -> tuple[list[Change], list[ReceivedRecord]]:
    """Write changes → those written, and the records that the database refuses for their data.

    A refused batch is halved until the records at fault stand alone. ``put`` inserts new rows; where one is stored
    already, all of them are written again by ``upsert``.
    """
    if not changes:
        return [], []
    try:
        with connection.begin_nested():
            new = [change for change in changes if isinstance(change, Insert)]
            put(connection, tables.calls, COLUMNS, [change.values for change in new])
            put(connection, tables.transcripts, TRANSCRIPT_COLUMNS, _transcripts(new))
            _update(
                connection, ctx, [change for change in changes if isinstance(change, RowChange) and change.columns], put
            )
    except (DBAPIError, psycopg.Error, ValueError, OverflowError) as error:
        if sqlstate(error) == UNIQUE_VIOLATION and put is append:
            return write(connection, ctx, changes, upsert)
        if not _is_bad_data(error):
            raise
        if len(changes) == 1:
            reason = describe(error) if sqlstate(error) else "a value does not fit its column"
            return [], [changes[0].records[-1]._replace(error=reason)]
        half = len(changes) // 2
        first, second = (write(connection, ctx, part, put) for part in (changes[:half], changes[half:]))
        return first[0] + second[0], first[1] + second[1]
    return list(changes), []


def _is_bad_data(error: BaseException) -> bool:
    code = sqlstate(error)
    return isinstance(error, psycopg.DataError | ValueError | OverflowError) if code is None else code[:2] in BAD_DATA


def _update(connection: Connection, ctx: WriteContext, changes: Sequence[RowChange], put: Put) -> None:
    """Write every column in which one of the rows differs, and a line for each change that a user sees."""
    columns = sorted({name for change in changes for name in change.columns})
    rows = [[change.row[name] for name in ("call_key", *columns)] for change in changes]
    update(connection, tables.calls, tuple(columns), rows)
    for has_transcript, put_transcripts in ((False, put), (True, upsert)):
        those = [change for change in changes if change.before["has_transcript"] is has_transcript]
        written = TRANSCRIPT_COLUMNS[: -1 if has_transcript else None]  # a stored name is the trigger's
        put_transcripts(connection, tables.transcripts, written, [row[: len(written)] for row in _transcripts(those)])
    lines = [(c.row["call_key"], ctx.now, ctx.run_id, *field) for c in changes for field in c.fields]
    append(connection, tables.changes, CHANGE_COLUMNS, lines)


def _transcripts(changes: Sequence[Change]) -> list[tuple[Any, ...]]:
    """The transcripts that replace those stored; most providers have no times."""
    rows = []
    for change in changes:
        if turns := change.turns:
            times: list[Any] = [turn[2:] for turn in turns]
            has_times = times.count((None, None)) < len(times)
            speakers, texts = "".join([turn[0][0] for turn in turns]), [turn[1] for turn in turns]
            name = change.values[NAME] if isinstance(change, Insert) else change.row["customer_name"]
            rows.append((change.records[-1].key, speakers, texts, times if has_times else None, name))
    return rows
