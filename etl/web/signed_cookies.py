"""Cookies signed with the token: they expire, and become invalid as soon as the token changes."""

import hashlib
import hmac
import re
import secrets

from etl.runtime.clock import Clock
from etl.runtime.secret import Secret

LOGIN, SHOW_PII = "callhouse_login", "callhouse_show_pii"
DAYS_30, MINUTES_15 = 30 * 86400, 15 * 60
LIFETIMES = {LOGIN: DAYS_30, SHOW_PII: MINUTES_15}
_VALUE = re.compile(r"([0-9]{1,12})\.([0-9a-f]{64})\Z", re.ASCII)


class SignedCookies:
    """Cookie values for a purpose; without a token they are valid until the process ends."""

    def __init__(self, token: Secret | None, clock: Clock) -> None:
        self._key = token.reveal().encode() if token else secrets.token_bytes(32)
        self._clock = clock

    def issue(self, purpose: str, seconds: int) -> str:
        """A value that is valid for this many seconds."""
        expires = str(int(self._clock.now().timestamp()) + seconds)
        return f"{expires}.{self._sign(purpose, expires)}"

    def is_valid(self, purpose: str, value: str) -> bool:
        """Whether a value was issued here for this purpose and has not expired; compared in constant time."""
        found = _VALUE.match(value)
        if not found or not 0 < int(found[1]) - self._clock.now().timestamp() <= LIFETIMES[purpose]:
            return False  # expired, or issued while the clock was ahead
        return hmac.compare_digest(found[2], self._sign(purpose, found[1]))

    def _sign(self, purpose: str, expires: str) -> str:
        return hmac.new(self._key, f"{purpose} {expires}".encode(), hashlib.sha256).hexdigest()
