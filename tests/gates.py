"""Turns what the books would keep of one source's pace into memory, under a clock in hand."""

from datetime import datetime

from tests.clocks import FakeClock


class MemoryGate:
    """One source's pace without a pace: requests go out as soon as no hold is left."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._seq = 0
        self.blocked_until = clock.now()
        self.pauses: list[tuple[datetime, str]] = []
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

    def suspend(self, until: datetime, reason: str) -> None:
        """Keeps every pause."""
        self.pauses.append((until, reason))
