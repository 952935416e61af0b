"""A value of a record → its type and meaning, and the flags and drift of an unexpected one."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any

from etl.decode.invisible import is_blank, visible
from etl.fields.vocabulary import MAX_WORD_LENGTH
from etl.model import Drift, RecordContext
from etl.runtime.redaction import bare_links

Get = Callable[[Mapping[str, Any]], Any]
_UNSET = {"null", "none", "nan", "nat", "na", "n/a", "<na>", "nil", "undefined"}
_LONGEST_UNSET = 32
_TYPES = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}


def json_type(value: Any) -> str:
    """The name of a value's JSON type."""
    return _TYPES.get(list if isinstance(value, list) else dict if isinstance(value, dict) else type(value), "number")


def is_empty(value: Any) -> bool:
    """Whether a value is null, a blank text, or an empty object or list; false and 0 are not empty."""
    if value is None:
        return True
    if isinstance(value, str):
        return not value or (not value[0].isalnum() and is_blank(value))
    return not value and isinstance(value, (dict, list))


def is_unset(value: Any) -> bool:
    """Whether a value is empty, or a word that a program writes for a field without a value: "NaN", "None"."""
    if value is None:
        return True
    return _is_unset_text(value) if isinstance(value, str) and len(value) <= _LONGEST_UNSET else is_empty(value)


@lru_cache(maxsize=1 << 12)
def _is_unset_text(text: str) -> bool:
    return is_blank(text) or visible(text).strip(" \"'").casefold() in _UNSET


def is_true(value: Any) -> bool:
    """Whether a value is true, 1 or a text of either."""
    return value is True or value == 1 or (isinstance(value, str) and visible(value).strip().lower() in ("true", "1"))


def is_false(value: Any) -> bool:
    """Whether a value is false, 0 or a text of either; null is not."""
    return value is False or value == 0 or (isinstance(value, str) and visible(value).strip().lower() in ("false", "0"))


def as_text(value: Any) -> str | None:
    """A text or number as text, in plain digits; ``None`` for any other value."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return None
    return format(value, "f") if isinstance(value, Decimal) else str(value)


@cache
def getter(path: str) -> Get:
    """A function that gets the value at a path of one or two keys, ``None`` where there is none."""
    head, _, rest = path.partition(".")
    if not rest:
        return lambda record: record.get(head)

    def inner(record: Mapping[str, Any]) -> Any:
        value = record.get(head)
        return value.get(rest) if isinstance(value, dict) else None

    return inner


def flag_wrong_type(context: RecordContext, path: str, value: Any) -> None:
    """Records a value of a type that its column cannot hold; ``extra`` keeps it."""
    context.flag_and_keep(path, "type_unexpected")
    context.drift.append(Drift(path, "type", json_type(value)))


def flag_unknown_value(context: RecordContext, path: str, word: str) -> None:
    """Records a word that the vocabulary does not know; ``extra`` keeps it."""
    context.extra_paths.append(path)
    context.drift.append(Drift(path, "unknown_word", bare_links(word.strip())[:MAX_WORD_LENGTH]))
