"""The notations in which providers write a time → UTC; strict, so that no other text is taken for a time."""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from etl.decode.invisible import visible

FIRST_YEAR, LAST_YEAR = 2000, 2100

# fromisoformat checks the values, but alone it would also accept week dates and an hour 24.
_ISO = re.compile(
    r"\d{4}-\d\d-\d\d[T ](?!24)\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(Z|[+-](?!1[6-9]|[2-9])\d\d(?::?\d\d)?)?", re.ASCII
)
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = ((10**11, 10**6), (10**14, 10**3), (10**17, 1))  # (numbers below this, microseconds per unit)


def instant(text: str, zone: ZoneInfo) -> datetime | None:
    """The UTC time of an ISO 8601 date and time, by default in this zone; ``None`` for any other text.

    Fractions are cut to microseconds. An ambiguous local time is the first of the two; a skipped one has the offset
    from before the gap.
    """
    # As nearly all are written; what fromisoformat ignores at their ends has no place in so few characters.
    if text[13:17:3] == "::" and text[4:8:3] == "--" and text[10] in "T " and text[11:13] != "24":
        aware = text if text[-1] == "Z" or text[-6:] == "+00:00" else f"{text}Z" if zone.key == "UTC" else ""
        is_short = 19 < len(aware) <= (27 if aware[-1] == "Z" else 32)
        if is_short and (aware[19] in "Z+" or (aware[19] in ".," and aware[20].isdigit())):
            with suppress(ValueError):
                return datetime.fromisoformat(aware)
    return of_notation(text, zone)


def of_notation(text: str, zone: ZoneInfo) -> datetime | None:
    """The same of every notation that counts."""
    found = _ISO.fullmatch(text) or _ISO.fullmatch(
        visible(text).strip().upper().replace(" +", "+").replace(" -", "-").replace(" Z", "Z")
    )
    if found is None:
        return None
    is_naive = found.lastindex is None
    try:
        moment = datetime.fromisoformat(f"{found.string}Z" if is_naive and zone.key == "UTC" else found.string)
        if moment.tzinfo is UTC:
            return moment
        return (moment.replace(tzinfo=zone) if is_naive else moment).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def epoch(number: Decimal | int) -> datetime | None:
    """The UTC time of seconds, milliseconds or microseconds since 1970; the size of the number decides which."""
    if number >= 0:
        for limit, microseconds in _UNITS:
            if number < limit:
                return _EPOCH + timedelta(0, *divmod(int(number * microseconds), 10**6))  # timedelta does it slower
    return None


def is_plausible(moment: datetime) -> bool:
    """Whether a call can have happened at this time."""
    return FIRST_YEAR <= moment.year <= LAST_YEAR


def seconds(span: timedelta) -> Decimal:
    """A span in seconds, exact."""
    if not span.microseconds:
        return Decimal(span.days * 86400 + span.seconds)
    return Decimal(span // _MICROSECOND) / 1_000_000
