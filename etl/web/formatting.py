"""Values → text for the page: numbers, times, and placeholders for personal data (pure)."""

from datetime import UTC, datetime
from decimal import Decimal

from jinja2 import pass_context
from jinja2.runtime import Context

HIDDEN = "••••"
LABELS = {"count_match": "counts match", "desc": "newest first", "asc": "oldest first", "unsorted": "no fixed order"}


def amount(value: Decimal | float | None, decimals: int = 0) -> str:
    """A number with thousands separators; a dash for none."""
    return "–" if value is None else f"{value:,.{decimals}f}"


def share(part: float, whole: float) -> str:
    """A part of a whole in percent; a dash where there is no whole."""
    if not whole:
        return "–"
    return "<1%" if 0 < part / whole < 0.005 else f"{part / whole:.0%}"


def short(value: float) -> str:
    """A number for the axis of a chart: ``1.5k``, ``20``."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"


def label(name: str) -> str:
    """A value of the database as people read it: ``count_match`` → ``counts match``."""
    return LABELS.get(name, name.replace("_", " "))


def short_date(value: datetime) -> str:
    """``12 Nov 2026``."""
    return f"{value.day} {value:%b %Y}"


@pass_context
def clock_time(context: Context, value: datetime | None) -> str:
    """``2026-11-12 14:05:09`` in the page's time zone, in UTC within a macro; a dash for none."""
    zone = context.get("page_zone", UTC)
    return "–" if value is None else f"{value.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def minutes(seconds: Decimal | float | None) -> str:
    """A call's duration as ``m:ss``."""
    if seconds is None:
        return "–"
    whole, rest = divmod(int(seconds), 60)
    return f"{whole}:{rest:02}"


def phone_number(value: str | None, reveal_pii: bool) -> str:
    """A phone number, or only its last two digits."""
    if not value:
        return "–"
    return value if reveal_pii else f"{HIDDEN} {value[-2:]}"


def hidden(value: object, reveal_pii: bool) -> object:
    """A value that identifies a person, or dots in its place."""
    if value in (None, ""):
        return "–"
    return value if reveal_pii else HIDDEN
