"""The text of a schedule, ``every 5m`` or a cron expression → the times when to run."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apscheduler.triggers.cron import CronTrigger

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"([1-9][0-9]{0,5})\s*([smhd])\Z", re.ASCII)
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_RANGE = re.compile(rf"(\*|[0-7]|{'|'.join(_DAYS)})(?:-([0-7]|{'|'.join(_DAYS)}))?(?:/([1-9]))?\Z", re.ASCII)
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Every:
    """At a fixed interval."""

    interval: timedelta


@dataclass(frozen=True, slots=True)
class Cron:
    """At the times of one cron expression or another, with weekdays as names: schedulers number them differently."""

    crontab: str
    alternative: str = ""


@cache
def parse(text: str) -> Every | Cron:
    """Parse a schedule; ``ValueError`` says what is wrong and what to write."""
    words = text.split()
    if words[:1] == ["every"]:
        return Every(duration("".join(words[1:])))
    if len(words) != 5:
        raise ValueError('is not a schedule; write "every 5m" (s, m, h, d) or a cron expression, "*/10 * * * *"')
    return _checked(_cron_of(*words))


def next_time(when: Every | Cron, after: datetime, zone: tzinfo, anchor: datetime) -> datetime:
    """The first time of a schedule after ``after``, UTC; ``anchor`` is one of the times of an interval.

    It depends on its arguments only, so that a clock that was set does not make it list missed times. A cron time that
    daylight saving skips happens at the moment of the change; a time that it repeats happens twice.
    """
    if isinstance(when, Every):
        return after + when.interval - (after - anchor) % when.interval
    return min(_cron_times(when, after, zone))


def _cron_times(when: Cron, after: datetime, zone: tzinfo) -> list[datetime]:
    found = [_next_of(crontab, after, zone) for crontab in (when.crontab, when.alternative) if crontab]
    return [at for at in found if at]


def _next_of(crontab: str, after: datetime, zone: tzinfo) -> datetime | None:
    trigger, in_utc = _cron(crontab, zone), _cron(crontab, UTC)
    soon = after + timedelta(microseconds=1)
    local = in_utc.get_next_fire_time(None, soon.astimezone(zone).replace(tzinfo=UTC))
    if local is None:  # a day that does not exist
        return None
    found: datetime = trigger.get_next_fire_time(None, soon.astimezone(zone)).astimezone(UTC)
    skipped: datetime = local.replace(tzinfo=zone).astimezone(UTC)
    return min(found, skipped) if skipped > after else found


def duration(text: str) -> timedelta:
    """``90s``, ``5m``, ``6h`` or ``7d`` as a duration; ``ValueError`` for anything else."""
    found = _DURATION.match(text.strip())
    if not found:
        raise ValueError("is not a duration; write a number and s, m, h or d, such as 5m")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _cron_of(minute: str, hour: str, day: str, month: str, weekday: str) -> Cron:
    """A cron expression; where both day fields are restricted, one that begins with a star not, either is enough."""
    weekdays = ",".join(_weekdays(part) for part in weekday.lower().split(","))
    if day.startswith("*") or weekday.startswith("*"):
        return Cron(f"{minute} {hour} {day} {month} {weekdays}")
    return Cron(f"{minute} {hour} {day} {month} *", f"{minute} {hour} * {month} {weekdays}")


def _weekdays(part: str) -> str:
    """One part of the weekdays as names; in cron 0 and 7 are Sunday."""
    found = _DAY_RANGE.match(part)
    if not found or part == "*":
        return part
    first = 0 if found[1] == "*" else _number(found[1])
    last = 6 if found[1] == "*" else _number(found[2], first) if found[2] else 6 if found[3] else first
    return ",".join(_DAYS[day] for day in range(first, last + 1, int(found[3] or 1))) or part


def _number(day: str, first: int = 0) -> int:
    number = int(day) if day.isdigit() else _DAYS.index(day)
    return 7 if number == 0 and first else number  # mon-sun


@cache
def _cron(crontab: str, zone: tzinfo) -> "CronTrigger":
    from apscheduler.triggers.cron import CronTrigger  # imported only if a cron expression is configured

    return CronTrigger.from_crontab(crontab, zone)


def _checked(when: Cron) -> Cron:
    try:
        times = _cron_times(when, _LONG_AGO, UTC)
    except ValueError as error:
        raise ValueError(f"is not a cron expression: {error}") from None
    if not times:
        raise ValueError("names a day that does not exist")
    return when
