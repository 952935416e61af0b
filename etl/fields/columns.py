"""A path of a record → the field that reads an id, a text, a time, a telephone number or JSON from it."""

import re
from datetime import datetime
from typing import Any

from etl.fields import times
from etl.fields.phones import LONGEST, phone
from etl.fields.values import as_text, flag_wrong_type, getter, is_empty
from etl.model import Field, RecordContext

MAX_ID_BYTES = 512  # bytes
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)


def identity(path: str) -> Field:
    """The provider's id of a call as text, ``None`` for an unusable one; UUIDs in lower case, others as sent."""
    get = getter(path)

    def read(context: RecordContext) -> str | None:
        text = as_text(get(context.record))
        if text and _UUID.fullmatch(text):
            return text.lower()
        # U+FFFD replaces an unstorable character: two ids might become the same.
        if not text or text.isspace() or "\ufffd" in text or len(text.encode()) > MAX_ID_BYTES:
            return None
        return text

    return Field((path,), read)


def text(path: str) -> Field:
    """A text exactly as sent; a blank one is null."""
    get = getter(path)

    def read(context: RecordContext) -> str | None:
        value = get(context.record)
        if value is None:
            return None
        found = value if type(value) is str else as_text(value)
        if found is not None:
            return found if found and not found.isspace() else None
        if not is_empty(value):
            flag_wrong_type(context, path, value)
        return None

    return Field((path,), read)


def utc(path: str) -> Field:
    """A time in UTC; a naive one is in the source's time zone, one outside the years 2000 to 2100 is null."""
    get = getter(path)

    def read(context: RecordContext) -> datetime | None:
        value = get(context.record)
        if value is None:
            return None
        moment = times.instant(value, context.source.timezone) if isinstance(value, str) else None
        if moment is not None and times.is_plausible(moment):
            return moment
        if is_empty(value):
            return None
        if isinstance(value, str):
            context.flag_and_keep(path, "time_implausible" if moment else "time_unreadable")
        else:
            flag_wrong_type(context, path, value)
        return None

    return Field((path,), read)


def phone_number(path: str) -> Field:
    """A telephone number in E.164; any other text as sent."""
    get = getter(path)
    return Field((path,), lambda context: number_of(context, path, get(context.record)))


def number_of(context: RecordContext, path: str, value: Any) -> str | None:
    """A value as a telephone number in E.164; any other text as sent."""
    if is_empty(value):
        return None
    written = as_text(value)
    if written is None:
        flag_wrong_type(context, path, value)
        return None
    if len(written) > LONGEST:
        context.flag_and_keep(path, "number_unreadable")
        return None
    found, flag = phone(written, context.source.region)
    if flag:
        context.flags.append(flag)
    return found


def json(path: str) -> Field:
    """A JSON object or list as sent; an empty one is null."""
    get = getter(path)

    def read(context: RecordContext) -> dict[str, Any] | list[Any] | None:
        value = get(context.record)
        if is_empty(value):
            return None
        if isinstance(value, (dict, list)):
            return value
        flag_wrong_type(context, path, value)
        return None

    return Field((path,), read)
