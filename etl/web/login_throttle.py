"""Wrong tokens, counted by where they come from → how long nobody from there is let in."""

import threading
from collections import OrderedDict

from etl.runtime.clock import Clock

ALLOWED, SECONDS = 20, 60.0
KEPT = 1000  # addresses; whoever has more of them than this still guesses among 16 characters


class LoginThrottle:
    """The wrong tokens of the last minute; the counts are gone with the process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._minutes: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._lock = threading.Lock()

    def wrong(self, address: str) -> None:
        """Count one."""
        now = self._clock.monotonic()
        with self._lock:
            until, count = self._minutes.pop(address, (0.0, 0))
            self._minutes[address] = (until, count + 1) if now < until else (now + SECONDS, 1)
            while len(self._minutes) > KEPT:
                self._minutes.popitem(last=False)

    def wait_seconds(self, address: str) -> float:
        """How long no token from there is looked at, right or wrong; 0 where one is."""
        with self._lock:
            until, count = self._minutes.get(address, (0.0, 0))
        return max(0.0, until - self._clock.monotonic()) if count >= ALLOWED else 0.0
