"""Rows → a table: copied straight in, or into a staging table and from there wherever they are new or differ."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import psycopg
from psycopg.types.json import set_json_dumps
from sqlalchemy import Column, Connection, Insert, MetaData, Table, or_, select
from sqlalchemy.dialects.postgresql import dialect, insert

from etl.database import json_bytes


class _Layout(NamedTuple):
    """A table as COPY sees it: the columns that a row gives, and their types by PostgreSQL's names."""

    columns: tuple[str, ...]
    types: tuple[str, ...]


@cache
def _layout(table: Table) -> _Layout:
    given = [column for column in table.columns if column.identity is None]
    kinds = (column.type.compile(dialect=dialect()).lower() for column in given)  # type: ignore[no-untyped-call]
    return _Layout(tuple(column.name for column in given), tuple(kinds))


def append(connection: Connection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    """Copy rows of a table, their values in the order of its columns, into it: none of them may be there already."""
    _copy(connection, f"{table.schema}.{table.name}", _layout(table), rows)


def upsert(
    connection: Connection, table: Table, rows: Sequence[Sequence[Any]], compared: Sequence[str] | None = None
) -> None:
    """Put rows into a table where they are new or differ: in any column, or in ``compared`` where these are named."""
    if not rows:
        return
    staging = f"staged_{table.name}"
    connection.exec_driver_sql(
        f"CREATE TEMP TABLE IF NOT EXISTS {staging} (LIKE {table.schema}.{table.name}) ON COMMIT DELETE ROWS"
    )
    connection.exec_driver_sql(f"TRUNCATE {staging}")
    _copy(connection, staging, _layout(table), rows)
    connection.execute(_merge_statement(table, tuple(compared) if compared else None))


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


@cache
def _merge_statement(table: Table, compared: tuple[str, ...] | None) -> Insert:
    """``INSERT … SELECT … FROM staging ON CONFLICT (primary key) DO UPDATE … WHERE any column is distinct``.

    Ordered by the key, so that two writers meet the same rows in the same order.
    """
    staged = Table(f"staged_{table.name}", MetaData(), *(Column(c.name, c.type) for c in table.columns))
    in_order = [staged.c[column.name] for column in table.primary_key.columns]
    columns = [column.name for column in table.columns]
    statement = insert(table).from_select(columns, select(staged).order_by(*in_order))
    rest = compared or tuple(name for name in columns if name not in table.primary_key.columns)
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={name: statement.excluded[name] for name in rest},
        where=or_(*(table.c[name].is_distinct_from(statement.excluded[name]) for name in rest)),
    )
