"""When requests are sent: one budget for every process, what a provider said is remembered, and who is set aside."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random

import pytest
from sqlalchemy import Engine

from etl.sandbox.transport import SandboxTransport
from etl.sandbox.world import World
from etl.state import lists
from etl.state.desk import Desk
from etl.state.lease import Lease
from etl.state.pace import Pace
from etl.stream import Source
from tests.clocks import FakeClock
from tests.worlds import NOW, PROVIDERS, Through, asked, differences, house

TEN = timedelta(seconds=10)
HALF_AN_HOUR = 1800
DAY = 86_400


@contextmanager
def process(db: Engine, clock: FakeClock, rate: int = 60) -> Iterator[Pace]:
    """One process at one source's gate, with a session of its own."""
    source = source_of(db, rate)
    with db.begin() as connection:
        lists.register(connection, source, clock.now())
    with Desk(db) as desk:
        yield Pace(desk, Lease(desk, db, source.name, clock), source, clock)


def source_of(db: Engine, rate: int) -> Source:
    return replace(house(db).sources["ringg"], requests_per_minute=rate)


def sent(pace: Pace, clock: FakeClock, count: int) -> list[datetime]:
    """When so many requests in a row are let through."""
    out = []
    for _ in range(count):
        pace.wait()
        out.append(clock.now())
    return out


def at_most(times: list[datetime], span: timedelta) -> int:
    """The most requests in any such span."""
    return max(sum(start <= each < start + span for each in times) for start in times)


@pytest.mark.parametrize(
    ("rate", "burst", "in_ten"), [(60, 10, 20), (6, 1, 1), (1, 1, 1), (600, 100, 200), (90, 15, 30)]
)
def test_a_sixth_of_the_minute_goes_at_once_and_the_rest_evenly(db: Engine, rate: int, burst: int, in_ten: int) -> None:
    clock = FakeClock(NOW)
    with process(db, clock, rate) as pace:
        times = sent(pace, clock, burst + 20)
    assert times[:burst] == [NOW] * burst
    apart = timedelta(minutes=1) / rate
    assert all(abs(b - a - apart) <= timedelta(microseconds=2) for a, b in pairwise(times[burst - 1 :]))
    assert at_most(times, TEN) <= in_ten


def test_no_pause_between_requests_earns_more_than_the_burst(db: Engine) -> None:
    clock, draw = FakeClock(NOW), Random(4)
    times = []
    with process(db, clock) as pace:
        for _ in range(60):
            times += sent(pace, clock, draw.randint(1, 14))
            clock.sleep(draw.choice([0, 0.3, 2, 9, 30, 3600]))
    assert at_most(times, TEN) <= 20
    assert at_most(times, timedelta(minutes=1)) <= 70


def test_two_processes_share_one_budget_and_one_numbering(db: Engine) -> None:
    clock, draw, numbers = FakeClock(NOW), Random(5), []
    times = []
    with process(db, clock) as one, process(db, clock) as other:
        for _ in range(60):
            numbers.append(draw.choice([one, other]).wait())
            times.append(clock.now())
    assert at_most(times, TEN) <= 20
    assert times[9] == NOW < times[10]
    assert all(a < b for a, b in pairwise(numbers))


def test_what_one_process_is_told_holds_for_the_others_and_for_those_to_come(db: Engine) -> None:
    clock = FakeClock(NOW)
    with process(db, clock) as told, process(db, clock) as other:
        told.hold(NOW + timedelta(seconds=HALF_AN_HOUR))
        told.hold(NOW + timedelta(seconds=5))  # never shortened
        first = other.wait()
    assert clock.now() == NOW + timedelta(seconds=HALF_AN_HOUR)
    with process(db, clock) as later:
        assert later.wait() > first
    assert clock.now() == NOW + timedelta(seconds=HALF_AN_HOUR)


def test_a_process_that_waits_already_is_held_as_well(db: Engine) -> None:
    clock = Interrupting(NOW)
    with process(db, clock, 1) as pace, process(db, clock, 1) as told:
        pace.wait()
        clock.meanwhile = lambda: told.hold(NOW + timedelta(minutes=10))
        pace.wait()
    assert clock.now() == NOW + timedelta(minutes=10)


class Interrupting(FakeClock):
    """Something happens in the first sleep."""

    meanwhile = staticmethod(lambda: None)

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        if seconds:
            meanwhile()


@pytest.mark.parametrize("back", [DAY, 366 * DAY])
def test_a_clock_that_is_set_back_holds_nothing_up(db: Engine, back: int) -> None:
    clock = FakeClock(NOW)
    with process(db, clock) as pace:
        first = pace.wait()
        pace.hold(NOW + timedelta(seconds=HALF_AN_HOUR))
        clock.step(-back)
        before = clock.monotonic()
        second = pace.wait()
        assert clock.monotonic() - before <= 60
        sent(pace, clock, 20)
        assert clock.monotonic() - before <= 80
    assert second > first


@pytest.mark.parametrize("back", [DAY, 366 * DAY])
def test_a_clock_that_is_set_back_while_it_is_waited_for_lengthens_no_wait(db: Engine, back: int) -> None:
    clock = Interrupting(NOW)
    with process(db, clock) as pace:
        pace.hold(NOW + timedelta(seconds=HALF_AN_HOUR))
        clock.meanwhile = lambda: clock.step(-back)
        pace.wait()
    assert clock.monotonic() == pytest.approx(HALF_AN_HOUR, abs=0.001)


@pytest.mark.parametrize("order", ["newest", "unsorted"])
@pytest.mark.parametrize("name", PROVIDERS)
def test_a_clock_that_was_set_back_a_year_and_is_put_right_again_loses_no_call(
    db: Engine, name: str, order: str
) -> None:
    place = house(db, World(3, calls=40, order=order, now=NOW), clock=FakeClock(NOW))
    place.sync(name)
    place.clock.step(-366 * DAY)
    late = place.world.arrive(name).call_id
    assert place.run(name, by_hand=False).status == "succeeded"
    assert place.one("SELECT max(swept_at) FROM ops.sweeps WHERE source = :name", name=name) <= place.clock.now()
    if name in ("ravan", "vaani"):  # the others list up to the time that they are asked for
        assert late in place.holds(name)
    place.clock.step(366 * DAY + 60)
    assert place.run(name, by_hand=False).status == "succeeded"
    assert differences(place, name) == []


@pytest.mark.parametrize("fault", ["H01:nth=1,after=600", "H02:nth=1,after=600"])
@pytest.mark.parametrize("by_hand", [True, False])
def test_a_run_waits_as_long_as_the_provider_asks_for(db: Engine, fault: str, by_hand: bool) -> None:
    place = house(db, World(3, calls=5, now=NOW), f"{fault},provider=ringg", clock=FakeClock(NOW))
    times: list[datetime] = []
    place.transport = Through(place.transport, lambda count, request: times.append(place.clock.now()))
    assert place.run("ringg", by_hand=by_hand).status == "succeeded"
    assert times[1] - times[0] >= timedelta(seconds=599)


def test_a_wait_of_more_than_an_hour_ends_the_run_and_binds_the_next_one_by_hand(db: Engine) -> None:
    place = house(db, World(3, calls=5, now=NOW), "H01:nth=1,after=7200,provider=ringg", clock=FakeClock(NOW))
    report = place.run("ringg")
    assert (report.status, report.requests) == ("failed", 1)
    assert "the provider asks to be left alone" in (report.error or "")
    times: list[datetime] = []
    place.transport = Through(place.transport, lambda count, request: times.append(place.clock.now()))
    place.sync("ringg")
    assert min(times) >= NOW + timedelta(hours=1)


@pytest.mark.parametrize("fault", ["H09:first=1", "H10:first=1"])
def test_a_source_that_is_refused_is_left_alone_by_the_schedule_and_probed_by_hand(db: Engine, fault: str) -> None:
    place = house(db, World(3, calls=20, now=NOW), f"{fault},provider=vaani", clock=FakeClock(NOW))
    assert place.run("vaani", by_hand=False).status == "failed"
    runs = place.one("SELECT count(*) FROM ops.runs")
    skipped = place.run("vaani", by_hand=False)
    assert (skipped.status, skipped.requests) == ("failed", 0)
    assert "set aside until 12:15 UTC" in (skipped.error or "")
    assert len(asked(place, "vaani")) == 1
    assert place.one("SELECT count(*) FROM ops.runs") == runs
    place.sync("vaani")
    assert differences(place, "vaani") == []
    assert place.rows("SELECT paused_until, pause_reason FROM ops.sources") == [
        {"paused_until": None, "pause_reason": None}
    ]
    assert place.run("vaani", by_hand=False).status == "succeeded"


def test_the_schedule_probes_once_per_quarter_of_an_hour(db: Engine) -> None:
    place = house(db, World(3, calls=20, now=NOW), "H09:first=3,provider=ringg", clock=FakeClock(NOW))
    statuses = []
    for _ in range(12):
        statuses.append(place.run("ringg", by_hand=False).status)
        place.clock.sleep(300)
    assert statuses == ["failed"] * 9 + ["succeeded"] * 3
    assert len(asked(place, "ringg")) == 6


def test_a_pause_of_a_clock_that_was_set_back_since_is_over(db: Engine) -> None:
    place = house(db, World(3, calls=20, now=NOW), "H09:first=1,provider=ringg", clock=FakeClock(NOW))
    assert place.run("ringg").status == "failed"
    place.clock.step(-DAY)
    assert place.run("ringg", by_hand=False).status == "succeeded"


def test_what_came_before_a_refusal_stays_and_other_sources_go_on(db: Engine) -> None:
    faults = ("G12:size=10", "H09:nth=3,provider=autocalls")
    place = house(db, World(3, calls=45, now=NOW), *faults, clock=FakeClock(NOW))
    report = place.run("autocalls")
    assert (report.status, report.counts.inserted) == ("failed", 20)
    assert "refuses the key" in (report.error or "")
    assert len(place.holds("autocalls")) == 20
    place.run("ringg", by_hand=False)
    assert differences(place, "ringg") == []
    place.sync("autocalls")
    assert differences(place, "autocalls") == []


@pytest.mark.parametrize("at", [0, 1, -1])
def test_a_phone_that_is_refused_keeps_no_other_phone_from_being_read(db: Engine, at: int) -> None:
    world = World(3, calls=60, now=NOW)
    refused = world.phones[at]
    place = house(db, world, f"H11:phone={refused}", clock=FakeClock(NOW))
    report = place.run("ravan")
    assert report.status == "failed"
    assert "HTTP 400" in (report.error or "")
    assert refused not in (report.error or "")
    others = {call.call_id for call in world.calls("ravan") if {call.caller, call.callee} & {*world.phones} - {refused}}
    assert place.holds("ravan") == others
    assert {row["phone"] for row in place.rows("SELECT phone FROM ops.coverage")} == {*world.phones} - {refused}
    place.transport = SandboxTransport(world)
    place.sync("ravan")
    assert differences(place, "ravan") == []
