"""Pages requested while the one before is loaded: as exact as one after the other, and no request more."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from math import ceil
from random import Random

import httpx
import pytest
from sqlalchemy import Engine

from etl.client.api_client import Response
from etl.model import DateFilter, Page, Paging, Window
from etl.paging import NextPage, PageView, ScanGoal
from etl.paging.scan import scan
from etl.sandbox.world import World
from etl.sync.prefetch import Prefetcher
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
from tests.seeded_executor import SeededExecutor
from tests.test_paging import START, MovingList

ORDERS = ("desc", "asc", "unsorted")
CALLS = 930
PAGE = {"ringg": 100, "ravan": 100, "autocalls": 100, "vaani": 200}


# Without a database: the scan, the prefetcher, and a list that changes at every request.


def read(moving: MovingList, executor: SeededExecutor, goal: ScanGoal) -> set[str]:
    """Everything that a scan reads of a list with a page in flight."""

    def request(step: NextPage) -> Response[PageView]:
        assert moving.requests < 500, "the scan does not end"
        return Response(moving.answer(step.window, step.position, set()), moving.requests, START)

    steps, found = scan(goal), set[str]()
    step = next(steps)
    with Prefetcher(_as_pages(request), goal, executor) as pages:
        while True:
            view = pages.fetch(step).value
            assert isinstance(view, ViewAsPage)
            found |= {row.call_id for row in view.view.rows}
            try:
                step = steps.send(view.view)
            except StopIteration:
                return found


class ViewAsPage(Page):
    """A page that carries what the scan sees of it."""

    view: PageView


def _as_pages(request: Callable[[NextPage], Response[PageView]]) -> Callable[[NextPage], Response[Page]]:
    def fetch(step: NextPage) -> Response[Page]:
        answer = request(step)
        seen = answer.value
        page = ViewAsPage([b""] * len(seen.rows), seen.total, seen.size, seen.is_last)
        object.__setattr__(page, "view", seen)
        return Response(page, answer.seq, answer.received_at)

    return fetch


KINDS = [
    (Paging.PAGES, DateFilter.NONE),
    (Paging.ROWS, DateFilter.INSTANTS),
    (Paging.PAGES, DateFilter.DAYS),
]


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize(("paging", "date_filter"), KINDS)
def test_no_row_is_lost_while_answers_overtake_each_other(paging: Paging, date_filter: DateFilter, order: str) -> None:
    """With two pages in flight, a third to a half of these seeds lose a row: an arrival hides a deletion."""
    for seed in range(60):
        random, executor = Random(seed), SeededExecutor(Random(seed))

        def motion(moving: MovingList, request: int, random: Random = random) -> None:
            moving.arrive(random.choice((0, 0, 1, 2)))
            for _ in range(random.choice((0, 0, 1, 2))):
                moving.vanish(random)

        moving = MovingList(order, paging, date_filter, motion=motion).fill(60)
        before = set(moving.rows)
        goal = ScanGoal(Window(START, START + timedelta(days=30)), paging, date_filter, 5, to_end=True)
        found = read(moving, executor, goal)
        assert (before & set(moving.rows)) - found == set(), seed
        assert executor.most_in_flight == 1


# InterceptingTransport the public entry, on a database.


def prefetching(db: Engine, order: str = "desc", *faults: str, seed: int | None = None, calls: int = CALLS) -> Harness:
    """A harness that prefetches; one phone, so that every list is as long as its provider's history."""
    clock, random = FakeClock(NOW), Random(seed)
    world = World(5, calls=calls, days=10, order=order, clock=clock.now, phones=("+918047105000",))
    harness = make_harness(db, world, *faults, clock=clock)
    harness.prefetch = partial(ThreadPoolExecutor, 1) if seed is None else lambda: SeededExecutor(random)
    return harness


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("name", PROVIDERS)
def test_no_call_is_lost_while_as_many_arrive_as_vanish(db: Engine, name: str, order: str) -> None:
    harness, random = prefetching(db, order, "G12:size=10,variant=clamped", seed=1, calls=300), Random(1)
    before = {call.call_id for call in harness.world.calls(name)}

    def move(count: int, request: httpx.Request) -> None:
        for _ in range(random.choice((0, 0, 1, 2))):
            harness.world.add(name)
        for call in random.sample(harness.world.calls(name), random.choice((0, 0, 1, 2))):
            harness.world.delete(name, call.call_id)

    sandbox, harness.transport = harness.transport, InterceptingTransport(harness.transport, move)
    harness.sync(name)
    harness.transport = sandbox
    assert before & {call.call_id for call in harness.world.calls(name)} <= harness.stored_ids(name)
    assert counts_add_up(harness)


class Together:
    """Counts the list requests that are under way at the same time."""

    def __init__(self, harness: Harness) -> None:
        self.inner, self.most, self.threads, self._now = harness.transport, 0, set[int](), 0
        self._lock = threading.Lock()
        harness.transport = self  # type: ignore[assignment]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if "/transcript/" in request.url.path:
            return self.inner.handle_request(request)
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            self.threads.add(threading.get_ident())
        try:
            return self.inner.handle_request(request)
        finally:
            with self._lock:
                self._now -= 1

    def close(self) -> None:
        self.inner.close()


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_page_of_a_long_list_is_requested_while_the_one_before_is_loaded(db: Engine, name: str) -> None:
    harness = prefetching(db)
    transport, together = harness.transport, Together(harness)
    harness.sync(name)
    harness.transport = transport
    assert together.most == 1
    assert threading.get_ident() in together.threads
    assert len(together.threads) > 1
    assert differences(harness, name) == []


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", PROVIDERS)
def test_a_whole_history_costs_no_request_more(db: Engine, name: str, order: str) -> None:
    harness = prefetching(db, order)
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
    harness = prefetching(db)
    gone = [call.call_id for call in harness.world.calls(name)[-50:-5:15]]

    def vanish(count: int, request: httpx.Request) -> None:
        if count in (3, 5, 7) and len(gone) >= 1:
            harness.world.delete(name, gone.pop())

    sandbox, harness.transport = harness.transport, InterceptingTransport(harness.transport, vanish)
    harness.sync(name)
    harness.transport = sandbox
    assert gone == []
    assert {call.call_id for call in harness.world.calls(name)} <= harness.stored_ids(name)
    assert len(requests_of(harness, name)) <= ceil(CALLS / PAGE[name]) + 2 + 3 * 2
    assert counts_add_up(harness)


@pytest.mark.parametrize("at", range(1, 12, 2))
@pytest.mark.parametrize("name", PROVIDERS)
def test_after_a_kill_at_most_a_batch_and_two_pages_are_asked_again(db: Engine, name: str, at: int) -> None:
    harness = prefetching(db)

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
