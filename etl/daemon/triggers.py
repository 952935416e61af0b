"""Sources → the times at which APScheduler runs their jobs: staggered, with jitter, and never in the past."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zlib import crc32

from apscheduler.triggers.base import BaseTrigger

from etl.model import Source
from etl.settings import schedule
from etl.settings.schedule import Cron, Every

STAGGER = timedelta(seconds=1)
MAX_JITTER = timedelta(seconds=30)
NIGHT_START_HOUR, NIGHT_MINUTES = 1, 240  # from one to five o'clock in the source's time zone


@dataclass(frozen=True, slots=True, eq=False)
class NextRunTrigger(BaseTrigger):  # type: ignore[misc]
    """The run times of one schedule.

    APScheduler's own triggers list every missed time one by one before they are coalesced (ten years of minutes after
    a wrong clock are five million); this one knows only the next. ``random`` gives numbers in [0, 1).
    """

    when: Every | Cron
    source: Source
    anchor: datetime
    random: Callable[[], float]

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """The first time after now, plus jitter: up to a tenth of the interval, half a minute at most."""
        return self._jittered(now, self.random())

    def latest(self, now: datetime) -> datetime:
        """The latest time that may follow now."""
        return self._jittered(now, 1.0)

    def _jittered(self, now: datetime, share: float) -> datetime:
        found = self._after(now)
        return found + share * min((self._after(found) - found) / 10, MAX_JITTER)

    def _after(self, moment: datetime) -> datetime:
        return schedule.next_time(self.when, moment, self.source.timezone, self.anchor)


def interval(source: Source, now: datetime) -> timedelta:
    """The time between the next two runs of a source's schedule."""
    first = _after(source, now)
    return _after(source, first) - first


def nightly(source: Source) -> Cron:
    """A time of night that depends on the source's name, so that not all are verified at once."""
    minute = crc32(source.name.encode()) % NIGHT_MINUTES
    return Cron(f"{minute % 60} {NIGHT_START_HOUR + minute // 60} * * *")


def staggered(sources: list[Source], now: datetime) -> list[datetime]:
    """When each source is first read: now, one after the other, all of them within one interval."""
    shortest = min((interval(source, now) for source in sources), default=STAGGER)
    step = min(STAGGER, shortest / max(len(sources), 1))
    return [now + index * step for index in range(len(sources))]


def _after(source: Source, moment: datetime) -> datetime:
    return schedule.next_time(schedule.parse(source.schedule), moment, source.timezone, datetime.fromtimestamp(0, UTC))
