"""The right to write a source's data: one owner at a time, and none that has not renewed its lease for a term.

Whoever waits measures the term by its own clock that never steps: no time of one machine is compared with another's.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import IntEnum

from sqlalchemy import Connection, Engine

from etl.db.statements import Statements, execute
from etl.runtime.clock import Clock
from etl.runtime.tracing import span
from etl.state.session import StateSession

SQL = Statements("leases")
TERM = timedelta(minutes=3)  # longer than the longest request and the longest wait before a retry
RENEW_SECONDS = 30.0
POLL_SECONDS = 0.2
PATIENCE_SECONDS = TERM.total_seconds()


class Priority(IntEnum):
    """What goes first at a source: the lease is given to the lowest number that waits."""

    HEAD = 1  # the newest pages, and what a person waits for
    LOOKBACK = 2  # the last days once more, for late changes
    BACKFILL = 3  # older history


class LeaseLost(Exception):
    """Another process owns the source now: what was read and is not written is left to it."""


class Lease:
    """The lease of one process on a source: acquired before a batch is read, checked and released as it is written."""

    def __init__(self, state: StateSession, db: Engine, source: str, clock: Clock) -> None:
        self._state, self._db, self._source, self._clock = state, db, source, clock
        self._fencing_token: int | None = None
        self._renewed_at = 0.0
        self._renewal: tuple[int | None, float] = (
            None,
            clock.monotonic(),
        )  # that of the owner, and since when it is known
        self.priority = Priority.HEAD
        self._has_waited = False
        self.erasures = 0  # how many people were erased by then

    def acquire(self, on_wait: Callable[[], None]) -> None:
        """Wait for the lease and take it; ``on_wait`` is called the first time that it is not free."""
        if self._fencing_token is not None or self._try_acquire(before=self.priority + 1):
            return
        began, queues = self._clock.monotonic(), set[Priority]()
        try:
            while not self._acquire_in_turn(self._clock.monotonic() - began, queues):
                if not self._has_waited:
                    on_wait()
                    self._has_waited = True
                self._clock.sleep(POLL_SECONDS)
        finally:
            for priority in queues:
                self._state.fetch_one(SQL.leave_queue, {"source": self._source, "priority": int(priority)})

    def _acquire_in_turn(self, waited_seconds: float, queues: set[Priority]) -> bool:
        """Queue up and try; after a whole term, ahead of every priority, even of a queue that does not move."""
        is_patient = waited_seconds < PATIENCE_SECONDS
        priority = self.priority if is_patient else Priority.HEAD
        values = {"source": self._source, "priority": int(priority)}
        if priority not in queues and self._state.fetch_one(SQL.enter_queue, values):
            queues.add(priority)
        if is_patient and priority not in queues:
            return False
        return self._try_acquire(before=priority)

    def _try_acquire(self, before: int) -> bool:
        """Take the lease if it is free and nobody waits with a priority before this one."""
        now, (renewal, known_since) = self._clock.monotonic(), self._renewal
        expired = renewal if now - known_since > TERM.total_seconds() else None
        row = self._state.fetch_one(SQL.acquire_lease, self._values() | {"before": before, "expired": expired})
        if row is not None:
            self._fencing_token, self._renewed_at, self.erasures = row.fencing_token, now, row.erasures
            return True
        current = self._state.fetch_one(SQL.renewal, {"source": self._source}).renewal
        if current != renewal:
            self._renewal = (current, now)
        return False

    def renew(self) -> None:
        """Extend the lease by a term, if it is owned and was not renewed lately."""
        if self._fencing_token is not None and self._clock.monotonic() - self._renewed_at >= RENEW_SECONDS:
            self._renewed_at = self._clock.monotonic()
            self._state.fetch_one(SQL.renew_lease, self._values())

    def release(self) -> None:
        """Let another process have the source."""
        if self._fencing_token is not None:
            self._state.fetch_one(SQL.release_lease, self._values())
            self._fencing_token = None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction that only the owner of the lease can write in; its commit releases the lease.

        Raises :class:`LeaseLost` before anything is written.
        """
        with span("batch", source=self._source), self._db.begin() as connection:
            values = self._values() | {"fencing_token": self._fencing_token}
            if not execute(connection, SQL.release_lease_fenced, values):
                self._fencing_token = None
                raise LeaseLost("another process took over this source")
            yield connection
        self._fencing_token = None

    def _values(self) -> dict[str, object]:
        return {"source": self._source, "owner": self._state.owner}
