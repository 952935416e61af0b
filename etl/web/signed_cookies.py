"""A token → what a browser carries in its place: signed, with an end, and worth nothing once the token is another."""

import hashlib
import hmac
import re
import secrets

from etl.runtime.clock import Clock
from etl.runtime.secret import Secret

LOGGED_IN, SHOWN = "callhouse_reader", "callhouse_shown"
DAYS_30, MINUTES_15 = 30 * 86400, 15 * 60
_PASS = re.compile(r"([0-9]{1,12})\.([0-9a-f]{64})\Z", re.ASCII)


class SignedCookies:
    """Signed passes for a purpose; without a token they end with the process."""

    def __init__(self, token: Secret | None, clock: Clock) -> None:
        self._key = token.reveal().encode() if token else secrets.token_bytes(32)
        self._clock = clock

    def issue(self, purpose: str, seconds: int) -> str:
        """A pass for so long."""
        until = str(int(self._clock.now().timestamp()) + seconds)
        return f"{until}.{self._sign(purpose, until)}"

    def holds(self, purpose: str, given: str) -> bool:
        """Whether a pass is one of ours, for this purpose, and not over; compared in constant time."""
        found = _PASS.match(given)
        if not found or int(found[1]) <= self._clock.now().timestamp():
            return False
        return hmac.compare_digest(found[2], self._sign(purpose, found[1]))

    def _sign(self, purpose: str, until: str) -> str:
        return hmac.new(self._key, f"{purpose} {until}".encode(), hashlib.sha256).hexdigest()
