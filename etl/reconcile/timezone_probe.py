"""The answer to one exact day → the time zone in which a provider counts its days, compared with the configured one."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta, timezone
from typing import NamedTuple
from zoneinfo import ZoneInfo

from etl.model import Window
from etl.reconcile.remote import RemoteStream

DAY = timedelta(days=1)
OFFSETS = [timedelta(minutes=minutes) for minutes in range(-12 * 60, 14 * 60 + 1, 15)]
USUAL = (  # of several offsets that fit, one of these is believed
    "UTC", "Asia/Kolkata", "Europe/London", "Europe/Berlin", "America/New_York", "America/Los_Angeles", "Asia/Dubai",
    "Asia/Singapore", "Australia/Sydney",
)  # fmt: skip
DAYS_ASKED = 2
NEAR = 3  # calls by which an answer may differ from what is stored, besides one in a hundred


class Measured(NamedTuple):
    """Whether the provider counts its days as configured, as far as its answers tell, and what speaks against it."""

    is_sure: bool
    warning: str | None = None


def measured(remote: RemoteStream, zone: ZoneInfo, until: datetime) -> Measured:
    """Hold the configured zone against the answers to one or two of the busiest whole days of the last weeks."""
    days = _busiest(remote.local.times(until - 30 * DAY, until), zone, until)
    common = set(OFFSETS)
    for day in days:
        found = _offsets(remote, zone, day)
        if _offset(zone, day) in found:
            return Measured(is_sure=len(found) < len(OFFSETS))
        common &= found
    if not days or not common:
        return Measured(is_sure=False)
    usual = [(name, offset) for name in USUAL if (offset := _offset(ZoneInfo(name), days[0])) in common]
    name, nearest = usual[0] if usual else (None, min(common, key=lambda offset: abs(offset - _offset(zone, days[0]))))
    return Measured(is_sure=False, warning=_said(name, nearest, zone, days[0]))


def exact_days(zone: ZoneInfo, first: date, last: date) -> Window:
    """What to ask of a list that filters by days so that these are asked for exactly: it reaches over by one a side."""
    noon = time(12)
    return Window(datetime.combine(first, noon, zone) + DAY, datetime.combine(last, noon, zone) - DAY)


def _busiest(times: Sequence[datetime], zone: ZoneInfo, until: datetime) -> list[date]:
    calls: dict[date, int] = {}
    for at in times:
        day = at.astimezone(zone).date()
        calls[day] = calls.get(day, 0) + 1
    whole = [day for day in calls if _start(day + 2 * DAY, _offset(zone, day)) <= until]  # in any zone
    return sorted(whole, key=lambda day: calls[day], reverse=True)[:DAYS_ASKED]


def _offsets(remote: RemoteStream, zone: ZoneInfo, day: date) -> set[timedelta]:
    """The offsets from UTC under which the answer to one day comes nearest to what is stored of it."""
    page, arrivals = remote.take(exact_days(zone, day, day), 1)
    local = remote.local
    times = local.times(_start(day, OFFSETS[-1]), _start(day + DAY, OFFSETS[0]))
    shown = [record.created_at for record in arrivals if record.created_at is not None]
    far = {offset: _distance(times, shown, page.total, _start(day, offset)) for offset in OFFSETS}
    nearest = min(far.values())
    if not shown or nearest > NEAR + len(times) // 100:
        return set(OFFSETS)  # a filter that is ignored, or too much that is not stored: nothing can be measured
    return {offset for offset in OFFSETS if far[offset] == nearest}


def _distance(times: Sequence[datetime], shown: Sequence[datetime], total: int | None, start: datetime) -> int:
    """How far an answer is from the day that begins there: calls of other times, and the counts' difference."""
    outside = sum(not start <= at < start + DAY for at in shown)
    stored = sum(start <= at < start + DAY for at in times)
    return outside + (abs(stored - total) if total is not None else 0)


def _start(day: date, offset: timedelta) -> datetime:
    return datetime.combine(day, time(), timezone(offset))


def _offset(zone: ZoneInfo, day: date) -> timedelta:
    offset = datetime.combine(day, time(12), zone).utcoffset()
    return offset or timedelta(0)


def _said(name: str | None, offset: timedelta, zone: ZoneInfo, day: date) -> str:
    hint = f'timezone = "{name}"' if name else f"a timezone at {_name(offset)}"
    return (
        f"the provider counts its days at {_name(offset)}, the configured {zone.key} is {_name(_offset(zone, day))}: "
        f"set {hint} for this source in etl.toml"
    )


def _name(offset: timedelta) -> str:
    hours, minutes = divmod(abs(offset) // timedelta(minutes=1), 60)
    return f"UTC{'-' if offset < timedelta(0) else '+'}{hours:02}:{minutes:02}"
