"""A record's transcript → turns with the times that fall within the call."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from etl.fields import times
from etl.fields.amounts import decimal_of
from etl.fields.transcripts import Moment, is_spoken, turns_of
from etl.fields.values import at, is_empty, mistyped
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
        if not isinstance(value, (str, list)) and not (isinstance(value, dict) and is_spoken(value)):
            mistyped(reading, path, value)
            return ()
        found = turns_of(value, _moment_within(reading))
        started_at = reading.row["started_at"]
        return tuple(found if started_at is None else [_with_offset(turn, started_at) for turn in found])

    return Field((path,), read)


def _moment_within(reading: Reading) -> Moment:
    """What reads an item's time, as far as it falls within the call."""
    row = reading.row
    start, end = min(row["created_at"], row["started_at"] or row["created_at"]), row["ended_at"]

    def moment(item: Mapping[str, Any]) -> datetime | None:
        for key in _TIME_KEYS:
            value = item.get(key)
            if value is None or (type(value) is not int and is_empty(value)):
                continue
            spoken_at = _time(value, reading)
            if spoken_at is not None and start <= spoken_at and (end is None or spoken_at <= end):
                return spoken_at
            reading.flags.append("turn_time_outside_call")
        return None

    return moment


def _time(value: Any, reading: Reading) -> datetime | None:
    if type(value) is int:
        return times.epoch(value)
    number = decimal_of(value)
    if number is not None:
        return times.epoch(number)
    return times.instant(value, reading.source.timezone) if isinstance(value, str) else None


def _with_offset(turn: Turn, started_at: datetime) -> Turn:
    if turn.spoken_at is None or turn.spoken_at < started_at or turn.offset_seconds is not None:
        return turn
    return Turn(turn.speaker, turn.text, turn.spoken_at, times.seconds(turn.spoken_at - started_at))
