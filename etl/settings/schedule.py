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
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_DAY_RANGE = re.compile(r"([0-7])(?:-([0-7]))?\Z", re.ASCII)
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Every:
    """At a fixed interval."""

    interval: timedelta


@dataclass(frozen=True, slots=True)
class Cron:
    """At the times of a cron expression, with weekdays as names, because schedulers number them differently."""

    crontab: str


def parse(text: str) -> Every | Cron:
    """Parse a schedule; ``ValueError`` says what is wrong and what to write."""
    words = text.split()
    if words[:1] == ["every"]:
        return Every(duration("".join(words[1:])))
    if len(words) != 5:
        raise ValueError('is not a schedule; write "every 5m" (s, m, h, d) or a cron expression, "*/10 * * * *"')
    crontab = " ".join([*words[:4], _days(words[4])])
    _check(crontab)
    return Cron(crontab)


def next_time(when: Every | Cron, after: datetime, zone: tzinfo, anchor: datetime) -> datetime:
    """The first time of a schedule after ``after``, UTC; ``anchor`` is one of the times of an interval.

    It depends on its arguments only, so that a clock that was set does not make it list missed times. A cron time that
    daylight saving skips happens at the moment of the change; a time that it repeats happens twice.
    """
    if isinstance(when, Every):
        return after + when.interval - (after - anchor) % when.interval
    trigger, in_utc = _cron(when.crontab, zone), _cron(when.crontab, UTC)
    soon = after + timedelta(microseconds=1)
    local = in_utc.get_next_fire_time(None, soon.astimezone(zone).replace(tzinfo=UTC)).replace(tzinfo=zone)
    found: datetime = trigger.get_next_fire_time(None, soon.astimezone(zone)).astimezone(UTC)
    skipped = local.astimezone(UTC)
    return min(found, skipped) if skipped > after else found


def duration(text: str) -> timedelta:
    """``90s``, ``5m``, ``6h`` or ``7d`` as a duration; ``ValueError`` for anything else."""
    found = _DURATION.match(text.strip())
    if not found:
        raise ValueError("is not a duration; write a number and s, m, h or d, such as 5m")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _days(field: str) -> str:
    """The weekdays of a cron expression as names; in cron 0 and 7 are Sunday."""
    return ",".join(_day(part) for part in field.split(","))


def _day(part: str) -> str:
    found = _DAY_RANGE.match(part)
    if not found:
        return part
    first = int(found[1])
    last = int(found[2] or first)
    return ",".join(_DAYS[day % 7] for day in range(first, last + 1)) or part


@cache
def _cron(crontab: str, zone: tzinfo) -> "CronTrigger":
    from apscheduler.triggers.cron import CronTrigger  # imported only if a cron expression is configured

    return CronTrigger.from_crontab(crontab, zone)


def _check(crontab: str) -> None:
    try:
        trigger = _cron(crontab, UTC)
    except ValueError as error:
        raise ValueError(f"is not a cron expression: {error}") from None
    if trigger.get_next_fire_time(None, _LONG_AGO) is None:
        raise ValueError("names a day that does not exist")
