"""How complete a stream is, by the provider's total; and page sizes that a provider refuses."""

import json
import re
from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import Engine

from etl.reconcile import VerifyRequest, verify
from etl.sandbox.in_process import SandboxTransport
from etl.sandbox.vendor import Quirks
from etl.sandbox.world import World
from etl.sync.completeness import RemoteCount, rate_completeness
from tests.fakes import FakeClock
from tests.harness import NOW, Harness, differences, make_harness, requests_of


@pytest.mark.parametrize(
    ("total", "stored", "waiting", "first_total", "warnings", "status"),
    [
        (5, 5, 0, 5, (), "count_match"),
        (5, 4, 1, 5, (), "count_match"),
        (5, 4, 0, 5, (), "incomplete"),
        (5, 4, 0, None, (), "incomplete"),
        (5, 4, 0, 4, (), "unknown"),
        (5, 6, 0, 5, (), "unknown"),
        (5, 5, 0, 5, ("it moved",), "unknown"),
        (None, 5, 0, None, (), "unknown"),
        (0, 0, 0, 0, (), "count_match"),
    ],
)
def test_counts_become_a_status(
    total: int | None, stored: int, waiting: int, first_total: int | None, warnings: tuple[str, ...], status: str
) -> None:
    found, reason = rate_completeness(RemoteCount(total, first_total, warnings), stored, waiting)
    assert found == status
    assert (reason is None) == (found == "count_match" and not waiting)


class Strict(httpx.BaseTransport):
    """The sandbox, as a server that refuses a limit above 50 instead of clamping it."""

    def __init__(self, world: World) -> None:
        self._sandbox = SandboxTransport(world)
        self.limits: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.limits.append(request.url.params["limit"])
        if int(self.limits[-1]) > 50:
            return httpx.Response(400, json={"error": {"code": "invalid_parameter"}})
        return self._sandbox.handle_request(request)


def test_a_page_size_that_is_refused_is_made_smaller_once_and_remembered(db: Engine) -> None:
    clock = FakeClock(NOW)
    world = World(3, calls={"ringg": 120}, now=NOW, clock=clock.now)
    strict = Strict(world)
    harness = Harness(db, world, clock, strict)
    harness.sync("ringg")
    assert strict.limits == ["100", "50", "50", "50", "50"]  # the last one reads the head once more
    assert harness.stored_ids("ringg") == {call.call_id for call in world.calls("ringg")}
    strict.limits.clear()
    clock.sleep(3600)
    harness.sync("ringg")
    assert set(strict.limits) == {"50"}


def test_a_total_that_is_no_number_is_reported_and_proves_nothing(db: Engine) -> None:
    clock = FakeClock(NOW)
    world = World(3, calls={"ringg": 30, "vaani": 30}, now=NOW, clock=clock.now, quirks=Quirks(ringg_total="many"))
    harness = Harness(db, world, clock, SandboxTransport(world))
    harness.sync("ringg")
    harness.sync("vaani")
    query = "SELECT source, completeness, reason FROM ops.streams ORDER BY source"
    assert harness.rows(query) == [
        {"source": "ringg", "completeness": "unknown", "reason": "the provider gives no total"},
        {"source": "vaani", "completeness": "count_match", "reason": None},
    ]


def test_a_filtered_list_whose_counts_differ_is_asked_for_its_whole_total(db: Engine) -> None:
    clock = FakeClock(NOW)
    world = World(3, calls={"autocalls": 250}, now=NOW, clock=clock.now)
    transport = SandboxTransport(world)
    harness = Harness(db, world, clock, transport)
    harness.sync("autocalls")
    harness.execute("UPDATE ops.streams SET completeness = 'unknown', reason = 'of a test'")
    before = len(transport.requests)
    harness.sync("autocalls")
    assert len(transport.requests) - before == 2
    assert harness.scalar("SELECT completeness FROM ops.streams") == "count_match"
    oldest = "SELECT call_key FROM warehouse.calls ORDER BY created_at LIMIT 2"
    harness.execute(f"DELETE FROM warehouse.calls WHERE call_key IN ({oldest})")
    harness.execute("UPDATE ops.streams SET completeness = 'unknown'")
    harness.sync("autocalls")
    assert harness.rows("SELECT completeness, reason FROM ops.streams") == [
        {"completeness": "incomplete", "reason": "the provider lists 250, 248 are stored: 2 are missing"}
    ]


@pytest.mark.parametrize("order", ["desc", "asc", "unsorted"])
@pytest.mark.parametrize("name", ["ringg", "ravan", "autocalls", "vaani"])
@pytest.mark.parametrize(("calls", "more"), [(43, 7), (40, 100)])
def test_a_total_that_is_too_high_for_good_is_unknown_in_every_run_and_costs_a_few_requests(
    db: Engine, name: str, order: str, calls: int, more: int
) -> None:
    world = World(3, calls={name: calls}, days=5, order=order, now=NOW, phones=["+918037565218"])
    harness = make_harness(db, world, "G12:size=10", f"G07:variant=higher,more={more}")
    for place in range(4):
        before = len(requests_of(harness))
        if place == 2:
            harness.run(name, lambda run: verify(run, VerifyRequest()), "verify")
        else:
            harness.sync(name)
        most = -(-calls // 10) + (15 if order == "asc" else 5)  # the end of such a list is looked for
        assert len(requests_of(harness)) - before <= most
        status, reason = harness.rows("SELECT completeness, reason FROM ops.streams")[0].values()
        assert status == "unknown"
        assert re.search("are on no page", reason), reason
        harness.clock.sleep(90_000)
    assert differences(harness, name, harness.world.now()) == []


@pytest.mark.parametrize(
    ("name", "key"), [("ringg", "calls"), ("ravan", "calls"), ("autocalls", "data"), ("vaani", "data")]
)
@pytest.mark.parametrize(
    ("listed", "said", "error"),
    [(0, int, None), (0, str, None), (100, int, None), (200, str, None), (0, lambda total: None, "no list"),
     (0, lambda total: total + 3, "no list"), (100, lambda total: total + 150, "no list")],
)  # fmt: skip
def test_null_is_an_empty_list_where_the_total_says_that_no_call_is_left(
    db: Engine, name: str, key: str, listed: int, said: Callable[[int], object], error: str | None
) -> None:
    world = World(3, calls={name: listed}, days=5, now=NOW, phones=["+918037565218"])
    harness = make_harness(db, world)

    inner = harness.transport

    class Null(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            response = inner.handle_request(request)
            body = json.loads(response.read())
            if key not in body:  # a transcript
                return httpx.Response(200, json=body)
            body[key] = body[key] or None
            numbers = body.get("pagination", body)
            numbers |= {each: said(numbers[each]) for each in ("total", "total_count") if each in numbers}
            for each in ("has_next", "next_page_url", "last_page"):
                numbers.pop(each, None)
            return httpx.Response(200, json=body)

    harness.transport = Null()
    report = harness.run(name)
    assert str(error) in str(report.error)
    assert len(harness.stored_ids(name)) == listed
