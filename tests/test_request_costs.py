"""What syncing costs in requests and tuples: the documented figures, counted on worlds of several sizes."""

import logging
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from math import ceil

import pytest
from sqlalchemy import Engine

from etl.embedded import Server
from etl.extractors import providers
from etl.sandbox.world import World
from tests.fakes import FakeClock
from tests.harness import (
    NOW,
    PROVIDERS,
    Harness,
    differences,
    hours,
    make_harness,
    requests_of,
    run_killed_at,
)
from tests.postgres import engine_copy

SMALL, LARGE, HUGE = 1_000, 20_000, 200_000
LISTS = 6  # three of them are Ravan's phones
BATCH = 1_000  # calls
FLAT = timedelta(hours=72)


@pytest.fixture(scope="module")
def own_db(server: Server, template: str) -> Iterator[Engine]:
    """A database that the figures share."""
    with engine_copy(server, template) as made:
        yield made


@pytest.fixture(
    scope="module",
    # the workers of `make figures` read each history once
    params=[
        SMALL,
        *(pytest.param(n, marks=[pytest.mark.long, pytest.mark.xdist_group(f"{n}")]) for n in (LARGE, HUGE)),
    ],
)
def harness(own_db: Engine, request: pytest.FixtureRequest) -> Harness:
    """Four sources with a number of calls each over 30 days, newest first, synced once; then three quiet days."""
    with own_db.begin() as connection:
        connection.exec_driver_sql("TRUNCATE warehouse.calls, raw.payloads, ops.sources CASCADE")
    clock = FakeClock(NOW)
    found = make_harness(own_db, World(5, calls=request.param, clock=clock.now), clock=clock)
    for name in PROVIDERS:
        found.sync(name)
    return found


def rows_of_list(harness: Harness, name: str) -> Counter[str]:
    """How many calls each list of a provider shows."""
    if name != "ravan":
        return Counter({"": len(harness.world.calls(name))})
    return Counter(
        phone
        for call in harness.world.calls(name)
        for phone in harness.world.phones
        if phone in (call.caller, call.callee)
    )


def by_list(harness: Harness, name: str, since: int = 0) -> Counter[str]:
    """The requests of each list of a provider, after the first ``skip``."""
    return Counter(each.query.get("phone", "") for each in requests_of(harness, name)[since:])


def counts(harness: Harness) -> dict[str, int]:
    return {name: len(requests_of(harness, name)) for name in PROVIDERS}


def scheduled(harness: Harness) -> dict[str, Counter[str]]:
    """Run each source by the schedule, five minutes later; the requests of each list."""
    harness.clock.sleep(300)
    before = counts(harness)
    for name in PROVIDERS:
        report = harness.run(name, by_hand=False)
        assert (report.status, report.error) == ("succeeded", None)
    return {name: by_list(harness, name, before[name]) for name in PROVIDERS}


def test_a_full_history_takes_a_request_a_page_and_a_transcript_one_a_call(harness: Harness) -> None:
    for name in PROVIDERS:
        size = providers()[name].page_size
        requests = by_list(harness, name)
        for phone, count in rows_of_list(harness, name).items():
            assert requests[phone] <= ceil(count / size) + 2
    times = Counter(each.path for each in requests_of(harness, "vaani", lists=False))
    assert set(times.values()) == {1}


def test_where_nothing_is_new_each_list_is_asked_once_and_nothing_is_written(harness: Harness) -> None:
    harness.clock.sleep(3 * 86_400)
    for name in PROVIDERS:
        harness.sync(name)  # what ended meanwhile, and every lookback
    before = harness.tuple_counts()
    requests = scheduled(harness)
    assert sum(each.total() for each in requests.values()) == LISTS
    assert harness.tuple_counts() == before


def test_new_calls_are_there_at_once_and_changed_ones_after_a_day(harness: Harness) -> None:
    scheduled(harness)
    changed: dict[str, list[str]] = {}
    for name in PROVIDERS:
        changed[name] = [call.call_id for call in harness.world.calls(name)[-60:-10]]
        for call_id in changed[name]:
            harness.world.change(name, call_id, sentiment="mixed", ended_by="agent", summary="Another summary.")
        for _ in range(100):
            harness.world.add(name)
    requests = scheduled(harness)
    for name in PROVIDERS:
        assert max(requests[name].values()) <= 1 + 2
        assert {call.call_id for call in harness.world.calls(name)} <= harness.stored_ids(name)
    for _ in range(5):
        harness.clock.sleep(5 * 3_600)
        scheduled(harness)
    for name in PROVIDERS:
        wrong = {each.partition(".")[0] for each in differences(harness, name)}
        assert wrong & set(changed[name]) == set()


@pytest.mark.parametrize("count", [2 * BATCH + 500, pytest.param(LARGE, marks=pytest.mark.long)])
@pytest.mark.parametrize("share", [0.2, 0.7])
def test_a_kill_costs_a_batch_and_two_pages_a_list(db: Engine, count: int, share: float) -> None:
    name, world = "autocalls", World(6, calls={"autocalls": count}, now=NOW)
    size = providers()[name].page_size
    harness, at = make_harness(db, world), int(share * count / size)
    assert run_killed_at(harness, name, at)
    harness.sync(name)
    assert len(requests_of(harness, name)) <= ceil(count / size) + 2 + BATCH / size + 2
    assert len(harness.stored_ids(name)) == count


@pytest.mark.parametrize("count", [SMALL, pytest.param(LARGE, marks=pytest.mark.long)])
@pytest.mark.parametrize("order", ["asc", "unsorted", "reshuffled"])
def test_in_another_order_no_row_is_lost_and_the_cost_is_said(db: Engine, order: str, count: int) -> None:
    clock = FakeClock(NOW)
    harness = make_harness(db, World(5, calls=count, order=order, clock=clock.now), clock=clock)
    for name in PROVIDERS:
        harness.sync(name)
    clock.sleep(3 * 86_400)
    costs = {"the first reading": counts(harness)}
    for what, new in (("a day later", 100), ("nothing new", 0)):
        before = counts(harness)
        for name in PROVIDERS:
            for _ in range(new):
                harness.world.add(name)
        scheduled(harness)
        costs[what] = {name: asked_for - before[name] for name, asked_for in counts(harness).items()}
    for name in PROVIDERS:
        assert {call.call_id for call in harness.world.calls(name)} <= harness.stored_ids(name)
    logging.getLogger("figures").warning("%s, %s calls a provider: %s", order, count, costs)


@pytest.mark.long
def test_seven_days_of_schedule_cost_less_than_a_sixth_of_a_flat_lookback(db: Engine) -> None:
    clock = FakeClock(NOW)
    harness = make_harness(db, World(5, calls=LARGE, clock=clock.now, per_hour=LARGE / 30 / 24), clock=clock)
    for name in PROVIDERS:
        harness.sync(name)
    read, flat = 0, 0
    late: dict[str, float] = {}
    for _ in range(7 * 24 * 12):
        read += sum(each.total() for each in scheduled(harness).values())
        flat += flat_lookback(harness)
    for name in PROVIDERS:
        young = {
            call.call_id for call in harness.world.calls(name) if call.created_at >= clock.now() - timedelta(days=2)
        }
        found = differences(harness, name)
        assert [each for each in found if "not stored" in each] == []
        assert [each for each in found if each.partition(".")[0] not in young] == []
        late[name] = max(lateness(harness, name), default=0.0)
    assert read < 0.15 * flat, f"{read} requests, {flat} by a flat lookback"
    assert max(late.values()) <= 6.1, late
    logging.getLogger("figures").warning("%d requests, %d by a flat lookback; late by %s hours", read, flat, late)


def flat_lookback(harness: Harness) -> int:
    """The requests that a reading of the last 72 hours takes at this moment, list by list."""
    since, requests = harness.clock.now() - FLAT, 0
    for name in PROVIDERS:
        young = [call for call in harness.world.calls(name) if call.created_at >= since]
        lists = (
            [[c for c in young if p in (c.caller, c.callee)] for p in harness.world.phones]
            if name == "ravan"
            else [young]
        )
        requests += sum(max(1, ceil(len(each) / providers()[name].page_size)) for each in lists)
    return requests


def lateness(harness: Harness, name: str) -> list[float]:
    """By how many hours each change that comes a day after a call was seen late."""
    query = """
        SELECT provider_call_id AS id, h.changed_at FROM warehouse.changes h JOIN warehouse.calls c USING (call_key)
         WHERE c.source = :name AND h.field IN ('analysis', 'sentiment') AND c.created_at < :before
           AND h.changed_at > c.created_at + interval '20 hours'
    """
    end, found = harness.clock.now() - hours(50), []
    for row in harness.rows(query, name=name, before=end):
        call = harness.world.find(name, row["id"])
        if call is not None:
            reached = harness.world.snapshot(call, harness.clock.now()).lifecycle.reached[-1]
            found.append((row["changed_at"] - reached).total_seconds() / 3600)
    return [each for each in found if each >= 0]
