"""One database session for the small books of a source, where every statement is its own transaction."""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
from psycopg.rows import namedtuple_row
from sqlalchemy import Connection, Engine, TextClause, text
from sqlalchemy.dialects.postgresql.psycopg import dialect
from sqlalchemy.exc import DBAPIError

P = ParamSpec("P")
T = TypeVar("T")


class Desk:
    """Statements of a few threads, one at a time, through one session that lives as long as the work.

    Other processes recognise by the session whether its owner still lives, so it is never exchanged. What is lost with
    a crash of the server is lost with the work itself; nothing here waits for the disk. The statements go to psycopg
    itself: one of them is part of every request, and SQLAlchemy's share of it was the larger half. They ask for rows by
    their keys: a plan that was made while a table was small would read it whole ever after.
    """

    def __init__(self, db: Engine) -> None:
        self._connection = db.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._lock = threading.Lock()
        self._connection.execute(text("SET synchronous_commit = off; SET enable_seqscan = off"))
        driver: psycopg.Connection[Any] = self._connection.connection.driver_connection  # type: ignore[assignment]
        self._cursor = driver.cursor(row_factory=namedtuple_row)

    def __enter__(self) -> "Desk":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._lock:
            self._connection.invalidate()  # its settings are its own: the session goes, not back to the pool
            self._connection.close()

    def one(self, statement: TextClause, values: Mapping[str, Any]) -> Any:
        """Run a statement; its first row, whose columns are attributes, ``None`` where it gives none."""
        with self._lock:
            cursor = self._execute(statement, values)
            return cursor.fetchone() if cursor.description else None

    def all(self, statement: TextClause, values: Mapping[str, Any]) -> Sequence[Any]:
        """Run a statement; all its rows."""
        with self._lock:
            return self._execute(statement, values).fetchall()

    def _execute(self, statement: TextClause, values: Mapping[str, Any]) -> psycopg.Cursor[Any]:
        try:
            return self._cursor.execute(_written(statement), values)
        except psycopg.Error as error:  # everybody else expects SQLAlchemy's
            raise DBAPIError(None, None, error, hide_parameters=True) from None

    def do(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What some work makes of the session; it may be several statements, and nobody's come between."""
        with self._lock:
            return work(self._connection, *args, **kwargs)


@cache
def _written(statement: TextClause) -> bytes:
    """A statement as psycopg takes it."""
    return str(statement.compile(dialect=dialect())).encode()  # type: ignore[no-untyped-call]
