"""What `etl backfill --plan` says, against what the backfill then takes; and what saying it takes."""

from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import Engine

from etl import pipeline
from etl.model import Window
from etl.reports.backfill_plan import BackfillPlan, plan
from etl.sandbox.world import World
from etl.sync.checkpoint import BEGINNING
from tests.fakes import FakeClock
from tests.harness import NOW, PROVIDERS, Harness, make_harness, requests_of

MOST = {"ringg": 2, "autocalls": 2, "vaani": 10, "ravan": 30}  # requests of a plan: three lists of ten at Ravan
LISTS = [
    ("desc", "ringg", 1950, 100),
    ("desc", "ravan", 1950, 100),
    ("desc", "autocalls", 1950, 100),
    ("desc", "vaani", 950, 200),
    ("asc", "vaani", 750, 200),
    ("unsorted", "ravan", 1250, 100),
]
WHOLE = Window(BEGINNING, NOW)
MIDDLE = Window(NOW - timedelta(days=40), NOW - timedelta(days=25))
LAST = Window(NOW - timedelta(days=20), NOW)


def planned(harness: Harness, name: str, window: Window, *, again: bool = False) -> BackfillPlan:
    """A plan, which asks for little and writes nothing."""
    found: list[BackfillPlan] = []
    written, before = (
        harness.tuple_counts(),
        len(requests_of(harness, name)) + len(requests_of(harness, name, lists=False)),
    )
    work = lambda reader: found.append(plan(reader, window, again=again))  # noqa: E731
    assert harness.run(name, work, "verify").status == "succeeded"
    assert harness.tuple_counts() == written
    assert len(requests_of(harness, name)) + len(requests_of(harness, name, lists=False)) - before <= MOST[name]
    return found[0]


def taken(harness: Harness, name: str, window: Window, *, again: bool = False) -> tuple[int, int, float]:
    """The requests, rows and seconds of the backfill itself."""
    began, before = harness.clock.now(), len(requests_of(harness, name))
    report = harness.run(name, partial(pipeline.backfill, window=window, again=again), "backfill")
    assert (report.status, report.error) == ("succeeded", None)
    rows = sum(len(page.ids) for page in requests_of(harness, name)[before:])
    return report.requests, rows, (harness.clock.now() - began).total_seconds()


def near(said: float | None, came: float, slack: float) -> bool:
    return said is not None and abs(said - came) <= 0.1 * came + slack


@pytest.mark.parametrize("window", [WHOLE, MIDDLE, LAST], ids=["whole", "middle", "last"])
@pytest.mark.parametrize(("order", "name", "calls", "page"), LISTS)
def test_a_plan_says_what_a_backfill_then_takes(
    db: Engine, order: str, name: str, calls: int, page: int, window: Window
) -> None:
    clock = FakeClock(NOW)
    world = World(7, calls={name: calls}, days=60, order=order, clock=clock.now)
    harness = make_harness(db, world, clock=clock, requests_per_minute=60)
    said = planned(harness, name, window)
    clock.sleep(600)  # the budget is whole again
    requests, rows, seconds = taken(harness, name, window)
    spare = len(said.streams) * (1 if order == "desc" else 3)  # pages: a list from its other end costs a few more
    assert near(said.requests, requests, spare), (said, requests)
    assert near(said.rows, rows, spare * page), (said, rows)
    assert near(said.seconds, seconds, 2 * spare), (said, seconds)


@pytest.mark.parametrize("variant", ["clamped", "silent"])
def test_a_plan_counts_the_pages_that_the_server_returns(db: Engine, variant: str) -> None:
    harness = make_harness(db, World(7, calls={"vaani": 950}, days=60, now=NOW), f"G12:size=50,variant={variant}")
    said = planned(harness, "vaani", WHOLE).streams[0]
    before = len(requests_of(harness, "vaani"))
    _, rows, _ = taken(harness, "vaani", WHOLE)
    assert near(said.requests, len(requests_of(harness, "vaani")) - before, 1), said
    assert near(said.rows, rows, 50), (said, rows)


def test_stored_calls_are_not_planned_again(db: Engine) -> None:
    harness = make_harness(db, World(7, calls=300, days=60, now=NOW))
    for name in PROVIDERS:
        harness.sync(name)
        said = planned(harness, name, LAST)
        assert said.requests in (0, len(said.streams))  # what came since the newest call: nothing, or one look at it
        _, rows, _ = taken(harness, name, LAST, again=True)
        assert near(planned(harness, name, LAST, again=True).rows, rows, 60)


@pytest.mark.parametrize("name", ["ringg", "autocalls"])
def test_many_gaps_of_a_list_with_a_filter_cost_one_request(db: Engine, name: str) -> None:
    harness = make_harness(db, World(7, calls={name: 2000}, days=60, now=NOW))
    for day in (50, 40, 30):
        window = Window(NOW - timedelta(days=day), NOW - timedelta(days=day - 5))
        assert harness.run(name, partial(pipeline.backfill, window=window), "backfill").status == "succeeded"
    window = Window(NOW - timedelta(days=55), NOW - timedelta(days=20))
    said = planned(harness, name, window)
    requests, rows, _ = taken(harness, name, window)
    assert near(said.requests, requests, 4)
    assert near(said.rows, rows, 250)  # a list by days shows the days beside each gap as well


def test_a_list_that_does_not_say_how_long_it_is_cannot_be_planned(db: Engine) -> None:
    harness = make_harness(db, World(7, calls=300, now=NOW), "G07:variant=many,provider=ringg")
    said = planned(harness, "ringg", WHOLE)
    assert (said.requests, said.rows, said.seconds) == (None, None, None)


@pytest.mark.parametrize("name", ["vaani", "ravan"])
def test_a_backfill_of_a_list_without_a_filter_starts_below_the_stored_calls(db: Engine, name: str) -> None:
    phones = ("+918047105000",)
    harness = make_harness(db, World(7, calls={name: 1500}, days=60, now=NOW, phones=phones))
    assert harness.run(name, partial(pipeline.backfill, window=LAST), "backfill").status == "succeeded"
    pages = len(requests_of(harness, name))
    older = Window(NOW - timedelta(days=30), NOW - timedelta(days=20))
    assert harness.run(name, partial(pipeline.backfill, window=older), "backfill").status == "succeeded"
    size = {"vaani": 200, "ravan": 100}[name]
    inside = [call for call in harness.world.calls(name) if older.start <= call.created_at < older.end]
    assert {call.call_id for call in inside} <= harness.stored_ids(name)
    assert len(requests_of(harness, name)) - pages <= len(inside) // size + 3
