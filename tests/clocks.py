"""Turns waiting into arithmetic: a clock that only moves when somebody sleeps or a test says so."""

import threading
from datetime import UTC, datetime, timedelta


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
