"""Turns what the books would keep of one source's pace into memory, under a clock in hand."""

from datetime import datetime

from tests.clocks import FakeClock


class MemoryGate:
    """One source's pace without a pace: requests go out as soon as no hold is left."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._seq = 0
        self.not_before = clock.now()
        self.pauses: list[tuple[datetime, str]] = []
        self.refusals: list[int] = []

    @property
    def sent(self) -> int:
        """How many requests were let through."""
        return self._seq

    def wait(self) -> int:
        """Sleeps until the hold is over; numbers the request."""
        left = (self.not_before - self._clock.now()).total_seconds()
        if left > 0:
            self._clock.sleep(left)
        self._seq += 1
        return self._seq

    def hold(self, until: datetime) -> None:
        """Keeps the latest time that was asked for."""
        self.not_before = max(self.not_before, until)

    def refused(self, seq: int) -> None:
        """Keeps the number of every request that was too many."""
        self.refusals.append(seq)

    def pause(self, until: datetime, reason: str) -> None:
        """Keeps every pause."""
        self.pauses.append((until, reason))
