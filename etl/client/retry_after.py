"""A Retry-After header → seconds to wait."""

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"[0-9]+\Z")  # int() alone takes "-5", other scripts' digits and underscores


def retry_after(value: str | None, date: str | None, now: datetime) -> float | None:
    """Seconds to wait, at least 1; ``None`` for an unusable header.

    ``value`` and ``date`` are the headers Retry-After and Date: a date is relative to the server's clock.
    """
    text = (value or "").strip()
    if _SECONDS.match(text):
        return max(float(text), 1.0) if len(text) <= 9 else math.inf
    until = instant(text)
    if until is None:
        return None
    return max((until - (instant(date) or now)).total_seconds(), 1.0)


def instant(text: str | None) -> datetime | None:
    """The time of a header in HTTP's format."""
    try:
        found = parsedate_to_datetime(text or "")
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
