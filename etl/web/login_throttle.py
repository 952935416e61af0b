"""Wrong tokens by client address → a refusal where there are too many."""

from collections import OrderedDict
from math import ceil

from starlette.responses import PlainTextResponse, Response

from etl.runtime.clock import Clock

MAX_FAILURES, WINDOW_SECONDS = 20, 60.0
MAX_ADDRESSES = 1000  # an attacker with more addresses than this still has to guess 16 characters


class LoginThrottle:
    """The failed logins of the last minute, in memory; only the event loop uses it, so it needs no lock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def refusal(self, address: str) -> Response | None:
        """Count one wrong token of an address; the answer where it sent too many, until its minute is over.

        The right token is never refused: everybody behind a proxy has one address.
        """
        now = self._clock.monotonic()
        expires, count = self._failures.pop(address, (0.0, 0))
        expires, count = (expires, count + 1) if now < expires else (now + WINDOW_SECONDS, 1)
        self._failures[address] = (expires, count)
        if len(self._failures) > MAX_ADDRESSES:
            self._failures.popitem(last=False)
        if count <= MAX_FAILURES:
            return None
        wait = str(ceil(expires - now))
        return PlainTextResponse(f"Too many wrong tokens: try again in {wait} s.\n", 429, {"retry-after": wait})
