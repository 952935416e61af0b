"""Sources → the times at which the scheduler calls: staggered, with jitter, and never one that lies behind."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zlib import crc32

from apscheduler.triggers.base import BaseTrigger

from etl.model import Source
from etl.settings import schedule
from etl.settings.schedule import Cron, Every

STAGGER = timedelta(seconds=1)
MOST_JITTER = timedelta(seconds=30)
QUIET_FROM, QUIET_MINUTES = 1, 240  # from one to five at night, where the source is


@dataclass(frozen=True, slots=True, eq=False)
class NextRunTrigger(BaseTrigger):  # type: ignore[misc]
    """The times of one schedule, as the scheduler asks for them.

    Its own triggers list every time that was missed, one by one, before they are made one (ten years of minutes after
    a wrong clock are five million); this one knows only what comes next. ``random`` gives numbers in [0, 1).
    """

    when: Every | Cron
    source: Source
    anchor: datetime
    random: Callable[[], float]

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """The first time after now, a little late: up to a tenth of the interval, half a minute at most."""
        found = self._after(now)
        return found + self.random() * min((self._after(found) - found) / 10, MOST_JITTER)

    def _after(self, moment: datetime) -> datetime:
        return schedule.next_time(self.when, moment, self.source.timezone, self.anchor)


def interval(source: Source, now: datetime) -> timedelta:
    """How long it is from the next time of a source's schedule to the one after it."""
    first = _after(source, now)
    return _after(source, first) - first


def nightly(source: Source) -> Cron:
    """A time of night of the source's own, by its name, so that many are not verified at once."""
    minute = crc32(source.name.encode()) % QUIET_MINUTES
    return Cron(f"{minute % 60} {QUIET_FROM + minute // 60} * * *")


def staggered(sources: list[Source], now: datetime) -> list[datetime]:
    """When each source is first read: at once, one after the other, all of them within one interval."""
    shortest = min((interval(source, now) for source in sources), default=STAGGER)
    step = min(STAGGER, shortest / max(len(sources), 1))
    return [now + place * step for place in range(len(sources))]


def _after(source: Source, moment: datetime) -> datetime:
    return schedule.next_time(schedule.parse(source.schedule), moment, source.timezone, datetime.fromtimestamp(0, UTC))
