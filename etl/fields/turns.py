"""A record's transcript → turns with the times that fall within the call."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from etl.fields import at, decimal_of, is_empty, mistyped, times
from etl.fields.transcripts import is_spoken, turns_of
from etl.stream import Field, Reading, Turn

_TIME_KEYS = ("timestamp_ms", "timestamp", "created_at")


def turns(path: str) -> Field:
    """The turns of a transcript in any shape, in the order of the source.

    A turn's time is its ``timestamp_ms``, ``timestamp`` or ``created_at``, whichever first falls between the call's
    creation or start and its end; its offset counts from the start.
    """
    get = at(path)

    def read(reading: Reading) -> tuple[Turn, ...]:
        value = get(reading.record)
        if is_empty(value):
            return ()
        if not isinstance(value, str | list) and not (isinstance(value, dict) and is_spoken(value)):
            mistyped(reading, path, value)
            return ()
        return tuple(_with_offset(turn, reading) for turn in turns_of(value, lambda item: _moment(item, reading)))

    return Field((path,), read)


def _moment(item: Mapping[str, Any], reading: Reading) -> datetime | None:
    row = reading.row
    start, end = min(row["created_at"], row["started_at"] or row["created_at"]), row["ended_at"]
    for key in _TIME_KEYS:
        value = item.get(key)
        if is_empty(value):
            continue
        moment = _time(value, reading)
        if moment is not None and start <= moment and (end is None or moment <= end):
            return moment
        reading.flags.append("turn_time_outside_call")
    return None


def _time(value: Any, reading: Reading) -> datetime | None:
    number = decimal_of(value)
    if number is not None:
        return times.epoch(number)
    return times.instant(value, reading.source.timezone) if isinstance(value, str) else None


def _with_offset(turn: Turn, reading: Reading) -> Turn:
    started_at = reading.row["started_at"]
    if turn.spoken_at is None or started_at is None or turn.spoken_at < started_at or turn.offset_seconds is not None:
        return turn
    offset: Decimal = times.seconds(turn.spoken_at - started_at)
    return turn._replace(offset_seconds=offset)
