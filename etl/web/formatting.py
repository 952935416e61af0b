"""Values → the words of the page: how long ago, how much, and what stands in place of a person."""

from datetime import datetime, timedelta
from decimal import Decimal

HIDDEN = "••••"


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
