"""One configured value → a setting; ``ValueError`` says what is wrong and what to write instead."""

import difflib
import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from etl.model import Lookback
from etl.runtime import urls
from etl.runtime.secret import Secret
from etl.settings.schedule import duration, parse

SHORTEST_TOKEN = 16
MAX_KEY_FILE = 64 << 10
_CREDITS = re.compile(r"[a-z][a-z0-9]{0,30}_credits\Z")
_ISO_4217 = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF "
    "CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD "
    "HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD "
    "MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN "
    "PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY "
    "TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG "
)
CURRENCIES = frozenset(_ISO_4217.split())
"""The currencies of ISO 4217 in which prices are stated."""
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = f"(?:{'|'.join(DAYS)})"
_HOURS = re.compile(
    rf"(?P<days>{_DAY}(?: ?[-,] ?{_DAY})*) (?P<start>\d\d?:[0-5]\d) ?- ?(?P<end>\d\d?:[0-5]\d)",
    re.ASCII | re.IGNORECASE,
)
_KEY = re.compile(r"[\x21-\x7e]+\Z")
MAX_TOML_CHARACTERS, MAX_TOML_DEPTH = 256 << 10, 20  # a hundred accounts take a fifth of it
_DEEP_KEY = re.compile(rf"""(?<!["'\w-])(?:["'\w-]++\s*+\.\s*+){{{MAX_TOML_DEPTH}}}""")
MAX_SHOWN = 24  # characters: most keys are longer


def nearest(word: str, words: Iterable[str]) -> str:
    """``; did you mean X?`` where a known name is similar, else ``; known are …``."""
    known = sorted(words)
    found = difflib.get_close_matches(word, known, 1, 0.6)
    return f"; did you mean {found[0]}?" if found else f"; known are {', '.join(known)}"


def shown(word: object) -> str:
    """A name in quotes, without long numbers; of one that may be a key by mistake only the beginning."""
    text = re.sub(r"\d{4,}", "…", ascii(word)[1:-1] if isinstance(word, str) else str(word))
    return f'"{text}"' if len(text) <= MAX_SHOWN else f'"{text[:4]}…"'


def key(value: str) -> Secret:
    """An API key that can be sent in a header."""
    if value[:1] in ('"', "'") and value[-1:] == value[:1]:
        raise ValueError("contains quotes around the key; remove them")
    if not _KEY.match(value):
        raise ValueError("contains a space, a line break or a character outside ASCII; copy the key alone")
    return Secret(value)


def token(value: str) -> Secret:
    """The token of the page: too long to be guessed."""
    found = key(value)
    if len(value) < SHORTEST_TOKEN:
        raise ValueError(
            f"is shorter than {SHORTEST_TOKEN} characters and could be guessed; make one with `openssl rand -hex 24`"
        )
    return found


def workers(value: str) -> bool:
    """Whether workers run the daemon's jobs."""
    if value != "queue":
        raise ValueError("is not queue; write ETL_WORKERS=queue where `etl worker` runs the jobs, or leave it unset")
    return True


def toml(text: str) -> dict[str, Any]:
    """A TOML document; one that would take the parser minutes or its whole stack is refused."""
    if len(text) > MAX_TOML_CHARACTERS or _DEEP_KEY.search(text):
        raise ValueError(f"it has more than {MAX_TOML_CHARACTERS:,} characters, or a key of {MAX_TOML_DEPTH} parts")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("its values are nested too deeply") from None


def is_open_to_others(descriptor: int) -> bool:
    """Whether other users may read or write an open file."""
    return os.name == "posix" and bool(os.fstat(descriptor).st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def key_file(path: Path, on_open: Callable[[], None]) -> Secret:
    """The API key in a file, without surrounding white space; ``on_open`` is called where others may read it too.

    The path is not shown: it may be a key by mistake.
    """
    try:
        with path.open(encoding="utf-8") as stream:
            if is_open_to_others(stream.fileno()):
                on_open()
            value = stream.read(MAX_KEY_FILE).strip()
    except (OSError, ValueError):
        raise ValueError("refers to a file that cannot be read; write its path after file:") from None
    if not value:
        raise ValueError("refers to a file that is empty; put the key in it")
    return key(value)


def text(value: object) -> str:
    """A non-blank text."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("is not a text; write it in quotes")
    return value.strip()


def base_url(value: object) -> str:
    """The address below which a provider's API lies."""
    return urls.base_url(text(value))


def schedule(value: object) -> str:
    """A schedule, as :func:`etl.settings.schedule.parse` reads it."""
    words = text(value)
    parse(words)
    return words


def cost_unit(value: object) -> str:
    """A currency, a provider's credits, or ``unknown``: amounts of one unit can be added up over all sources."""
    unit = text(value)
    if unit not in CURRENCIES and unit != "unknown" and not _CREDITS.match(unit):
        raise ValueError("is no unit of cost; write a currency such as USD (ISO 4217), ringg_credits or unknown")
    return unit


def currency(value: object) -> str:
    """A currency by its code in ISO 4217."""
    code = text(value)
    if code not in CURRENCIES:
        raise ValueError("is no currency; write its code in ISO 4217, such as USD or INR")
    return code


def business_hours(value: object) -> str:
    """``Mon-Fri 09:00-19:00; Sat 10:00-14:00`` → minutes of the week, as PostgreSQL writes an int4multirange."""
    ranges = list[str]()
    for part in re.split(r"\s*;\s*", text(value)):
        found = _HOURS.fullmatch(part)
        start, end = (_minutes(found["start"]), _minutes(found["end"])) if found else (0, 0)
        if found is not None and end <= start < 24 * 60:
            raise ValueError(
                "end before they begin; hours over midnight are two: Mon-Fri 22:00-24:00; Tue-Sat 00:00-06:00"
            )
        if found is None or not start < end <= 24 * 60:
            raise ValueError("is not understood; write Mon-Fri 09:00-19:00, and other days after a semicolon")
        ranges += [f"[{day * 1440 + start},{day * 1440 + end})" for day in _days(found["days"])]
    return f"{{{','.join(ranges)}}}"


def _minutes(clock: str) -> int:
    hours, _, minutes = clock.partition(":")
    return int(hours) * 60 + int(minutes)


def _days(text: str) -> list[int]:
    """``Mon-Fri,Sun`` → the numbers of the days, 0 for Monday; a span may go over the end of the week."""
    days = list[int]()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        start, end = (DAYS.index(name.strip().title()) for name in (first, last or first))
        days += [day % 7 for day in range(start, end + (7 if end < start else 0) + 1)]
    return days


def rate(value: object) -> int:
    """Requests per minute."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 600_000:
        raise ValueError("is not a rate; write a whole number of requests from 1 to 600000")
    return value


def zone(value: object) -> ZoneInfo:
    """A time zone by its name."""
    name = text(value)
    try:
        return ZoneInfo(name if name != "localtime" else "")  # which is this machine's, and the database has none
    except (OSError, ValueError, KeyError):
        near = difflib.get_close_matches(name, available_timezones(), 1, 0.5)
        raise ValueError(f"is not a time zone; write {near[0] if near else 'a name such as Asia/Kolkata'}") from None


def kept(value: object) -> timedelta:
    """How long something is kept."""
    return duration(text(value))


def since(value: object, tz: ZoneInfo) -> datetime:
    """The earliest time to read, UTC; a day is one of the source's time zone."""
    moment = _moment(value)
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=tz)).astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range; write a date of this century") from None


def _moment(value: object) -> datetime:
    try:
        value = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        value = None
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time())
    raise ValueError("is not a date; write 2025-01-31, or a date and a time")


def region(value: object) -> str:
    """The default country of phone numbers."""
    from phonenumbers import SUPPORTED_REGIONS  # imported only if a region or number is configured

    country = text(value).upper()
    if country not in SUPPORTED_REGIONS:
        raise ValueError("is not a country; write its two letters, such as IN or US")
    return country


def phones(value: object, country: str | None) -> tuple[str, ...]:
    """Phone numbers in E.164, without duplicates."""
    if not isinstance(value, list) or not value:
        raise ValueError('is not a list of numbers; write ["+…", "+…"]')
    return tuple(dict.fromkeys(_phone(index, number, country) for index, number in enumerate(value, 1)))


def _phone(index: int, value: object, country: str | None) -> str:
    """One number in E.164; an error names its position and does not show it."""
    from etl.fields.phones import is_e164

    if isinstance(value, str) and is_e164(value):
        return value
    import phonenumbers  # imported only for the others

    try:
        number = phonenumbers.parse(value if isinstance(value, str) else "", country)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_possible_number(number):
        raise ValueError(f"has an invalid phone number at position {index}; write each with + and its country code")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def lookbacks(value: object) -> tuple[Lookback, ...]:
    """How far back and how often late changes are looked for, the shortest window first."""
    if not isinstance(value, list) or not value or not all(_is_pair(pair) for pair in value):
        raise ValueError('is not a list of lookbacks; write [["6h", "1h"], ["7d", "1d"]]: how far back, and how often')
    found = tuple(Lookback(duration(window), duration(interval)) for window, interval in value)
    is_sorted = all(near.window < far.window for near, far in pairwise(found))
    if not is_sorted or any(lookback.window < lookback.interval for lookback in found):
        raise ValueError("is not in order; write the shortest window first, each at least as long as its interval")
    return found


def _is_pair(pair: object) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)
