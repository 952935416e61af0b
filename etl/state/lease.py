"""The right to write a source's data: one holder at a time, and none that slept through its end."""

import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import IntEnum

from sqlalchemy import Connection, Engine

from etl.db.statements import Statements, execute
from etl.runtime.clock import Clock
from etl.runtime.tracing import span
from etl.state.session import StateSession

TERM = timedelta(minutes=3)  # longer than the longest request and the longest wait before it is tried again
RENEW_SECONDS = 30.0
POLL_SECONDS = 0.2
PATIENCE_SECONDS = TERM.total_seconds()

SQL = Statements("leases")


class Priority(IntEnum):
    """Whose work at a source goes first: a turn is given to the lowest number that waits for one."""

    HEAD = 1  # the head, and what somebody waits for
    LOOKBACK = 2  # the newest stretch once more, for what changes late
    BACKFILL = 3  # what lies further back


class LeaseLost(Exception):
    """Somebody else holds the source by now: what was read and not yet written is left to them."""


class Lease:
    """One process's turn at a source: taken before a batch is read, checked and given up as that is written.

    ``lane`` is that of the work in hand.
    """

    def __init__(self, desk: StateSession, db: Engine, source: str, clock: Clock) -> None:
        self._desk, self._db, self._source, self._clock = desk, db, source, clock
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._fencing_token: int | None = None
        self._renewed_at = 0.0
        self.priority = Priority.HEAD
        self._told = False

    @property
    def owner(self) -> str:
        """Who this process is in the books."""
        return self._owner

    def acquire(self, waiting: Callable[[], None]) -> None:
        """Wait for this process's turn and take it; ``waiting`` is called the first time that it has to wait."""
        if self._fencing_token is not None or self._takes(before=self.priority + 1):
            return
        began, queues = self._clock.monotonic(), set[Priority]()
        try:
            while not self._has_its_turn(self._clock.monotonic() - began, queues):
                if not self._told:
                    waiting()
                    self._told = True
                self._clock.sleep(POLL_SECONDS)
        finally:
            for lane in queues:
                self._desk.fetch_one(SQL.leave_queue, {"source": self._source, "priority": int(lane)})

    def _has_its_turn(self, waited: float, queues: set[Priority]) -> bool:
        """Queue up and try; who waited for a whole term goes before any lane, and past a queue that stands still."""
        patient = waited < PATIENCE_SECONDS
        lane = self.priority if patient else Priority.HEAD
        values = {"source": self._source, "priority": int(lane)}
        if lane not in queues and self._desk.fetch_one(SQL.enter_queue, values):
            queues.add(lane)
        if patient and lane not in queues:
            return False
        return self._takes(before=lane)

    def _takes(self, before: int) -> bool:
        """Take it where it can be had and nobody waits in a lane before this one."""
        row = self._desk.fetch_one(SQL.acquire_lease, self._values() | {"before": before})
        if row is not None:
            self._fencing_token, self._renewed_at = row.fencing_token, self._clock.monotonic()
        return row is not None

    def renew(self) -> None:
        """Hold it for another term, if it is held and was not just renewed."""
        if self._fencing_token is not None and self._clock.monotonic() - self._renewed_at >= RENEW_SECONDS:
            self._renewed_at = self._clock.monotonic()
            self._desk.fetch_one(SQL.renew_lease, self._values())

    def release(self) -> None:
        """Let others have their turn."""
        if self._fencing_token is not None:
            self._desk.fetch_one(SQL.release_lease, {"source": self._source, "owner": self._owner})
            self._fencing_token = None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction in which only the holder writes, and whose commit ends the turn.

        Raises :class:`LeaseLost` before anything is written.
        """
        with span("batch", source=self._source), self._db.begin() as connection:
            values = {"source": self._source, "owner": self._owner, "fencing_token": self._fencing_token}
            if not execute(connection, SQL.release_lease_fenced, values):
                self._fencing_token = None
                raise LeaseLost("another process took over this source")
            yield connection
        self._fencing_token = None

    def _values(self) -> dict[str, object]:
        return {"source": self._source, "owner": self._owner, "now": self._clock.now(), "term": TERM}
