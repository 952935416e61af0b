"""The files of ``etl/db/queries`` → named SQL statements, and the one way to run them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

QUERIES = Path(__file__).parent / "queries"
PACKAGE = Path(__file__).resolve().parent.parent
IN_WHEEL = PACKAGE / "migrations"
MIGRATIONS = IN_WHEEL if IN_WHEEL.is_dir() else PACKAGE.parent / "migrations"
_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_COMMENT = re.compile(r"^\s*--.*\n", re.MULTILINE)
_PLACEHOLDER = re.compile(r"(?<![:\w]):([a-z]\w*)")
_NOTHING: Mapping[str, Any] = {}


class Statements:
    """The statements of one file, each an attribute by its name: ``-- name: acquire_lease``."""

    def __init__(self, subject: str) -> None:
        _, *parts = _NAME.split((QUERIES / f"{subject}.sql").read_text("utf-8"))
        self._statements = {name: _as_psycopg(sql) for name, sql in zip(parts[::2], parts[1::2], strict=True)}

    def __getattr__(self, name: str) -> bytes:
        try:
            return self._statements[name]
        except KeyError:
            raise AttributeError(name) from None


def _as_psycopg(sql: str) -> bytes:
    """``:name`` → ``%(name)s``, without comments."""
    return _PLACEHOLDER.sub(r"%(\1)s", _COMMENT.sub("", sql).strip().replace("%", "%%")).encode()


def fetch_all(connection: Connection, statement: bytes, values: Mapping[str, Any] = _NOTHING) -> Sequence[Any]:
    """Run a statement → its rows, whose columns are attributes.

    It goes to psycopg itself: of a short statement, SQLAlchemy's share is the larger half.
    """
    cursor = _execute(connection, statement, values)
    return () if cursor.rownumber is None else cursor.fetchall()


def fetch_one(connection: Connection, statement: bytes, values: Mapping[str, Any] = _NOTHING) -> Any:
    """Run a statement → its first row, ``None`` where it returns none."""
    cursor = _execute(connection, statement, values)
    return None if cursor.rownumber is None else cursor.fetchone()


def fetch_value(connection: Connection, statement: bytes, values: Mapping[str, Any] = _NOTHING) -> Any:
    """Run a statement → the first column of its first row, ``None`` where it returns none."""
    row = fetch_one(connection, statement, values)
    return row[0] if row else None


def execute(connection: Connection, statement: bytes, values: Mapping[str, Any] = _NOTHING) -> int:
    """Run a statement → the number of rows that it changed."""
    return _execute(connection, statement, values).rowcount


def _execute(connection: Connection, statement: bytes, values: Mapping[str, Any]) -> psycopg.Cursor[Any]:
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    try:
        return driver.cursor(row_factory=namedtuple_row).execute(statement, values)
    except psycopg.Error as error:
        raise DBAPIError(None, None, error, hide_parameters=True) from None
