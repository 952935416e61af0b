"""Failed logins by client address → how long that address has to wait."""

from collections import OrderedDict

from etl.runtime.clock import Clock

MAX_FAILURES, WINDOW_SECONDS = 20, 60.0
MAX_ADDRESSES = 1000  # an attacker with more addresses than this still has to guess 16 characters


class LoginThrottle:
    """The failed logins of the last minute, in memory; only the event loop uses it, so it needs no lock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def record_failure(self, address: str) -> None:
        """Count one failed login of an address."""
        now = self._clock.monotonic()
        expires, count = self._failures.pop(address, (0.0, 0))
        self._failures[address] = (expires, count + 1) if now < expires else (now + WINDOW_SECONDS, 1)
        if len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)

    def wait_seconds(self, address: str) -> float:
        """How long every token from this address is refused, right or wrong; 0 for not at all."""
        expires, count = self._failures.get(address, (0.0, 0))
        return max(0.0, expires - self._clock.monotonic()) if count >= MAX_FAILURES else 0.0
