"""A record's transcript → its turns, with times that lie within the call."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from etl.fields import times
from etl.fields.amounts import decimal_of
from etl.fields.transcript_text import Moment, is_spoken, turns_of
from etl.fields.values import flag_wrong_type, getter, is_empty
from etl.model import Field, RecordContext, Turn

_TIME_KEYS = ("timestamp_ms", "timestamp", "created_at")


def turns(path: str) -> Field:
    """The turns of a transcript in any shape, in the order of the source.

    A turn's time is the first of its ``timestamp_ms``, ``timestamp`` and ``created_at`` that lies between the creation
    or start of the call and its end; its offset counts from the start.
    """
    get = getter(path)

    def read(context: RecordContext) -> tuple[Turn, ...]:
        value = get(context.record)
        if is_empty(value):
            return ()
        if not isinstance(value, (str, list)) and not (isinstance(value, dict) and is_spoken(value)):
            flag_wrong_type(context, path, value)
            return ()
        return tuple(turns_of(value, _moment_within(context)))

    return Field((path,), read)


def _moment_within(context: RecordContext) -> Moment:
    """A function: an item → its time within the call, and the seconds from the start to it."""
    row = context.row
    started_at, ended_at = row["started_at"], row["ended_at"]
    earliest = min(row["created_at"], started_at or row["created_at"])

    def moment(item: Mapping[str, Any]) -> tuple[datetime | None, Decimal | None]:
        for key in _TIME_KEYS:
            value = item.get(key)
            if value is None:
                continue
            spoken_at = _time(value, context)
            if spoken_at is not None and earliest <= spoken_at and (ended_at is None or spoken_at <= ended_at):
                is_after = started_at is not None and started_at <= spoken_at
                return spoken_at, times.seconds(spoken_at - started_at) if is_after else None
            if not is_empty(value):
                context.flags.append("turn_time_outside_call")
        return None, None

    return moment


def _time(value: Any, context: RecordContext) -> datetime | None:
    number = value if type(value) is int else decimal_of(value)
    if number is not None:
        return times.epoch(number)
    return times.instant(value, context.source.timezone) if isinstance(value, str) else None
