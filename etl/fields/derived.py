"""Columns that were read before → a field that is derived from them."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from etl.decode.invisible import without_marks
from etl.fields import times
from etl.fields.columns import text
from etl.fields.values import as_text, is_unset
from etl.fields.vocabulary import MAX_WORD_LENGTH, normalize
from etl.model import Field, Inline, RecordContext

SUMMARY = ("summary", "callsummary")
SENTIMENT = ("sentiment", "sentiments", "overallsentiment", "callsentiment", "usersentiment", "customersentiment")
VALUE_KEYS = ("value", "overall", "label")  # of an item that is an object


def all_of(*conditions: Callable[[RecordContext], bool | None], needs: tuple[str, ...] = ()) -> Field:
    """Whether every condition holds: false where one does not, null where one is unknown."""

    def read(context: RecordContext) -> bool | None:
        found: bool | None = True
        for condition in conditions:  # each may flag what it reads
            each = condition(context)
            found = each if each is False or (each is None and found) else found
        return found

    return Field((), read, needs)


def is_over(context: RecordContext) -> bool | None:
    """Whether the call has ended by its status; ``None`` where that is unknown. Needs ``is_live``."""
    is_live = context.row["is_live"]
    return None if is_live is None else not is_live


def between(first: str, last: str) -> Field:
    """The exact seconds from one column's time to another's; null where the second is earlier."""

    def read(context: RecordContext) -> Decimal | None:
        start, end = context.row[first], context.row[last]
        if start is None or end is None:
            return None
        if end < start:
            context.flags.append("ends_before_start")
            return None
        return times.seconds(end - start)

    code = "None if (a := row[%r]) is None or (b := row[%r]) is None else {read} if b < a else {seconds}(b - a)"
    return Field((), read, (first, last), Inline(code % (first, last), names={"seconds": times.seconds}))


def constant(value: Any, where: str) -> Field:
    """A constant where another column is not null."""
    inline = Inline(f"None if row[{where!r}] is None else {{value}}", names={"value": value})
    return Field((), lambda context: None if context.row[where] is None else value, (where,), inline)


def in_analysis(*names: str, otherwise: str = "") -> Field:
    """The text at the path ``otherwise``; where there is none, the analysis's item of one of these names.

    An item is a scalar or ``{"value": …}``, in an object or in a list of ``{"name": …, "value": …}``.
    """
    stated = text(otherwise).read if otherwise else lambda context: None

    def read(context: RecordContext) -> str | None:
        analysis = context.row["analysis"]
        return stated(context) or (_item(analysis, names) if isinstance(analysis, (dict, list)) else None)

    is_stated = "v if type(v) is str and len(v) > 9 and v[0].isalnum() and v.isascii() else " if otherwise else ""
    is_nowhere = "(v is None or v == '') and not row['analysis']" if otherwise else "not row['analysis']"
    inline = Inline(f"{is_stated}None if {is_nowhere} else {{read}}", otherwise)
    return Field((otherwise,) if otherwise else (), read, ("analysis",), inline)


def _item(analysis: Any, names: tuple[str, ...], levels: int = 3) -> str | None:
    """The first item of one of these normalized names, in the analysis or in the objects in it."""
    is_list = isinstance(analysis, list)
    named = [(each.get("name"), each) for each in analysis if isinstance(each, dict)] if is_list else analysis.items()
    for name, item in named:
        is_named = isinstance(name, str) and len(name) <= MAX_WORD_LENGTH and normalize(name) in names
        if is_named and (found := _scalar(item)):
            return found
    for each in (analysis if is_list else analysis.values()) if levels > 1 else ():
        if each and isinstance(each, (dict, list)) and (found := _item(each, names, levels - 1)):
            return found
    return None


def _scalar(value: Any) -> str | None:
    if isinstance(value, dict):
        value = next((value[key] for key in VALUE_KEYS if not is_unset(value.get(key))), None)
    if isinstance(value, bool):
        return str(value).lower()
    written = None if is_unset(value) else as_text(value)
    return None if written is None else without_marks(written)
