"""Times, durations and counts → short text for a person, the same on the page and on the command line (pure)."""

from datetime import datetime
from itertools import pairwise

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_FEW = 3


def moment(value: datetime | str | None) -> datetime | None:
    """A time that may be given as ISO 8601."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def ago(then: datetime | str | None, now: datetime) -> str:
    """A time relative to ``now``: ``3 min ago``, ``in 2 d``, ``never`` for none."""
    at = moment(then)
    if at is None:
        return "never"
    seconds = (now - at).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"in {duration(-seconds)}" if seconds < 0 else f"{duration(seconds)} ago"


def duration(seconds: float) -> str:
    """A duration in its largest unit, with the next smaller one while there are few: ``1 h 20 min``."""
    rest = round(seconds)
    for (size, name), (smaller, small_name) in pairwise(_UNITS):
        number, left = rest // size, rest % size // smaller
        if number:
            return f"{number:,} {name} {left} {small_name}" if left and number < _FEW else f"{number:,} {name}"
    return f"{rest} s"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """A count with its noun: ``1 call``, ``2 calls``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def clock_difference(seconds: float, whose: str, tolerance_seconds: float) -> str | None:
    """How far this machine's clock is from another one, as a sentence; ``None`` within the tolerance."""
    if abs(seconds) <= tolerance_seconds:
        return None
    return f"this machine's clock is {duration(abs(seconds))} {'ahead of' if seconds > 0 else 'behind'} that of {whose}"
