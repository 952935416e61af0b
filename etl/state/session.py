"""One database session for the state of a source, in which every statement is its own transaction."""

import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy import Connection, Engine

from etl.db.statements import Statements, fetch_all, fetch_one

P = ParamSpec("P")
T = TypeVar("T")
SQL = Statements("server")


class StateSession:
    """Runs the statements of several threads, one at a time, in one session that lives as long as the run.

    Other processes see by the session whether its owner is alive, so it is never replaced. Commits do not wait for the
    disk: what a crash of the server loses, the batch loses as well. Sequential scans are off: rows are found by key,
    and a plan made while a table was small would scan it forever.
    """

    def __init__(self, db: Engine) -> None:
        self._connection = db.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._lock = threading.Lock()
        fetch_one(self._connection, SQL.set_state_session)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._lock:
            self._connection.invalidate()  # its settings are its own: the session ends, it does not go back to the pool
            self._connection.close()

    def fetch_one(self, statement: bytes, values: Mapping[str, Any]) -> Any:
        """Run a statement → its first row, whose columns are attributes; ``None`` where it returns none."""
        return self.run(fetch_one, statement, values)

    def fetch_all(self, statement: bytes, values: Mapping[str, Any]) -> Sequence[Any]:
        """Run a statement → all its rows."""
        return self.run(fetch_all, statement, values)

    def run(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function with the connection; no other thread's statement comes in between."""
        with self._lock:
            return work(self._connection, *args, **kwargs)
