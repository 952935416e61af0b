"""Rows ↔ a table: copied straight in, or through a staging table to where they are new or differ."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import cache, lru_cache
from operator import attrgetter
from struct import Struct
from typing import Any

import psycopg
from psycopg.types.numeric import DecimalBinaryDumper
from psycopg.types.string import BytesBinaryDumper
from sqlalchemy import Connection, Table
from sqlalchemy.dialects.postgresql import dialect

from etl.db.engine import json_bytes
from etl.db.statements import fetch_all


def fetch(connection: Connection, table: Table, columns: tuple[str, ...], keys: str) -> Sequence[Any]:
    """Some columns of the rows with these keys, an array of uuid as text."""
    return fetch_all(connection, _fetch_statement(table, columns), {"keys": keys})


def append(connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Sequence[Any]]) -> None:
    """Copy new rows, their values in the order of ``columns``; one that is there already is an error."""
    _copy(connection, f"{table.schema}.{table.name}", table, columns, rows)


def upsert(connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Sequence[Any]]) -> None:
    """Insert or update rows, their values in the order of ``columns``; equal rows are not written."""
    _write_staged(connection, table, columns, rows, _upsert_statement(table, columns))


def update(connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Sequence[Any]]) -> None:
    """Set some columns of existing rows; each row has its primary key and then these columns."""
    if columns:
        _write_staged(connection, table, (*_key(table), *columns), rows, _update_statement(table, columns))


def _write_staged(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[Sequence[Any]], statement: str
) -> None:
    """Copy rows into a temporary table like this one, for a statement that reads them from ``staged``."""
    if not rows:
        return
    staging, definition = f"staged_{table.name}", f"TABLE {table.schema}.{table.name} WITH NO DATA"
    connection.exec_driver_sql(f"CREATE TEMP TABLE IF NOT EXISTS {staging} ON COMMIT DELETE ROWS AS {definition}")
    _copy(connection, staging, table, columns, rows)
    staged = f"WITH staged AS (DELETE FROM {staging} RETURNING *)"  # noqa: S608 - a name of our own; leaves it empty
    connection.exec_driver_sql(f"{staged} {statement}")


def _copy(
    connection: Connection, target: str, table: Table, columns: tuple[str, ...], rows: Sequence[Sequence[Any]]
) -> None:
    """Binary COPY takes half the time of text on either side, and finished bytes of some types again half.

    psycopg writes keys, JSON and arrays in Python, and takes as long for a number as for twenty texts.
    """
    if not rows:
        return
    types = _types(table, columns)
    packers = [(n, PACKERS[name]) for n, name in enumerate(types) if name in PACKERS]
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    with driver.cursor() as cursor:
        cursor.adapters.register_dumper(bytes, BytesBinaryDumper)
        with cursor.copy(f"COPY {target} ({', '.join(columns)}) FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["bytea" if name in PACKERS else name for name in types])
            for row in rows:
                values = list(row)
                for n, pack in packers:
                    if (value := values[n]) is not None:
                        values[n] = pack(value)
                copy.write_row(values)


def _pack_json(value: Any) -> bytes:
    return b"\1" + json_bytes(value)


@lru_cache(maxsize=1 << 12)
def _pack_number(text: str) -> bytes:
    return bytes(_numbers.dump(Decimal(text)) or b"")


def _pack_array(element: int, pack: Callable[[Any], bytes]) -> Callable[[Sequence[Any]], bytes]:
    """The packer of an array without nulls, of elements of a type with this OID."""
    empty = _EMPTY.pack(0, 0, element)

    def packed(values: Sequence[Any]) -> bytes:
        parts = [part for value in values for bare in [pack(value)] for part in (_SIZE.pack(len(bare)), bare)]
        return b"".join([_ARRAY.pack(1, 0, element, len(values), 1), *parts]) if values else empty

    return packed


_numbers = DecimalBinaryDumper(Decimal)
_SIZE, _EMPTY, _ARRAY = Struct(">i"), Struct(">iiI"), Struct(">iiIii")
_key_bytes: Callable[[Any], bytes] = attrgetter("bytes")
PACKERS: dict[str, Callable[[Any], bytes]] = {
    "uuid": _key_bytes,
    "jsonb": _pack_json,
    "numeric": lambda value: _pack_number(str(value)),  # costs and durations are often the same
    "text[]": _pack_array(25, str.encode),
    "uuid[]": _pack_array(2950, _key_bytes),
}
"""Values → the bytes in which COPY takes them."""


@cache
def _types(table: Table, columns: tuple[str, ...]) -> list[str]:
    """The PostgreSQL types of some columns, as COPY needs them."""
    return [table.c[name].type.compile(dialect=dialect()).lower() for name in columns]  # type: ignore[no-untyped-call]


def _key(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.primary_key.columns)


@cache
def _fetch_statement(table: Table, columns: tuple[str, ...]) -> bytes:
    (key,) = _key(table)
    rows = f"FROM {table.schema}.{table.name} WHERE {key} = ANY(CAST(%(keys)s AS uuid[]))"
    return f"SELECT {', '.join(columns)} {rows}".encode()


@cache
def _upsert_statement(table: Table, names: tuple[str, ...]) -> str:
    """Ordered by key, so that two writers lock rows in the same order."""
    key = _key(table)
    rest = [name for name in names if name not in key]
    targets, stored, new = (", ".join(f"{prefix}{name}" for name in rest) for prefix in ("", "stored.", "excluded."))
    return (
        f"INSERT INTO {table.schema}.{table.name} AS stored ({', '.join(names)})"  # noqa: S608 - names of our own
        f" SELECT {', '.join(names)} FROM staged ORDER BY {', '.join(key)}"
        f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET ({targets}) = ROW({new})"
        f" WHERE ROW({stored}) IS DISTINCT FROM ROW({new})"
    )


@cache
def _update_statement(table: Table, columns: tuple[str, ...]) -> str:
    """Ordered by key as well."""
    key = _key(table)
    return (
        f"UPDATE {table.schema}.{table.name} stored"  # noqa: S608 - names of our own
        f" SET {', '.join(f'{name} = new.{name}' for name in columns)}"
        f" FROM (SELECT * FROM staged ORDER BY {', '.join(key)}) new"
        f" WHERE {' AND '.join(f'stored.{name} = new.{name}' for name in key)}"
    )
