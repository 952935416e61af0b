"""When the next request of a source may be sent: one budget for all the processes that read it."""

import logging
import threading
from datetime import datetime, timedelta
from functools import lru_cache
from math import ceil
from typing import Any

from sqlalchemy import text

from etl.client.errors import PauseReason
from etl.model import Source
from etl.runtime.clock import Clock
from etl.runtime.logs import event
from etl.state.adaptive_rate import AdaptiveRate, current_rate, decrease
from etl.state.lease import TERM, Lease, Priority
from etl.state.session import StateSession

log = logging.getLogger(__name__)

MINUTE = timedelta(minutes=1)
# As many turns as fall within a moment are asked for at once, as a block; at 60 a minute that is one. Those that nobody
# uses are lost: a hundredth of the burst at most. Requests of two processes may then go in another order than their
# numbers say, as they may on the wire, but none that are further apart than a moment.
MOMENT = timedelta(seconds=0.1)
BLOCK = 50  # turns at most
# A lower lane leaves the rest of the burst to those above it, who so find room at once.
SHARE = {Priority.HEAD: 1.0, Priority.LOOKBACK: 2 / 3, Priority.BACKFILL: 1 / 3}

# Another configured rate starts anew.
START = text("""
    UPDATE ops.rate_limits
       SET requests_per_minute = :configured,
           adaptive_rate_per_minute = CASE WHEN requests_per_minute = :configured THEN adaptive_rate_per_minute END,
           adapted_at = CASE WHEN requests_per_minute = :configured THEN adapted_at END
     WHERE source = :source
    RETURNING adaptive_rate_per_minute, adapted_at
""")
# The generic cell rate algorithm (ITU-T I.371): a request that comes early uses up the burst, the rest go evenly.
# What lies further ahead than it can was written before a clock was set back, and counts no longer. The numbers are
# taken as the requests are let through, never before: they order their answers among all others. A block is let through
# where all of it may go now, and counted as if it went at the end of its moment: whenever in it each of them goes, no
# span of time has more requests than if each had asked for itself.
SEND = text("""
    WITH book AS (
        SELECT CASE WHEN next_slot_at <= :now + interval '2 minutes' THEN greatest(next_slot_at, :now) ELSE :now END AS turn_at,
               CASE WHEN blocked_until <= :now + interval '1 hour' THEN blocked_until END AS held_until,
               adaptive_rate_per_minute, adapted_at
          FROM ops.rate_limits WHERE source = :source FOR UPDATE
    ), sent AS (
        UPDATE ops.rate_limits SET next_slot_at = greatest(turn_at, :latest) + :interval, blocked_until = NULL
          FROM book
         WHERE source = :source AND greatest(turn_at - :early, held_until) <= :now
        RETURNING next_slot_at, ARRAY(SELECT nextval('ops.request_seq') FROM generate_series(1, :turns)) AS seqs
    )
    SELECT next_slot_at, greatest(turn_at - :early, held_until) AS send_at, book.adaptive_rate_per_minute, book.adapted_at, seqs
      FROM book LEFT JOIN sent ON true
""")
# Requests that were under way when the rate was last lowered say nothing new.
LOWER = text("""
    UPDATE ops.rate_limits SET adaptive_rate_per_minute = :rate, adapted_at = :now, adapted_seq = nextval('ops.request_seq')
     WHERE source = :source AND (adapted_seq IS NULL OR adapted_seq < :seq)
    RETURNING adaptive_rate_per_minute, adapted_at
""")
HOLD = text("UPDATE ops.rate_limits SET blocked_until = greatest(blocked_until, :until) WHERE source = :source")
PAUSE = text("UPDATE ops.sources SET paused_until = :until, pause_reason = :reason WHERE source = :source")


class RateLimiter:
    """The gate that every request of a source passes: a sixth of a minute's rate at once, the rest evenly.

    The rate is the configured one, or the lower one that the provider taught. Several threads may wait at once.
    """

    def __init__(self, desk: StateSession, lease: Lease, source: Source, clock: Clock) -> None:
        self._desk, self._lease, self._source, self._clock = desk, lease, source, clock
        self._turns = threading.Lock()  # one thread asks for all: the others would only hear when it is not their turn
        self._block: list[int] = []  # numbers of requests that are let through and did not go yet
        self._stale_at = clock.monotonic()  # after that they go no more: others may have larger numbers by then
        self._free_at = clock.monotonic()  # before that nobody without a burst need ask
        row = desk.fetch_one(START, {"source": source.name, "configured": source.requests_per_minute})
        self._learned = _learned(row) if row else None

    def acquire(self) -> int:
        """Wait for this request's turn; the number that orders its answer among all others."""
        with self._turns:
            block = self._block
            if not block or self._clock.monotonic() > self._stale_at:
                block = self._block = []  # a hold that comes meanwhile puts another in its place
                block += self._next_block()
            return block.pop(0)

    def _next_block(self) -> list[int]:
        """Wait until requests may go; the numbers of those that may go at once."""
        now = self._clock.now()
        rest = self._free_at - self._clock.monotonic() - self._early(now).total_seconds()
        while True:
            self._sleep(rest)
            slept = timedelta(seconds=max(rest, 0))
            now = max(self._clock.now(), now + slept)  # a clock that is set back lengthens no wait
            self._stale_at = self._clock.monotonic() + MOMENT.total_seconds()
            row = self._ask(now)
            if row.seqs is not None:
                self._free_at = self._clock.monotonic() + (row.next_slot_at - now).total_seconds()
                return list(row.seqs)
            rest = (row.send_at - now).total_seconds()

    def _ask(self, now: datetime) -> Any:
        """Let requests through where their turn has come: then the row has numbers, else the time to ask again."""
        rate = self._rate(now)
        turns = _turns(rate)
        latest, interval = now + MOMENT if turns > 1 else now, turns * (MINUTE / rate)
        values = {"now": now, "early": self._early(now), "latest": latest, "turns": turns, "interval": interval}
        row = self._desk.fetch_one(SEND, {"source": self._source.name, **values})
        if row is None:
            raise LookupError(f"{self._source.name} is not in the books")
        self._learned = _learned(row)
        return row

    def _sleep(self, seconds: float) -> None:
        """Sleep and keep the lease meanwhile."""
        self._lease.renew()
        while seconds > 0:
            piece = min(seconds, TERM.total_seconds() / 3)
            self._clock.sleep(piece)
            self._lease.renew()
            seconds -= piece

    def _rate(self, now: datetime) -> float:
        return current_rate(self._source.requests_per_minute, self._learned, now)

    def _early(self, now: datetime) -> timedelta:
        return _early(self._rate(now), self._lease.priority)

    def back_off_until(self, until: datetime) -> None:
        """Remember the provider's Retry-After, for every process and over every restart."""
        self._desk.fetch_one(HOLD, {"source": self._source.name, "until": until})
        self._block = []  # after it, so that none can be asked for in between

    def on_rate_limited(self, seq: int) -> None:
        """Slow every process down, for the request of this number was too many; a burst of such counts once."""
        now = self._clock.now()
        rate = decrease(self._rate(now))
        row = self._desk.fetch_one(LOWER, {"source": self._source.name, "rate": rate, "now": now, "seq": seq})
        self._block = []  # let through at the rate that was too high
        if row is not None:
            self._learned = _learned(row)
            event(log, "rate_lowered", source=self._source.name, requests_per_minute=round(rate, 1))

    def suspend(self, until: datetime, reason: PauseReason) -> None:
        """Pause the source until then."""
        self._desk.fetch_one(PAUSE, {"source": self._source.name, "until": until, "reason": reason})


def _turns(rate: float) -> int:
    """How many turns are taken at once."""
    return max(1, min(BLOCK, MOMENT // (MINUTE / rate)))


@lru_cache(maxsize=1 << 6)
def _early(rate: float, lane: Priority) -> timedelta:
    """How long before its even turn a request of a lane may go, or the first of a block, whose last may go then too."""
    burst = max(1, ceil(rate / 6))
    return MINUTE / rate * ((burst - 1) * SHARE[lane] - (_turns(rate) - 1))


def _learned(row: Any) -> AdaptiveRate | None:
    return None if row.adaptive_rate_per_minute is None else AdaptiveRate(row.adaptive_rate_per_minute, row.adapted_at)
