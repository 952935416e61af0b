"""Rows → a table: copied straight in, or into a staging table and from there to where they are new or differ."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import set_json_dumps
from sqlalchemy import Connection, Table
from sqlalchemy.dialects.postgresql import dialect

from etl.db.engine import json_bytes


class _Layout(NamedTuple):
    """A table as COPY sees it: the columns that a row gives, and their types by PostgreSQL's names."""

    columns: tuple[str, ...]
    types: tuple[str, ...]


@cache
def _layout(table: Table, names: tuple[str, ...] = ()) -> _Layout:
    """Of the columns named, or of all that the database does not fill by itself."""
    given = [table.c[name] for name in names] or [column for column in table.columns if column.identity is None]
    kinds = (column.type.compile(dialect=dialect()).lower() for column in given)  # type: ignore[no-untyped-call]
    return _Layout(tuple(column.name for column in given), tuple(kinds))


def append(connection: Connection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    """Copy rows of a table, their values in the order of its columns, into it: none of them may be there already."""
    _copy(connection, f"{table.schema}.{table.name}", _layout(table), rows)


def upsert(connection: Connection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    """Put rows of a table, their values in the order of its columns, into it where they are new or differ."""
    _write_staged(connection, table, _layout(table), rows, _upsert_statement(table))


def update(connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Sequence[Any]]) -> None:
    """Set some columns of rows that are there; each of these rows gives its primary key and then these columns."""
    if columns:
        layout = _layout(table, (*_key(table), *columns))
        _write_staged(connection, table, layout, rows, _update_statement(table, columns))


def _write_staged(
    connection: Connection, table: Table, layout: _Layout, rows: Sequence[Sequence[Any]], statement: str
) -> None:
    """Copy rows into the session's own table like this one, for a statement that takes them from ``staged``."""
    if not rows:
        return
    staging, its_columns = f"staged_{table.name}", f"TABLE {table.schema}.{table.name} WITH NO DATA"
    connection.exec_driver_sql(f"CREATE TEMP TABLE IF NOT EXISTS {staging} ON COMMIT DELETE ROWS AS {its_columns}")
    _copy(connection, staging, layout, rows)
    taken = f"WITH staged AS (DELETE FROM {staging} RETURNING *)"  # noqa: S608 - a name of our own; none is left behind
    connection.exec_driver_sql(f"{taken} {statement}")


def _copy(connection: Connection, target: str, layout: _Layout, rows: Sequence[Sequence[Any]]) -> None:
    """Binary, which takes half of what text takes on either side."""
    if not rows:
        return
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    statement = f"COPY {target} ({', '.join(layout.columns)}) FROM STDIN (FORMAT binary)"
    with driver.cursor() as cursor:
        set_json_dumps(json_bytes, cursor)
        with cursor.copy(statement) as copy:
            copy.set_types(layout.types)
            for row in rows:
                copy.write_row(row)


def _key(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.primary_key.columns)


@cache
def _upsert_statement(table: Table) -> str:
    """In the order of the key, so that two writers meet the same rows in the same order."""
    key, names = _key(table), _layout(table).columns
    rest = [name for name in names if name not in key]
    listed, held, new = (", ".join(f"{of}{name}" for name in rest) for of in ("", "held.", "excluded."))
    return (
        f"INSERT INTO {table.schema}.{table.name} AS held ({', '.join(names)})"  # noqa: S608 - names of our own
        f" SELECT {', '.join(names)} FROM staged ORDER BY {', '.join(key)}"
        f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET ({listed}) = ROW({new})"
        f" WHERE ROW({held}) IS DISTINCT FROM ROW({new})"
    )


@cache
def _update_statement(table: Table, columns: tuple[str, ...]) -> str:
    """In the same order."""
    key = _key(table)
    return (
        f"UPDATE {table.schema}.{table.name} held"  # noqa: S608 - names of our own
        f" SET {', '.join(f'{name} = new.{name}' for name in columns)}"
        f" FROM (SELECT * FROM staged ORDER BY {', '.join(key)}) new"
        f" WHERE {' AND '.join(f'held.{name} = new.{name}' for name in key)}"
    )
