"""Values → the words of the page: how long ago, how much, and what stands in place of a person."""

from datetime import datetime, timedelta
from decimal import Decimal

HIDDEN = "••••"
FEW = 3
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def moment(value: datetime | str | None) -> datetime | None:
    """A time, also of ISO 8601, as a value."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def ago(then: datetime | None, now: datetime) -> str:
    """A time as a person says it: ``3 min ago``, ``in 2 d``, ``never``."""
    if then is None:
        return "never"
    seconds = (now - then).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"in {span(-seconds)}" if seconds < 0 else f"{span(seconds)} ago"


def span(seconds: float) -> str:
    """A length of time in its largest unit, and in the next where there are few of the largest: ``1 h 20 min``."""
    rest = round(seconds)
    for place, (size, name) in enumerate(_UNITS):
        number = rest // size
        if number and size > 1:
            smaller, small_name = _UNITS[place + 1]
            left = rest % size // smaller
            return f"{number:,} {name} {left} {small_name}" if left and number < FEW else f"{number:,} {name}"
    return f"{rest} s"


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def amount(value: Decimal | float | None, places: int = 0) -> str:
    """A number with its thousands apart; a dash for none."""
    return "–" if value is None else f"{value:,.{places}f}"


def short(value: float) -> str:
    """A number for the axis of a plot: ``1.5k``, ``20``."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{sign}"
    return f"{value:g}"


def day(value: datetime) -> str:
    """``12 Nov 2026``."""
    return f"{value.day} {value:%b %Y}"


def clock_time(value: datetime | None) -> str:
    """``2026-11-12 14:05:09``, of UTC; a dash for none."""
    return "–" if value is None else f"{value:%Y-%m-%d %H:%M:%S}"


def minutes(seconds: Decimal | float | None) -> str:
    """A call's length as ``m:ss``."""
    if seconds is None:
        return "–"
    whole, rest = divmod(int(seconds), 60)
    return f"{whole}:{rest:02}"


def number(value: str | None, see: bool) -> str:
    """A telephone number, or as much of it as tells two apart."""
    if not value:
        return "–"
    return value if see else f"{HIDDEN} {value[-2:]}"


def hidden(value: object, see: bool) -> object:
    """A person's value, or dots in its place."""
    if value in (None, ""):
        return "–"
    return value if see else HIDDEN


def of_time(part: timedelta, whole: timedelta) -> float:
    """A part of a stretch of time, in percent, within it."""
    return min(max(part / whole * 100, 0.0), 100.0) if whole else 0.0
