"""A path of a record → the field that reads an id, a text, a time, a telephone number or JSON from it."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from etl.decode.invisible import MARKS, is_blank, visible, without_marks
from etl.fields import times
from etl.fields.phones import LONGEST, phone
from etl.fields.values import as_text, flag_wrong_type, getter, is_empty, is_unset
from etl.model import Field, Inline, RecordContext
from etl.runtime.redaction import bare_links

MAX_ID_BYTES = 512  # bytes
_UNSET_TEXTS = {"null", "None", "NaN", "undefined"}  # exactly: Null and Nan are names of people
_LONGEST_UNSET = 10
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)

_PLAIN_TEXT = (
    "v if type(v) is str and v and v[0].isalnum() and v.isascii() and (len(v) > 9 or v not in {unset})"
    " else None if v is None or v == '' else {read}"
)
_PLAIN_NAME = _PLAIN_TEXT.replace(" else None", " and '/' not in v and '=' not in v and '%' not in v else None", 1)
_PLAIN_TIME = (
    f"at if type(v) is str and (at := {{instant}}(v, zone)) and {times.FIRST_YEAR} <= at.year <= {times.LAST_YEAR}"
    " else None if v is None else {read}"
)
_PLAIN_PHONE = (
    f"n[0] if type(v) is str and len(v) <= {LONGEST} and not (n := {{phone}}(v, region))[1]"
    " else None if v is None else {read}"
)
_PLAIN_JSON = "v if v and (type(v) is dict or type(v) is list) else None if v is None else {read}"


def identity(path: str) -> Field:
    """The provider's id of a call as text, ``None`` for an unusable one; UUIDs in lower case, others as sent."""
    get = getter(path)

    def read(context: RecordContext) -> str | None:
        text = visible(as_text(get(context.record)) or "")
        if _UUID.fullmatch(text):
            return text.lower()
        # U+FFFD replaces an unstorable character: two ids might become the same.
        if is_unset(text) or "\ufffd" in text or len(text.encode()) > MAX_ID_BYTES:
            return None
        return text

    return Field((path,), read)


def text(path: str) -> Field:
    """A text as sent, but for invisible characters at its ends; a blank one is null, and so is "null" or "None"."""
    return _text(path, lambda value: value.strip(MARKS))


def name(path: str) -> Field:
    """The same of an id or a name, by which calls are grouped: no invisible characters, and links that open nothing."""
    field = _text(path, without_marks)

    def read(context: RecordContext) -> str | None:
        found: str | None = field.read(context)
        return bare_links(found) if found else found

    return Field((path,), read, inline=Inline(_PLAIN_NAME, path, {"unset": _UNSET_TEXTS}))


def _text(path: str, clean: Callable[[str], str]) -> Field:
    get = getter(path)

    def read(context: RecordContext) -> str | None:
        value = get(context.record)
        if value is None:
            return None
        found = value if type(value) is str else as_text(value)
        if found is not None:
            if len(found) >= _LONGEST_UNSET and found[0].isalnum() and found.isascii():  # as nearly all are
                return found
            found = found if found.isascii() else clean(found)
            is_unset = len(found) < _LONGEST_UNSET and found in _UNSET_TEXTS
            return None if is_unset or is_blank(found) else found
        if not is_empty(value):
            flag_wrong_type(context, path, value)
        return None

    return Field((path,), read, inline=Inline(_PLAIN_TEXT, path, {"unset": _UNSET_TEXTS}))


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

    return Field((path,), read, inline=Inline(_PLAIN_TIME, path, {"instant": times.instant}))


def phone_number(path: str) -> Field:
    """A telephone number in E.164; any other text as sent, with a flag."""
    get = getter(path)
    inline = Inline(_PLAIN_PHONE, path, {"phone": phone})
    return Field((path,), lambda context: number_of(context, path, get(context.record)), inline=inline)


def number_of(context: RecordContext, path: str, value: Any) -> str | None:
    """A value as a telephone number in E.164; any other text as sent, with a flag."""
    if is_empty(value):
        return None
    written = as_text(value)
    if written is None:
        flag_wrong_type(context, path, value)
        return None
    if len(written) > LONGEST or is_unset(written):
        context.flag_and_keep(path, "number_unreadable")
        return None
    found, flag = phone(written, context.source.region)
    if flag:
        context.flags.append(flag)
    return found


def json(path: str) -> Field:
    """A JSON object or list as sent; an empty one is null, and so is "null" or "None"."""
    get = getter(path)

    def read(context: RecordContext) -> dict[str, Any] | list[Any] | None:
        value = get(context.record)
        if is_unset(value):
            return None
        if isinstance(value, (dict, list)):
            return value
        flag_wrong_type(context, path, value)
        return None

    return Field((path,), read, inline=Inline(_PLAIN_JSON, path))
