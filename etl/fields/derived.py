"""Columns that are read already → the field that follows from them."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from etl.fields import times
from etl.model import Field, RecordContext


def all_of(*conditions: Callable[[RecordContext], bool | None]) -> Field:
    """Whether every condition holds: false where one does not, null where nobody knows of one."""

    def read(reading: RecordContext) -> bool | None:
        found = [condition(reading) for condition in conditions]
        return False if False in found else None if None in found else True

    return Field((), read)


def is_over(reading: RecordContext) -> bool | None:
    """Whether the call is known to have ended by its status."""
    is_live = reading.row["is_live"]
    return None if is_live is None else not is_live


def between(first: str, last: str) -> Field:
    """The seconds from one column's time to another's, exact; null where the second is earlier."""

    def read(reading: RecordContext) -> Decimal | None:
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
