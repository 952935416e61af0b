"""Paths of a record → the fields that read one column each; what cannot be read becomes null, a flag and drift."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

from etl.fields import times
from etl.fields.phones import LONGEST, phone
from etl.fields.vocabulary import LONGEST_WORD, OUTCOMES, meaning
from etl.stream import Drift, Field, Reading

LONGEST_ID = 512  # bytes
LONGEST_CALL = 10**7  # seconds: past four months it is no call, and no time follows from it

Get = Callable[[Mapping[str, Any]], Any]

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_LARGEST, _SMALLEST = Decimal(10) ** 18, -(Decimal(10) ** 18)
_TYPES = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}


def json_type(value: Any) -> str:
    """The name of a value's JSON type."""
    return _TYPES.get(list if isinstance(value, list) else dict if isinstance(value, dict) else type(value), "number")


def is_empty(value: Any) -> bool:
    """Whether a value says nothing: null, an empty object or list, a text of spaces. False and 0 say something."""
    if value is None:
        return True
    if isinstance(value, str):
        return not value or value.isspace()
    return not value and isinstance(value, (dict, list))


@cache
def at(path: str) -> Get:
    """The value at a path of one or two keys, ``None`` where there is none."""
    head, _, rest = path.partition(".")
    if not rest:
        return lambda record: record.get(head)

    def inner(record: Mapping[str, Any]) -> Any:
        value = record.get(head)
        return value.get(rest) if isinstance(value, dict) else None

    return inner


def mistyped(reading: Reading, path: str, value: Any) -> None:
    """Note a value of a type that its column cannot hold."""
    reading.refuse(path, "type_unexpected")
    reading.drift.append(Drift(path, "type", json_type(value)))


def unknown_word(reading: Reading, path: str, word: str) -> None:
    """Note a word that no vocabulary knows; ``extra`` keeps it."""
    reading.keep.append(path)
    reading.drift.append(Drift(path, "unknown_word", word.strip()[:LONGEST_WORD]))


def plain(value: Any) -> str | None:
    """A scalar as text, a number in plain digits; ``None`` for what is no scalar."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return None
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def identity(path: str) -> Field:
    """The provider's id of a call as text; ``None`` for no usable one. UUIDs are in lower case, all others as sent."""
    get = at(path)

    def read(reading: Reading) -> str | None:
        text = plain(get(reading.record))
        if text and _UUID.fullmatch(text):
            return text.lower()
        # U+FFFD stands for what could not be kept: two ids might become one.
        if not text or text.isspace() or "\ufffd" in text or len(text.encode()) > LONGEST_ID:
            return None
        return text

    return Field((path,), read)


def text(path: str) -> Field:
    """A text exactly as sent; one of nothing but spaces is null."""
    get = at(path)

    def read(reading: Reading) -> str | None:
        value = get(reading.record)
        if value is None:
            return None
        found = value if type(value) is str else plain(value)
        if found is not None:
            return found if found and not found.isspace() else None
        if not is_empty(value):
            mistyped(reading, path, value)
        return None

    return Field((path,), read)


def utc(path: str) -> Field:
    """A point in time, UTC; naive ones are of the source's time zone. Years outside 2000 to 2100 are null."""
    get = at(path)

    def read(reading: Reading) -> datetime | None:
        value = get(reading.record)
        if value is None:
            return None
        if isinstance(value, str) and not is_empty(value):
            moment = times.instant(value, reading.source.timezone)
            if moment is not None and times.is_plausible(moment):
                return moment
            reading.refuse(path, "time_implausible" if moment else "time_unreadable")
        elif not is_empty(value):
            mistyped(reading, path, value)
        return None

    return Field((path,), read)


def decimal_of(value: Any) -> Decimal | None:
    """A number, or a text that is one in plain ASCII digits, exact; ``None`` for anything else, or past 10^18."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        word = value.strip()
        if len(word) > 64 or not _NUMBER.fullmatch(word):
            return None
        value = Decimal(word)
    if not isinstance(value, (int, Decimal)):
        return None
    number = Decimal(value)
    return number if _SMALLEST < number < _LARGEST else None


def number(path: str, unreadable: str = "number_unreadable", negative: str | None = None) -> Field:
    """A number or a numeric text, exact. One below zero is null where ``negative`` names the flag for it."""
    get = at(path)

    def read(reading: Reading) -> Decimal | None:
        value = get(reading.record)
        found = decimal_of(value)
        if found is not None and not (negative and found < 0):
            return found
        if is_empty(value):
            return None
        if found is None and plain(value) is None:
            mistyped(reading, path, value)
        else:
            reading.refuse(path, unreadable if found is None else str(negative))
        return None

    return Field((path,), read)


def seconds(path: str) -> Field:
    """A duration in seconds, never negative."""
    return number(path, negative="duration_negative")


def money(path: str) -> Field:
    """An amount, exact from the text; separators and currency signs are not guessed at."""
    read_number = number(path, "cost_unreadable").read

    def read(reading: Reading) -> Decimal | None:
        found: Decimal | None = read_number(reading)
        if found is not None and found < 0:
            reading.flags.append("cost_negative")
        return found

    return Field((path,), read)


def number_of(reading: Reading, path: str, value: Any) -> str | None:
    """A value as a telephone number: E.164 where it is one, else as sent."""
    if is_empty(value):
        return None
    written = plain(value)
    if written is None:
        mistyped(reading, path, value)
        return None
    if len(written) > LONGEST:
        reading.refuse(path, "number_unreadable")
        return None
    found, flag = phone(written, reading.source.region)
    if flag:
        reading.flags.append(flag)
    return found


def costs(*paths: str, credits: str = "") -> Field:  # noqa: A002 - the provider's own word for the unit
    """The parts of a cost by the provider's own names; those under ``credits`` are an object's, in credits."""
    amounts = [(path, money(path).read) for path in paths]

    def read(reading: Reading) -> dict[str, Any] | None:
        unit = reading.source.cost_unit
        said = {path: read_amount(reading) for path, read_amount in amounts}
        found = {path: {"amount": amount, "unit": unit} for path, amount in said.items() if amount is not None}
        return {**found, **_credits(reading, credits)} or None

    return Field((*paths, credits) if credits else paths, read)


def _credits(reading: Reading, path: str) -> dict[str, Any]:
    parts = reading.record.get(path)
    if is_empty(parts):
        return {}
    if not isinstance(parts, dict):
        mistyped(reading, path, parts)
        return {}
    found = {name: decimal_of(part) for name, part in parts.items()}
    for name, amount in found.items():
        if amount is None and not is_empty(parts[name]):
            reading.refuse(f"{path}.{name}", "cost_unreadable")
    return {name: {"amount": amount, "unit": "credits"} for name, amount in found.items() if amount is not None}


def phone_number(path: str) -> Field:
    """A telephone number in E.164; what is none stays as sent."""
    get = at(path)
    return Field((path,), lambda reading: number_of(reading, path, get(reading.record)))


def json(path: str) -> Field:
    """A JSON object or list as it is; an empty one is null."""
    get = at(path)

    def read(reading: Reading) -> dict[str, Any] | list[Any] | None:
        value = get(reading.record)
        if is_empty(value):
            return None
        if isinstance(value, (dict, list)):
            return value
        mistyped(reading, path, value)
        return None

    return Field((path,), read)


def word_at(reading: Reading, path: str, words: Mapping[str, str]) -> str | None:
    """What a vocabulary makes of the word at a path: ``None`` for no word, ``unknown`` for one that it does not know.

    The unknown word is noted as drift, and kept in ``extra``.
    """
    value = at(path)(reading.record)
    if is_empty(value):
        return None
    written = plain(value)
    if written is None:
        mistyped(reading, path, value)
        return "unknown"
    found = meaning(words, written)
    if found is None:
        unknown_word(reading, path, written)
    return found or "unknown"


def meaning_of(reading: Reading, path: str, words: Mapping[str, str]) -> str | None:
    """What a few words at a path mean; the others are left to the column that reads them."""
    return meaning(words, reading.record.get(path))


def one_of(path: str, words: Mapping[str, str]) -> Field:
    """A word of a vocabulary; ``unknown`` for none, and for one that it does not know."""
    return Field((path,), lambda reading: word_at(reading, path, words) or "unknown")


def status_outcome(reading: Reading, path: str) -> str | None:
    """The outcome that a status word stands for; an unknown word is kept in ``provider_status`` alone."""
    kept = len(reading.keep)
    found = word_at(reading, path, OUTCOMES)
    if reading.row.get("provider_status") is not None:
        del reading.keep[kept:]
    return found


def live(path: str) -> Field:
    """Whether a status word says that the call goes on; null for none or an unknown one."""
    get = at(path)

    def read(reading: Reading) -> bool | None:
        outcome = meaning(OUTCOMES, get(reading.record))
        return None if outcome is None else outcome == "in_progress"

    return Field((), read)


def is_true(value: Any) -> bool:
    """Whether a value says yes, as JSON or in words."""
    return value is True or value == 1 or (isinstance(value, str) and value.strip().lower() in ("true", "1"))


def is_false(value: Any) -> bool:
    """Whether a value says no, as JSON or in words; null says nothing."""
    return value is False or value == 0 or (isinstance(value, str) and value.strip().lower() in ("false", "0"))


def all_of(*conditions: Callable[[Reading], bool | None]) -> Field:
    """Whether every condition holds: false where one does not, null where nobody knows of one."""

    def read(reading: Reading) -> bool | None:
        found = [condition(reading) for condition in conditions]
        return False if False in found else None if None in found else True

    return Field((), read)


def is_over(reading: Reading) -> bool | None:
    """Whether the call is known to have ended by its status."""
    is_live = reading.row["is_live"]
    return None if is_live is None else not is_live


def between(first: str, last: str) -> Field:
    """The seconds from one column's time to another's, exact; null where the second is earlier."""

    def read(reading: Reading) -> Decimal | None:
        start, end = reading.row[first], reading.row[last]
        if start is None or end is None:
            return None
        if end < start:
            reading.flags.append("ends_before_start")
            return None
        return times.seconds(end - start)

    return Field((), read)


def constant(value: Any, where: str) -> Field:
    """A value wherever another column has one."""
    return Field((), lambda reading: None if reading.row[where] is None else value)
