"""One database session for the state of a source, in which every statement is its own transaction."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from etl.db.connections import impatient
from etl.db.engine import CONFLICT, is_closed, is_silent, retried, server_message
from etl.db.statements import Statements, fetch_all, fetch_one
from etl.runtime.logs import event

P = ParamSpec("P")
T = TypeVar("T")
SQL = Statements("sessions")
POLL_SECONDS = 1.0

log = logging.getLogger(__name__)


class StateSession:
    """Runs the statements of several threads, one at a time, in one session that lives as long as the run.

    Other processes see by the session whether its owner is alive: where the server ends it, the run and its lease move
    to another, unless somebody has ended the run. Commits do not wait for the disk: what a crash of the server loses,
    the batch loses as well. Sequential scans are off: rows are found by key, and a plan made while a table was small
    would scan it forever.
    """

    def __init__(self, db: Engine, sleep: Callable[[float], None] = time.sleep) -> None:
        self._db, self._sleep, self._lock = db, sleep, threading.Lock()
        self._connection, self._identity = self._open()
        self._can_move = True

    def _open(self) -> tuple[Connection, Mapping[str, Any]]:
        connection = _connection_beside_another(self._db, self._sleep)
        try:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            return connection, fetch_one(connection, SQL.set_state_session)._asdict()
        except BaseException:
            _end(connection)
            raise

    def _move(self) -> bool:
        """Open another session in place of one that has ended; whether the run goes on in it."""
        connection, identity = self._open()
        if fetch_one(connection, SQL.move_run, self._identity) is None:
            _end(connection)
            return False
        _end(self._connection)
        self._connection, self._identity = connection, identity
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._lock:
            _end(self._connection)  # its settings are its own: it does not go back to the pool

    def fetch_one(self, statement: bytes, values: Mapping[str, Any]) -> Any:
        """Run a statement → its first row, whose columns are attributes; ``None`` where it returns none."""
        return self.run(fetch_one, statement, values)

    def fetch_all(self, statement: bytes, values: Mapping[str, Any]) -> Sequence[Any]:
        """Run a statement → all its rows."""
        return self.run(fetch_all, statement, values)

    def run(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function with the connection; no other thread's statement comes in between."""

        def attempt() -> T:
            try:
                return work(self._connection, *args, **kwargs)
            except DBAPIError as error:
                if not is_closed(self._connection):
                    raise
                self._can_move = self._can_move and not is_silent(error) and self._move()
                if not self._can_move:
                    raise
                return work(self._connection, *args, **kwargs)

        with self._lock:
            return retried(attempt, self._sleep, CONFLICT)


def _connection_beside_another(db: Engine, sleep: Callable[[float], None]) -> Connection:
    """A connection, once there is a second one too: of runs that each hold one and wait for another none goes on."""
    has_waited = False
    while True:
        connection: Connection | None = None
        try:
            with impatient():
                connection = db.connect()
                db.connect().close()
            return connection
        except DBAPIError as error:
            if connection is not None:
                _end(connection)
            reason = server_message(error)
            if reason is None:
                raise
            if not has_waited:
                event(log, "waiting_for_connection", level=logging.WARNING, reason=reason)
            has_waited = True
            sleep(POLL_SECONDS)


def _end(connection: Connection) -> None:
    connection.invalidate()
    connection.close()
