"""The times at which sources are read: through daylight saving, steps of the clock, overruns and long sleeps."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers import base as scheduler_module
from hypothesis import given
from hypothesis import strategies as st

from etl.daemon import triggers
from etl.daemon.jobs import scheduler_options
from etl.model import Source
from etl.runtime.secret import Secret
from etl.settings.schedule import next_time, parse

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo"]
START = datetime(2026, 3, 1, tzinfo=UTC)
MOMENTS = st.integers(10**9, 2**32).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def source(schedule: str, zone: str = "UTC", name: str = "s") -> Source:
    return Source(name, "ringg", "https://x.test", Secret(""), "USD", timezone=ZoneInfo(zone), schedule=schedule)


def times(schedule: str, zone: str, after: datetime, count: int) -> list[str]:
    found = []
    for _ in range(count):
        after = next_time(parse(schedule), after, ZoneInfo(zone), after)
        found.append(f"{after:%m-%d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("schedule", "zone", "after", "expected"),
    [
        ("30 9 * * 1", "Asia/Kolkata", datetime(2026, 11, 20, 12, tzinfo=UTC), ["11-23 04:00", "11-30 04:00"]),
        # the thirteenth or a Friday; the thirtieth of February never
        ("0 0 13 * 5", "UTC", datetime(2026, 5, 9, tzinfo=UTC), ["05-13 00:00", "05-15 00:00"]),
        ("0 0 30 2 1", "UTC", datetime(2026, 2, 17, tzinfo=UTC), ["02-23 00:00", "02-01 00:00"]),
        # the clock goes forward at 01:00 UTC: half past two does not exist, and is read at the change
        ("30 2 * * *", "Europe/Berlin", datetime(2026, 3, 28, 12, tzinfo=UTC), ["03-29 01:30", "03-30 00:30"]),
        # midnight does not exist on the fourth of November
        ("0 0 * * *", "America/Sao_Paulo", datetime(2018, 11, 3, 12, tzinfo=UTC), ["11-04 03:00", "11-05 02:00"]),
        # the clock goes back at 01:00 UTC: half past two comes twice, and no half hour is left out
        ("30 2 * * *", "Europe/Berlin", datetime(2026, 10, 24, 12, tzinfo=UTC), ["10-25 00:30", "10-25 01:30"]),
        ("*/30 * * * *", "Europe/Berlin", datetime(2026, 10, 25, 0, 15, tzinfo=UTC), ["10-25 00:30", "10-25 01:00"]),
    ],
)
def test_cron_follows_the_clock_of_the_source(schedule: str, zone: str, after: datetime, expected: list[str]) -> None:
    assert times(schedule, zone, after, 2) == expected


@given(
    st.sampled_from(ZONES),
    st.sampled_from([5, 15, 30]),
    MOMENTS,
)
def test_no_change_of_the_clock_makes_it_silent(zone: str, minutes: int, after: datetime) -> None:
    found = next_time(parse(f"*/{minutes} * * * *"), after, ZoneInfo(zone), after)
    assert timedelta(0) < found - after <= timedelta(minutes=minutes)


@given(
    st.integers(1, 10**6),
    MOMENTS,
    MOMENTS,
)
def test_an_interval_keeps_its_phase_whatever_the_clock_does(seconds: int, anchor: datetime, after: datetime) -> None:
    found = next_time(parse(f"every {min(seconds, 999_999)}s"), after, UTC, anchor)
    every = timedelta(seconds=min(seconds, 999_999))
    assert timedelta(0) < found - after <= every
    assert (found - anchor) % every == timedelta(0)


def test_what_was_missed_is_never_listed() -> None:
    when = triggers.NextRunTrigger(parse("every 60s"), source("every 60s"), START, lambda: 0.5)
    now = START + timedelta(days=3650)
    assert when.get_next_fire_time(START, now) == now + timedelta(seconds=63)
    assert when.get_next_fire_time(now, START) == START + timedelta(seconds=63)


def test_many_sources_begin_one_after_the_other_and_within_an_interval() -> None:
    many = [source("every 5m", name=f"s{n}") for n in range(200)]
    assert triggers.staggered(many, START)[-1] == START + timedelta(seconds=199)
    hasty = [source("every 2s", name=f"s{n}") for n in range(4)]
    assert triggers.staggered(hasty, START)[-1] == START + timedelta(seconds=1.5)


def test_the_quiet_time_is_at_night_where_the_source_is_and_not_the_same_for_all() -> None:
    zone = ZoneInfo("Asia/Kolkata")
    nights = {next_time(triggers.nightly(source("every 5m", name=f"s{n}")), START, zone, START) for n in range(200)}
    assert len(nights) > 100
    assert {night.astimezone(zone).hour for night in nights} == {1, 2, 3, 4}


@dataclass
class FixedClock:
    """The clock that the scheduler looks at."""

    at: datetime

    def now(self, zone: Any = None) -> datetime:
        return self.at


class Stepped(scheduler_module.BaseScheduler):  # type: ignore[misc]
    """A scheduler without a thread: it is called."""

    def shutdown(self, wait: bool = True) -> None: ...

    def wakeup(self) -> None: ...


@pytest.fixture
def fixed_clock(monkeypatch: pytest.MonkeyPatch) -> FixedClock:
    clock = FixedClock(START)
    monkeypatch.setattr(scheduler_module, "datetime", clock)
    return clock


def called(schedule: str, zone: str = "UTC") -> tuple[Stepped, list[int]]:
    scheduler, calls = Stepped(**scheduler_options({"default": DebugExecutor()})), [0]

    def call() -> None:
        calls[0] += 1

    when = triggers.NextRunTrigger(parse(schedule), source(schedule, zone), START, lambda: 0.5)
    scheduler.add_job(call, when, next_run_time=START)
    scheduler.start()
    return scheduler, calls


def test_in_a_year_no_time_is_lost_and_none_comes_twice(fixed_clock: FixedClock) -> None:
    scheduler, calls = called("0 */3 * * *", "Europe/Berlin")
    while fixed_clock.at < START + timedelta(days=365):
        fixed_clock.at += timedelta(seconds=scheduler._process_jobs())
    assert calls == [1 + 365 * 8]


@pytest.mark.parametrize("step", [timedelta(hours=1), timedelta(days=3650)])
def test_a_step_forward_or_a_long_sleep_is_one_run(fixed_clock: FixedClock, step: timedelta) -> None:
    scheduler, calls = called("every 60s")
    scheduler._process_jobs()
    fixed_clock.at += step
    assert scheduler._process_jobs() <= 66
    assert calls == [2]
