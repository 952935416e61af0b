"""The system's clocks and waiting as one value that is passed in, so that tests control time."""

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Stopped(BaseException):
    """The process was asked to stop while it waited; not an ``Exception``, so that no handler swallows it."""


class Clock(Protocol):
    """What time it is, how much has passed, and waiting."""

    def now(self) -> datetime:
        """The wall clock: aware, UTC."""

    def monotonic(self) -> float:
        """Seconds that never step back; only differences are meaningful."""

    def sleep(self, seconds: float) -> None:
        """Sleep; raises :class:`Stopped` as soon as the process is asked to stop."""


class SystemClock:
    """The system's clocks; with ``stop`` a sleep ends when the event is set."""

    def __init__(self, stop: threading.Event | None = None) -> None:
        self._stop = stop or threading.Event()

    def now(self) -> datetime:
        """The wall clock: aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds of a clock that wall-clock steps do not touch."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Sleep; raises :class:`Stopped` at once when the event is or becomes set."""
        if self._stop.wait(max(seconds, 0)):
            raise Stopped
