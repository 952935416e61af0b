"""Columns that were read before → a field that is derived from them."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from etl.fields import times
from etl.model import Field, RecordContext


def all_of(*conditions: Callable[[RecordContext], bool | None], needs: tuple[str, ...] = ()) -> Field:
    """Whether every condition holds: false where one does not, null where one is unknown."""

    def read(context: RecordContext) -> bool | None:
        found = [condition(context) for condition in conditions]
        return False if False in found else None if None in found else True

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

    return Field((), read, needs=(first, last))


def constant(value: Any, where: str) -> Field:
    """A constant where another column is not null."""
    return Field((), lambda context: None if context.row[where] is None else value, needs=(where,))
