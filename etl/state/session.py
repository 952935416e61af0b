"""One database session for the state of a source, in which every statement is its own transaction."""

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from queue import Empty, Full, LifoQueue
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from etl.db.connections import impatient
from etl.db.engine import CONFLICT, is_closed, is_silent, retried, server_message
from etl.db.statements import Statements, execute, fetch_all, fetch_one
from etl.runtime.logs import event

P = ParamSpec("P")
T = TypeVar("T")
SQL = Statements("sessions")
POLL_SECONDS = 1.0
IdleSessions = LifoQueue[Connection]
"""Sessions that runs which succeeded have left to later ones: to open one costs more than all else of a quiet run."""

log = logging.getLogger(__name__)


class StateSession:
    """Runs the statements of several threads, one at a time, in one session that lives as long as the run.

    Other processes see by the session whether its owner is alive: where the server ends it, the run and its lease move
    to another, unless somebody has ended the run. Commits do not wait for the disk: what a crash of the server loses,
    the batch loses as well. Sequential scans are off: rows are found by key, and a plan made while a table was small
    would scan it forever.
    """

    def __init__(
        self, db: Engine, sleep: Callable[[float], None] = time.sleep, idle: IdleSessions | None = None
    ) -> None:
        self._db, self._sleep, self._idle, self._lock = db, sleep, idle, threading.Lock()
        self._connection = self._open()
        self._can_move = True
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"  # what its run and lease belong to
        self.is_reusable = False  # nothing is left open in it: another run may have it once this one is over

    def _open(self) -> Connection:
        return _session_beside_a_connection(self._db, self._sleep, self._idle)

    def _move(self) -> bool:
        """Open another session in place of one that has ended; whether the run goes on in it."""
        left, is_moved = self._open(), False
        try:
            is_moved = fetch_one(left, SQL.move_run, {"owner": self.owner}) is not None
            if is_moved:
                left, self._connection = self._connection, left
        finally:
            _end(left)
        return is_moved

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._lock:
            is_left = self.is_reusable and error is None and not is_closed(self._connection)
            if not (is_left and self._idle and _leave(self._connection, self._idle)):
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


def _session_beside_a_connection(db: Engine, sleep: Callable[[float], None], idle: IdleSessions | None) -> Connection:
    """A session, once there is a connection too: of runs that each hold one and wait for another none goes on."""
    has_waited = False
    while True:
        connection: Connection | None = None
        try:
            with impatient():
                connection = (_idle_session(idle) if idle else None) or _new_session(db)
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


def _idle_session(idle: IdleSessions) -> Connection | None:
    """A session that an earlier run has left and that is alive."""
    while True:
        try:
            connection = idle.get_nowait()
        except Empty:
            return None
        try:
            execute(connection, SQL.ping)
            return connection
        except DBAPIError:
            _end(connection)


def _leave(connection: Connection, idle: IdleSessions) -> bool:
    """Leave a session to a later run; whether there is a place for it."""
    try:
        idle.put_nowait(connection)
    except Full:
        return False
    return True


def _new_session(db: Engine) -> Connection:
    connection = db.connect()
    try:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        execute(connection, SQL.set_state_session)
    except BaseException:
        _end(connection)
        raise
    return connection


def end_idle(idle: IdleSessions) -> None:
    """End the sessions that nobody needs any more."""
    with suppress(Empty):
        while True:
            _end(idle.get_nowait())


def _end(connection: Connection) -> None:
    connection.invalidate()
    connection.close()
