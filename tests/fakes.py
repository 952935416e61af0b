"""A clock that moves only when something sleeps, a rate limiter in memory, and a wait with a time limit."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from etl.client.errors import PauseReason


class FakeClock:
    """A clock that sleeps at once; ``slept`` are the waits that were asked for, in seconds."""

    def __init__(self, now: datetime = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)) -> None:
        self._start = now
        self._passed = 0.0
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def now(self) -> datetime:
        """The wall clock: aware, UTC."""
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._passed

    def sleep(self, seconds: float) -> None:
        """Advance the clock at once."""
        with self._lock:
            self.slept.append(seconds)
            self._passed += max(seconds, 0.0)

    def step(self, seconds: float) -> None:
        """Set the wall clock alone, as an administrator would."""
        self._start += timedelta(seconds=seconds)


class Ticking:
    """A clock that really waits, and starts at any time."""

    def __init__(self, start: datetime) -> None:
        self._start, self._began = start, time.monotonic()

    def now(self) -> datetime:
        """The wall clock: aware, UTC."""
        return self._start + timedelta(seconds=time.monotonic() - self._began)

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


class FakeRateLimiter:
    """A rate limiter without a rate: a request waits only for a back-off to end."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._seq = 0
        self.blocked_until = clock.now()
        self.pauses: list[tuple[datetime, PauseReason]] = []
        self.rate_limited: list[int] = []

    @property
    def sent(self) -> int:
        """How many requests were sent."""
        return self._seq

    def acquire(self) -> int:
        """Sleep until the back-off is over; the sequence number of the request."""
        left = (self.blocked_until - self._clock.now()).total_seconds()
        if left > 0:
            self._clock.sleep(left)
        self._seq += 1
        return self._seq

    def back_off_until(self, until: datetime) -> None:
        """Keep the latest time that was asked for."""
        self.blocked_until = max(self.blocked_until, until)

    def on_rate_limited(self, seq: int) -> None:
        """Keep the sequence number of every rate-limited request."""
        self.rate_limited.append(seq)

    def suspend(self, until: datetime, reason: PauseReason) -> None:
        """Keep every pause."""
        self.pauses.append((until, reason))


def wait_until(happened: Callable[[], object], seconds: int = 30) -> None:
    """Wait by the real clock until a condition holds; fail when it does not within the limit."""
    for _ in range(20 * seconds):
        if happened():
            return
        time.sleep(0.05)
    pytest.fail(f"it did not happen within {seconds} s")
