"""One database session for the small books of a source, where every statement is its own transaction."""

import threading
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, TextClause, text
from sqlalchemy.dialects.postgresql.psycopg import dialect
from sqlalchemy.exc import DBAPIError

P = ParamSpec("P")
T = TypeVar("T")


class StateSession:
    """Statements of a few threads, one at a time, through one session that lives as long as the work.

    Other processes recognise by the session whether its owner still lives, so it is never exchanged. What is lost with
    a crash of the server is lost with the work itself; nothing here waits for the disk. The statements go to psycopg
    itself: one of them is part of every request, and SQLAlchemy's share of it was the larger half. They ask for rows by
    their keys: a plan that was made while a table was small would read it whole ever after.
    """

    def __init__(self, db: Engine) -> None:
        self._connection = db.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._lock = threading.Lock()
        self._rows: dict[TextClause, Any] = {}  # what each statement's rows are called by: it says so once
        self._connection.execute(text("SET synchronous_commit = off; SET enable_seqscan = off"))
        driver: psycopg.Connection[Any] = self._connection.connection.driver_connection  # type: ignore[assignment]
        self._cursor = driver.cursor()

    def __enter__(self) -> "StateSession":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._lock:
            self._connection.invalidate()  # its settings are its own: the session goes, not back to the pool
            self._connection.close()

    def fetch_one(self, statement: TextClause, values: Mapping[str, Any]) -> Any:
        """Run a statement; its first row, whose columns are attributes, ``None`` where it gives none."""
        rows = self.fetch_all(statement, values)
        return rows[0] if rows else None

    def fetch_all(self, statement: TextClause, values: Mapping[str, Any]) -> Sequence[Any]:
        """Run a statement; all its rows, none of one that gives none."""
        with self._lock:
            try:
                cursor = self._cursor.execute(_written(statement), values)
            except psycopg.Error as error:  # everybody else expects SQLAlchemy's
                raise DBAPIError(None, None, error, hide_parameters=True) from None
            if cursor.rownumber is None:
                return ()
            if statement not in self._rows:
                self._rows[statement] = namedtuple(
                    "Row", [column.name for column in cursor.description or ()], rename=True
                )
            return [*map(self._rows[statement]._make, cursor.fetchall())]

    def run(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What some work makes of the session; it may be several statements, and nobody's come between."""
        with self._lock:
            return work(self._connection, *args, **kwargs)


@cache
def _written(statement: TextClause) -> bytes:
    """A statement as psycopg takes it."""
    return str(statement.compile(dialect=dialect())).encode()  # type: ignore[no-untyped-call]
