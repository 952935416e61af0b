"""What reading costs, in requests and in tuples: the figures that are promised, counted on worlds of several sizes."""

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
from tests.clocks import FakeClock
from tests.cluster import opened
from tests.worlds import (
    NOW,
    PROVIDERS,
    House,
    asked,
    differences,
    hours,
    house,
    run_killed_at,
)

SMALL, LARGE, HUGE = 1_000, 20_000, 200_000
LISTS = 6  # three of them are Ravan's phones
BATCH = 1_000  # calls
FLAT = timedelta(hours=72)


@pytest.fixture(scope="module")
def own_db(server: Server, template: str) -> Iterator[Engine]:
    """A database that the figures share."""
    with opened(server, template) as made:
        yield made


@pytest.fixture(
    scope="module",
    params=[SMALL, pytest.param(LARGE, marks=pytest.mark.long), pytest.param(HUGE, marks=pytest.mark.long)],
)
def place(own_db: Engine, request: pytest.FixtureRequest) -> House:
    """Four sources of so many calls each over 30 days, newest first, read once; then three quiet days go by."""
    with own_db.begin() as connection:
        connection.exec_driver_sql("TRUNCATE warehouse.calls, raw.payloads, ops.sources CASCADE")
    clock = FakeClock(NOW)
    found = house(own_db, World(5, calls=request.param, clock=clock.now), clock=clock)
    for name in PROVIDERS:
        found.sync(name)
    return found


def rows_of_list(place: House, name: str) -> Counter[str]:
    """How many calls each list of a provider shows."""
    if name != "ravan":
        return Counter({"": len(place.world.calls(name))})
    return Counter(
        phone for call in place.world.calls(name) for phone in place.world.phones if phone in (call.caller, call.callee)
    )


def by_list(place: House, name: str, since: int = 0) -> Counter[str]:
    """The requests of each list of a provider, after so many."""
    return Counter(each.query.get("phone", "") for each in asked(place, name)[since:])


def counts(place: House) -> dict[str, int]:
    return {name: len(asked(place, name)) for name in PROVIDERS}


def scheduled(place: House) -> dict[str, Counter[str]]:
    """One run of each source by the schedule, five minutes later; what it asked for, by list."""
    place.clock.sleep(300)
    before = counts(place)
    for name in PROVIDERS:
        report = place.run(name, by_hand=False)
        assert (report.status, report.error) == ("succeeded", None)
    return {name: by_list(place, name, before[name]) for name in PROVIDERS}


def test_a_full_history_takes_a_request_a_page_and_a_transcript_one_a_call(place: House) -> None:
    for name in PROVIDERS:
        size = providers()[name].page_size
        requests = by_list(place, name)
        for phone, count in rows_of_list(place, name).items():
            assert requests[phone] <= ceil(count / size) + 2
    times = Counter(each.path for each in asked(place, "vaani", lists=False))
    assert set(times.values()) == {1}


def test_where_nothing_is_new_each_list_is_asked_once_and_nothing_is_written(place: House) -> None:
    place.clock.sleep(3 * 86_400)
    for name in PROVIDERS:
        place.sync(name)  # what ended meanwhile, and every sweep
    before = place.written()
    requests = scheduled(place)
    assert sum(each.total() for each in requests.values()) == LISTS
    assert place.written() == before


def test_new_calls_are_there_at_once_and_changed_ones_after_a_day(place: House) -> None:
    scheduled(place)
    changed: dict[str, list[str]] = {}
    for name in PROVIDERS:
        changed[name] = [call.call_id for call in place.world.calls(name)[-60:-10]]
        for call_id in changed[name]:
            place.world.change(name, call_id, sentiment="mixed", ended_by="agent", summary="Another summary.")
        for _ in range(100):
            place.world.add(name)
    requests = scheduled(place)
    for name in PROVIDERS:
        assert max(requests[name].values()) <= 1 + 2
        assert {call.call_id for call in place.world.calls(name)} <= place.holds(name)
    for _ in range(5):
        place.clock.sleep(5 * 3_600)
        scheduled(place)
    for name in PROVIDERS:
        wrong = {each.partition(".")[0] for each in differences(place, name)}
        assert wrong & set(changed[name]) == set()


@pytest.mark.parametrize("count", [2 * BATCH + 500, pytest.param(LARGE, marks=pytest.mark.long)])
@pytest.mark.parametrize("share", [0.2, 0.7])
def test_a_kill_costs_a_batch_and_two_pages_a_list(db: Engine, count: int, share: float) -> None:
    name, world = "autocalls", World(6, calls={"autocalls": count}, now=NOW)
    size = providers()[name].page_size
    place, at = house(db, world), int(share * count / size)
    assert run_killed_at(place, name, at)
    place.sync(name)
    assert len(asked(place, name)) <= ceil(count / size) + 2 + BATCH / size + 2
    assert len(place.holds(name)) == count


@pytest.mark.parametrize("count", [SMALL, pytest.param(LARGE, marks=pytest.mark.long)])
@pytest.mark.parametrize("order", ["asc", "unsorted", "reshuffled"])
def test_in_another_order_no_row_is_lost_and_the_cost_is_said(db: Engine, order: str, count: int) -> None:
    clock = FakeClock(NOW)
    place = house(db, World(5, calls=count, order=order, clock=clock.now), clock=clock)
    for name in PROVIDERS:
        place.sync(name)
    clock.sleep(3 * 86_400)
    costs = {"the first reading": counts(place)}
    for what, new in (("a day later", 100), ("nothing new", 0)):
        before = counts(place)
        for name in PROVIDERS:
            for _ in range(new):
                place.world.add(name)
        scheduled(place)
        costs[what] = {name: asked_for - before[name] for name, asked_for in counts(place).items()}
    for name in PROVIDERS:
        assert {call.call_id for call in place.world.calls(name)} <= place.holds(name)
    logging.getLogger("figures").warning("%s, %s calls a provider: %s", order, count, costs)


@pytest.mark.long
def test_seven_days_of_schedule_cost_less_than_a_sixth_of_a_flat_lookback(db: Engine) -> None:
    clock = FakeClock(NOW)
    place = house(db, World(5, calls=LARGE, clock=clock.now, per_hour=LARGE / 30 / 24), clock=clock)
    for name in PROVIDERS:
        place.sync(name)
    read, flat = 0, 0
    late: dict[str, float] = {}
    for _ in range(7 * 24 * 12):
        read += sum(each.total() for each in scheduled(place).values())
        flat += flat_lookback(place)
    for name in PROVIDERS:
        young = {call.call_id for call in place.world.calls(name) if call.created_at >= clock.now() - timedelta(days=2)}
        found = differences(place, name)
        assert [each for each in found if "not held" in each] == []
        assert [each for each in found if each.partition(".")[0] not in young] == []
        late[name] = max(lateness(place, name), default=0.0)
    assert read < 0.15 * flat, f"{read} requests, {flat} by a flat lookback"
    assert max(late.values()) <= 6.1, late
    logging.getLogger("figures").warning("%d requests, %d by a flat lookback; late by %s hours", read, flat, late)


def flat_lookback(place: House) -> int:
    """The requests that a reading of the last 72 hours takes at this moment, list by list."""
    since, requests = place.clock.now() - FLAT, 0
    for name in PROVIDERS:
        young = [call for call in place.world.calls(name) if call.created_at >= since]
        lists = (
            [[c for c in young if p in (c.caller, c.callee)] for p in place.world.phones]
            if name == "ravan"
            else [young]
        )
        requests += sum(max(1, ceil(len(each) / providers()[name].page_size)) for each in lists)
    return requests


def lateness(place: House, name: str) -> list[float]:
    """By how many hours each change that comes a day after a call was seen late."""
    query = """
        SELECT provider_call_id AS id, h.changed_at FROM warehouse.changes h JOIN warehouse.calls c USING (call_key)
         WHERE c.source = :name AND h.field IN ('analysis', 'sentiment') AND c.created_at < :before
           AND h.changed_at > c.created_at + interval '20 hours'
    """
    end, found = place.clock.now() - hours(50), []
    for row in place.rows(query, name=name, before=end):
        call = place.world.find(name, row["id"])
        if call is not None:
            reached = place.world.seen(call, place.clock.now()).story.reached[-1]
            found.append((row["changed_at"] - reached).total_seconds() / 3600)
    return [each for each in found if each >= 0]
