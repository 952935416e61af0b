"""When the next request of a source may be sent: one budget for every process that reads it."""

import logging
import threading
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from etl.client.errors import PauseReason
from etl.db.statements import Statements
from etl.model import Source
from etl.runtime.clock import Clock
from etl.runtime.logs import event
from etl.state.adaptive_rate import adaptive_rate, current_rate, decrease
from etl.state.lease import TERM, Lease, Priority
from etl.state.session import StateSession

log = logging.getLogger(__name__)

SQL, SOURCES = Statements("rate_limits"), Statements("sources")
MINUTE = timedelta(minutes=1)
# A lower priority leaves the rest of the burst to the higher ones, whose requests so need not wait.
SHARE = {Priority.HEAD: 1.0, Priority.LOOKBACK: 2 / 3, Priority.BACKFILL: 1 / 3}


class RateLimiter:
    """Lets the requests of a source through: a sixth of a minute's at once, the others evenly spaced.

    The rate is the configured one, or the lower one that the provider's refusals left. Threads may share it.
    """

    def __init__(self, state: StateSession, lease: Lease, source: Source, clock: Clock) -> None:
        self._state, self._lease, self._source, self._clock = state, lease, source, clock
        self._lock = threading.Lock()  # one thread waits for the next slot, the others for that thread
        self._next_slot = clock.monotonic()  # before that only a burst may send
        row = state.fetch_one(SQL.start_rate_limit, {"source": source.name, "configured": source.requests_per_minute})
        self._adaptive = adaptive_rate(row) if row else None

    def acquire(self) -> int:
        """Wait until a request may be sent → its number, which orders its response among all others."""
        with self._lock:
            now = self._clock.now()
            wait_seconds = self._next_slot - self._clock.monotonic() - self._early(now).total_seconds()
            while True:
                self._sleep(wait_seconds)
                earliest = now + timedelta(seconds=max(wait_seconds, 0))
                now = max(self._clock.now(), earliest)  # a clock that is set back lengthens no wait
                row = self._reserve(now)
                if row.seq is not None:
                    self._next_slot = self._clock.monotonic() + (row.next_slot_at - now).total_seconds()
                    return int(row.seq)
                wait_seconds = (row.send_at - now).total_seconds()

    def _reserve(self, now: datetime) -> Any:
        """Reserve a slot → a row with the number of the request, or with the time to ask again."""
        values = {"now": now, "early": self._early(now), "interval": MINUTE / self._rate(now)}
        row = self._state.fetch_one(SQL.reserve_request, {"source": self._source.name, **values})
        if row is None:
            raise LookupError(f"source {self._source.name} is not registered")
        self._adaptive = adaptive_rate(row)
        return row

    def _sleep(self, seconds: float) -> None:
        """Sleep, and renew the lease meanwhile."""
        self._lease.renew()
        while seconds > 0:
            nap_seconds = min(seconds, TERM.total_seconds() / 3)
            self._clock.sleep(nap_seconds)
            self._lease.renew()
            seconds -= nap_seconds

    def _rate(self, now: datetime) -> float:
        return current_rate(self._source.requests_per_minute, self._adaptive, now)

    def _early(self, now: datetime) -> timedelta:
        """How long before its evenly spaced slot a request of this priority may be sent."""
        rate = self._rate(now)
        return MINUTE / rate * ((max(1, ceil(rate / 6)) - 1) * SHARE[self._lease.priority])

    def back_off_until(self, until: datetime) -> None:
        """Store the provider's Retry-After: it holds for every process, and after a restart."""
        self._state.fetch_one(
            SQL.back_off_until, {"source": self._source.name, "until": until, "now": self._clock.now()}
        )

    def on_rate_limited(self, seq: int) -> None:
        """Lower the rate of every process, as the provider refused this request; the refusals of a burst count once."""
        now = self._clock.now()
        rate = decrease(self._rate(now))
        values = {"source": self._source.name, "rate": rate, "now": now, "seq": seq}
        row = self._state.fetch_one(SQL.lower_rate, values)
        if row is not None:
            self._adaptive = adaptive_rate(row)
            event(log, "rate_lowered", source=self._source.name, requests_per_minute=round(rate, 1))

    def suspend(self, until: datetime, reason: PauseReason) -> None:
        """Pause the source: its credentials or its account are refused."""
        values = {"source": self._source.name, "until": until, "reason": reason}
        self._state.fetch_one(SOURCES.pause_source, values)
