"""A value of a record → what it is, wherever it stands; and the notes that a reader leaves of an odd one."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

from etl.fields.vocabulary import LONGEST_WORD
from etl.model import Drift, RecordContext

Get = Callable[[Mapping[str, Any]], Any]
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


def is_true(value: Any) -> bool:
    """Whether a value says yes, as JSON or in words."""
    return value is True or value == 1 or (isinstance(value, str) and value.strip().lower() in ("true", "1"))


def is_false(value: Any) -> bool:
    """Whether a value says no, as JSON or in words; null says nothing."""
    return value is False or value == 0 or (isinstance(value, str) and value.strip().lower() in ("false", "0"))


def as_text(value: Any) -> str | None:
    """A scalar as text, a number in plain digits; ``None`` for what is no scalar."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return None
    return format(value, "f") if isinstance(value, Decimal) else str(value)


@cache
def getter(path: str) -> Get:
    """The value at a path of one or two keys, ``None`` where there is none."""
    head, _, rest = path.partition(".")
    if not rest:
        return lambda record: record.get(head)

    def inner(record: Mapping[str, Any]) -> Any:
        value = record.get(head)
        return value.get(rest) if isinstance(value, dict) else None

    return inner


def flag_wrong_type(reading: RecordContext, path: str, value: Any) -> None:
    """Note a value of a type that its column cannot hold."""
    reading.flag_and_keep(path, "type_unexpected")
    reading.drift.append(Drift(path, "type", json_type(value)))


def flag_unknown_value(reading: RecordContext, path: str, word: str) -> None:
    """Note a word that no vocabulary knows; ``extra`` keeps it."""
    reading.extra_paths.append(path)
    reading.drift.append(Drift(path, "unknown_word", word.strip()[:LONGEST_WORD]))
