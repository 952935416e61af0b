"""The right to write a source's data: one holder at a time, and none that slept through its end."""

import os
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, TextClause, text

from etl.clock import Clock
from etl.state.desk import Desk

TERM = timedelta(minutes=3)  # longer than the longest request and the longest wait before it is tried again
POLL_SECONDS = 0.2

# Free, over, or held by a session that is gone: only then it changes hands, and the epoch tells the holders apart.
TAKE = text("""
    UPDATE ops.leases l
       SET epoch = epoch + 1, owner = :owner, expires_at = :now + :term,
           backend = pg_backend_pid(),
           backend_started_at = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
     WHERE source = :source
       AND (owner IS NULL OR expires_at < :now OR owner = :owner
            OR NOT EXISTS (SELECT FROM pg_stat_activity a
                            WHERE a.pid = l.backend
                              AND (a.backend_start IS NULL OR a.backend_start = l.backend_started_at)))
    RETURNING epoch
""")
RENEW = text("UPDATE ops.leases SET expires_at = :now + :term WHERE source = :source AND owner = :owner")
# Whoever waits holds this until it is their turn, so that a holder who gives up between two batches comes after them.
# It goes with the session.
QUEUE = text("SELECT true WHERE pg_try_advisory_lock(hashtextextended('callhouse.lease.' || :source, 0))")
LEAVE_QUEUE = text("SELECT pg_advisory_unlock(hashtextextended('callhouse.lease.' || :source, 0))")
GIVE_UP = text("UPDATE ops.leases SET owner = NULL WHERE source = :source AND owner = :owner")
FENCE = text("SELECT FROM ops.leases WHERE source = :source AND owner = :owner AND epoch = :epoch FOR UPDATE")


class LeaseLost(Exception):
    """Somebody else holds the source by now: what was read and not yet written is left to them."""


class Lease:
    """One process's turn at a source: taken before a batch is read, checked and given up as it is written."""

    def __init__(self, desk: Desk, db: Engine, source: str, clock: Clock) -> None:
        self._desk, self._db, self._source, self._clock = desk, db, source, clock
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._epoch: int | None = None
        self._told = False

    @property
    def owner(self) -> str:
        """Who this process is in the books."""
        return self._owner

    def take(self, waiting: Callable[[], None]) -> None:
        """Wait for this process's turn and take it; ``waiting`` is called the first time that it has to wait."""
        if self._epoch is not None:
            return
        self._poll(QUEUE, waiting)
        try:
            self._epoch = self._poll(TAKE, waiting)[0]
        finally:
            self._desk.one(LEAVE_QUEUE, {"source": self._source})

    def _poll(self, statement: TextClause, waiting: Callable[[], None]) -> Row[Any]:
        while (row := self._desk.one(statement, self._values())) is None:
            if not self._told:
                waiting()
                self._told = True
            self._clock.sleep(POLL_SECONDS)
        return row

    def renew(self) -> None:
        """Hold it for another term, if it is held."""
        if self._epoch is not None:
            self._desk.one(RENEW, self._values())

    def give_up(self) -> None:
        """Let others have their turn."""
        if self._epoch is not None:
            self._desk.one(GIVE_UP, {"source": self._source, "owner": self._owner})
            self._epoch = None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction in which only the holder writes; raises :class:`LeaseLost` before anything is written."""
        with self._db.begin() as connection:
            values = {"source": self._source, "owner": self._owner, "epoch": self._epoch}
            if connection.execute(FENCE, values).first() is None:
                self._epoch = None
                raise LeaseLost(f"{self._source}: another process took the source over")
            yield connection

    def _values(self) -> dict[str, object]:
        return {"source": self._source, "owner": self._owner, "now": self._clock.now(), "term": TERM}
