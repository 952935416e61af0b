"""Turns waiting into arithmetic: a clock that only moves when somebody sleeps or a test says so; or bounds it."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from etl.client.errors import PauseReason


class FakeClock:
    """Time in hand; ``slept`` are the waits that were asked for, in seconds."""

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
        """Moves the clock on, at once."""
        with self._lock:
            self.slept.append(seconds)
            self._passed += max(seconds, 0.0)

    def step(self, seconds: float) -> None:
        """Steps the wall clock alone, as an administrator would."""
        self._start += timedelta(seconds=seconds)


class FakeRateLimiter:
    """One source's pace without a pace: requests go out as soon as no hold is left."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._seq = 0
        self.blocked_until = clock.now()
        self.pauses: list[tuple[datetime, PauseReason]] = []
        self.refusals: list[int] = []

    @property
    def sent(self) -> int:
        """How many requests were let through."""
        return self._seq

    def acquire(self) -> int:
        """Sleeps until the hold is over; numbers the request."""
        left = (self.blocked_until - self._clock.now()).total_seconds()
        if left > 0:
            self._clock.sleep(left)
        self._seq += 1
        return self._seq

    def back_off_until(self, until: datetime) -> None:
        """Keeps the latest time that was asked for."""
        self.blocked_until = max(self.blocked_until, until)

    def on_rate_limited(self, seq: int) -> None:
        """Keeps the number of every request that was too many."""
        self.refusals.append(seq)

    def suspend(self, until: datetime, reason: PauseReason) -> None:
        """Keeps every pause."""
        self.pauses.append((until, reason))


def wait_until(happened: Callable[[], object], seconds: int = 30) -> None:
    """Wait by the real clock until something has happened; what never does is a failure."""
    for _ in range(20 * seconds):
        if happened():
            return
        time.sleep(0.05)
    pytest.fail(f"it did not happen within {seconds} s")
