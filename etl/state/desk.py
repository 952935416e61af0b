"""One database session for the small books of a source, where every statement is its own transaction."""

import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, Row, TextClause, text

P = ParamSpec("P")
T = TypeVar("T")


class Desk:
    """Statements of a few threads, one at a time, through one session that lives as long as the work.

    Other processes recognise by the session whether its owner still lives, so it is never exchanged. What is lost with
    a crash of the server is lost with the work itself; nothing here waits for the disk.
    """

    def __init__(self, db: Engine) -> None:
        self._connection = db.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._lock = threading.Lock()
        self._connection.execute(text("SET synchronous_commit = off"))

    def __enter__(self) -> "Desk":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._lock:
            self._connection.invalidate()  # its settings are its own: the session goes, not back to the pool
            self._connection.close()

    def one(self, statement: TextClause, values: Mapping[str, Any]) -> Row[Any] | None:
        """Run a statement; its first row, if it gives any."""
        with self._lock:
            result = self._connection.execute(statement, values)
            return result.first() if result.returns_rows else None

    def all(self, statement: TextClause, values: Mapping[str, Any]) -> Sequence[Row[Any]]:
        """Run a statement; all its rows."""
        with self._lock:
            return self._connection.execute(statement, values).all()

    def do(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What some work makes of the session; it may be several statements, and nobody's come between."""
        with self._lock:
            return work(self._connection, *args, **kwargs)
