"""Pages of one list in flight beside each other: as exact as one after the other, and no request more than it costs."""

import threading
from math import ceil

import httpx
import pytest
from sqlalchemy import Engine

from etl.sandbox.world import World
from tests.fakes import FakeClock
from tests.harness import (
    NOW,
    PROVIDERS,
    Harness,
    InterceptingTransport,
    Killed,
    counts_add_up,
    differences,
    kill,
    make_harness,
    requests_of,
    run_until_killed,
)

ORDERS = ("desc", "asc", "unsorted")
CALLS = 930
PAGE = {"ringg": 100, "ravan": 100, "autocalls": 100, "vaani": 200}


def flying(db: Engine, order: str = "desc", *faults: str) -> Harness:
    """A house that reads ahead; one phone, so that every list is as long as its provider's history."""
    clock = FakeClock(NOW)
    world = World(5, calls=CALLS, days=10, order=order, clock=clock.now, phones=("+918047105000",))
    harness = make_harness(db, world, *faults, clock=clock)
    harness.ahead = 2
    return harness


class Together:
    """Counts how many pages are under way at the same time: from the second on, each waits until another comes."""

    def __init__(self, harness: Harness) -> None:
        self.inner, self.most, self._begun, self._now = harness.transport, 0, 0, 0
        self._changed = threading.Condition()
        harness.transport = self  # type: ignore[assignment]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if "/transcript/" in request.url.path:
            return self.inner.handle_request(request)
        with self._changed:
            self._begun, self._now = self._begun + 1, self._now + 1
            self.most = max(self.most, self._now)
            self._changed.notify_all()
            if self._begun > 1:
                self._changed.wait_for(lambda: self.most > 1, 10)
        try:
            return self.inner.handle_request(request)
        finally:
            with self._changed:
                self._now -= 1

    def close(self) -> None:
        self.inner.close()


@pytest.mark.parametrize("name", PROVIDERS)
def test_several_pages_of_a_long_list_are_in_flight(db: Engine, name: str) -> None:
    harness = flying(db)
    transport, together = harness.transport, Together(harness)
    harness.sync(name)
    harness.transport = transport
    assert together.most in (2, 3)
    assert differences(harness, name) == []


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", PROVIDERS)
def test_a_whole_history_costs_no_request_more(db: Engine, name: str, order: str) -> None:
    harness = flying(db, order)
    harness.sync(name)
    listed = len(harness.world.calls(name))
    assert len(requests_of(harness, name)) <= ceil(listed / PAGE[name]) + (2 if order == "desc" else 4)
    assert differences(harness, name) == []
    assert harness.scalar("SELECT bool_and(completeness = 'count_match') FROM ops.streams")
    before = len(requests_of(harness, name))
    harness.sync(name)
    assert len(requests_of(harness, name)) == before + 1 or order != "desc"


@pytest.mark.parametrize("name", PROVIDERS)
def test_calls_that_go_while_pages_are_in_flight_cost_two_requests_each(db: Engine, name: str) -> None:
    harness = flying(db)
    gone = [call.call_id for call in harness.world.calls(name)[-50:-5:15]]

    def vanish(count: int, request: httpx.Request) -> None:
        if count in (3, 5, 7) and len(gone) >= 1:
            harness.world.delete(name, gone.pop())

    sandbox, harness.transport = harness.transport, InterceptingTransport(harness.transport, vanish)
    harness.sync(name)
    harness.transport = sandbox
    assert gone == []
    assert {call.call_id for call in harness.world.calls(name)} <= harness.stored_ids(name)
    in_vain = 2  # an answer from before a call went is of no use after it, where two crossed on their way
    assert len(requests_of(harness, name)) <= ceil(CALLS / PAGE[name]) + 2 + 3 * 2 + in_vain
    assert counts_add_up(harness)


@pytest.mark.parametrize("at", range(1, 12, 2))
@pytest.mark.parametrize("name", PROVIDERS)
def test_after_a_kill_at_most_a_batch_and_two_pages_are_asked_again(db: Engine, name: str, at: int) -> None:
    harness = flying(db)

    def strike(count: int, request: httpx.Request) -> None:
        if count == at:
            kill(harness)
        if count > at:
            raise Killed

    sandbox, harness.transport = harness.transport, InterceptingTransport(harness.transport, strike)
    run_until_killed(harness, name)
    harness.transport = sandbox
    harness.sync(name)
    assert differences(harness, name) == []
    pages = ceil(CALLS / PAGE[name])
    assert len(requests_of(harness, name)) <= pages + 2 + ceil(1000 / PAGE[name]) + 2
    assert counts_add_up(harness)
