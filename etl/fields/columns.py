"""A path of a record → the field that reads one column from it: ids, texts, times, telephone numbers, JSON."""

import re
from datetime import datetime
from typing import Any

from etl.fields import times
from etl.fields.phones import LONGEST, phone
from etl.fields.values import as_text, flag_wrong_type, getter, is_empty
from etl.model import Field, RecordContext

LONGEST_ID = 512  # bytes
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


def identity(path: str) -> Field:
    """The provider's id of a call as text; ``None`` for no usable one. UUIDs are in lower case, all others as sent."""
    get = getter(path)

    def read(reading: RecordContext) -> str | None:
        text = as_text(get(reading.record))
        if text and _UUID.fullmatch(text):
            return text.lower()
        # U+FFFD stands for what could not be kept: two ids might become one.
        if not text or text.isspace() or "\ufffd" in text or len(text.encode()) > LONGEST_ID:
            return None
        return text

    return Field((path,), read)


def text(path: str) -> Field:
    """A text exactly as sent; one of nothing but spaces is null."""
    get = getter(path)

    def read(reading: RecordContext) -> str | None:
        value = get(reading.record)
        if value is None:
            return None
        found = value if type(value) is str else as_text(value)
        if found is not None:
            return found if found and not found.isspace() else None
        if not is_empty(value):
            flag_wrong_type(reading, path, value)
        return None

    return Field((path,), read)


def utc(path: str) -> Field:
    """A point in time, UTC; naive ones are of the source's time zone. Years outside 2000 to 2100 are null."""
    get = getter(path)

    def read(reading: RecordContext) -> datetime | None:
        value = get(reading.record)
        if value is None:
            return None
        moment = times.instant(value, reading.source.timezone) if isinstance(value, str) else None
        if moment is not None and times.is_plausible(moment):
            return moment
        if is_empty(value):
            return None
        if isinstance(value, str):
            reading.flag_and_keep(path, "time_implausible" if moment else "time_unreadable")
        else:
            flag_wrong_type(reading, path, value)
        return None

    return Field((path,), read)


def phone_number(path: str) -> Field:
    """A telephone number in E.164; what is none stays as sent."""
    get = getter(path)
    return Field((path,), lambda reading: number_of(reading, path, get(reading.record)))


def number_of(reading: RecordContext, path: str, value: Any) -> str | None:
    """A value as a telephone number: E.164 where it is one, else as sent."""
    if is_empty(value):
        return None
    written = as_text(value)
    if written is None:
        flag_wrong_type(reading, path, value)
        return None
    if len(written) > LONGEST:
        reading.flag_and_keep(path, "number_unreadable")
        return None
    found, flag = phone(written, reading.source.region)
    if flag:
        reading.flags.append(flag)
    return found


def json(path: str) -> Field:
    """A JSON object or list as it is; an empty one is null."""
    get = getter(path)

    def read(reading: RecordContext) -> dict[str, Any] | list[Any] | None:
        value = get(reading.record)
        if is_empty(value):
            return None
        if isinstance(value, (dict, list)):
            return value
        flag_wrong_type(reading, path, value)
        return None

    return Field((path,), read)
