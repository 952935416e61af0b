"""A record's transcript → its turns, with times that lie within the call."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from etl.decode.invisible import visible
from etl.fields import times
from etl.fields.amounts import MAX_CALL_SECONDS, decimal_of
from etl.fields.transcript_items import Said, new_tuple
from etl.fields.transcript_text import is_spoken, turns_of
from etl.fields.values import flag_wrong_type, getter, is_empty
from etl.model import Field, RecordContext, Turn

RINGING = timedelta(minutes=5)  # an end that is an estimate leaves out how long it rang
LONGEST_CALL = timedelta(hours=4)  # where nothing says how long it was
_CLOCK = re.compile(r"(?:(\d{1,3}):)?(\d{1,2}):(\d\d(?:[.,]\d{1,6})?) ?(?:Z|UTC|([AaPp])[Mm])?", re.ASCII)
_DAY, LONGEST_CLOCK, LONGEST_CACHED = 86_400, 20, 40  # seconds, characters


def turns(path: str) -> Field:
    """The turns of a transcript in any shape, in the order of the source.

    A turn's time is the first of those beside it that lies within the call: an instant, a time of day in UTC, or an
    offset no longer than the call.
    """
    get = getter(path)

    def read(context: RecordContext) -> tuple[Turn, ...]:
        value = get(context.record)
        if is_empty(value):
            return ()
        if not isinstance(value, (str, list)) and not (isinstance(value, dict) and is_spoken(value)):
            flag_wrong_type(context, path, value)
            return ()
        return spoken(context, value)

    return Field((path,), read)


def has_transcript(turns: Field, context: RecordContext | None) -> bool:
    """Whether a record holds something in place of a transcript, turns or not."""
    return context is not None and any(not is_empty(getter(path)(context.record)) for path in turns.paths)


def spoken(context: RecordContext, value: Any) -> tuple[Turn, ...]:
    """The turns of a transcript of the call whose row the context has."""
    said = turns_of(value, context.row["agent_name"] or "")
    untimed = [new_tuple(Turn, (who, text, None, None)) for who, text, values in said if not values]
    if len(untimed) == len(said):
        return tuple(untimed)
    call = _span(context.row, said)
    return tuple([new_tuple(Turn, (who, text, *_moment(context, call, values))) for who, text, values in said])


class _Span(NamedTuple):
    """When a call can have been going on."""

    earliest: datetime
    latest: datetime
    seconds: Decimal  # that it lasted
    started_at: datetime | None
    counts_from_start: bool = False  # its clocks are offsets, not times of day

    def holds(self, moment: datetime | None) -> bool:
        return moment is not None and self.earliest <= moment <= self.latest

    def at(self, time_of_day: Decimal) -> datetime | None:
        """The moment of the call at this time of day, in UTC."""
        midnight = self.earliest.replace(hour=0, minute=0, second=0)
        moments = (midnight + timedelta(days=day, microseconds=int(time_of_day * 10**6)) for day in (0, 1))
        return next(filter(self.holds, moments), None) if time_of_day < _DAY else None


def _span(row: dict[str, Any], said: Sequence[Said]) -> _Span:
    """A call's span; its clocks are offsets where more of them are no longer than the call than are times within it."""
    started_at, ended_at, duration = row["started_at"], row["ended_at"], row["duration_seconds"]
    earliest = min(row["created_at"], started_at or row["created_at"]).replace(
        microsecond=0
    )  # as shown in a transcript
    if duration is None or duration > MAX_CALL_SECONDS:
        latest = ended_at or earliest + LONGEST_CALL
        duration = times.seconds(latest - earliest)
    elif ended_at is None or row["duration_basis"] == "estimate":
        latest = max(ended_at or earliest, earliest + timedelta(seconds=int(duration) + 1)) + RINGING
    else:
        latest = ended_at
    span = _Span(earliest, latest, duration, started_at)
    clocks = [
        clock
        for turn in said
        for value in turn.times
        if type(value) is str and len(value) < LONGEST_CLOCK and (clock := _clock(value))
    ]
    if not clocks:
        return span
    in_day = sum(of_day and span.at(seconds) is not None for seconds, of_day in clocks)
    return span._replace(counts_from_start=sum(seconds <= duration for seconds, _ in clocks) > in_day)


def _clock(value: str) -> tuple[Decimal, bool] | None:
    """The seconds of ``hh:mm:ss`` or ``mm:ss``, and whether it can be a time of day."""
    found = _CLOCK.fullmatch(visible(value).strip())
    if found is None:
        return None
    hours, minutes, seconds, half = found.groups()
    total = Decimal(seconds.replace(",", ".")) + 60 * int(minutes) + 3600 * int(hours or 0)
    if half:  # of the day
        total = total % (12 * 3600) + (12 * 3600 if half in "Pp" else 0)
    return total, hours is not None


def _moment(context: RecordContext, call: _Span, values: Sequence[Any]) -> tuple[datetime | None, Decimal | None]:
    """The time of a turn by what stands beside it, and the seconds from the start to it."""
    earliest, latest, longest, started_at, counts_from_start = call
    for value in values:
        clock = _clock(value) if type(value) is str and len(value) < LONGEST_CLOCK else None
        if clock and (counts_from_start or not clock[1]):
            if clock[0] <= longest:
                return None, clock[0]
            moment = None
        else:
            moment = call.at(clock[0]) if clock else _time(value, context)
        if moment and earliest <= moment <= latest:
            return moment, None if started_at is None or moment < started_at else times.seconds(moment - started_at)
        if not is_empty(value):
            context.flags.append("turn_time_outside_call")
    return None, None


def _time(value: Any, context: RecordContext) -> datetime | None:
    is_date = type(value) is str and value[4:5] == "-"  # no number has its hyphen there
    number = value if type(value) is int else None if is_date else decimal_of(value)
    if number is not None:
        return times.epoch(number)
    if not isinstance(value, str):
        return None
    return (_instant if len(value) < LONGEST_CACHED else times.instant)(value, context.source.timezone)


_instant = lru_cache(maxsize=1 << 8)(times.instant)  # the turns of a call often have all the same
