"""How complete a stream is, by the provider's total; and page sizes that a provider refuses."""

import httpx
import pytest
from sqlalchemy import Engine

from etl.sandbox.in_process import SandboxTransport
from etl.sandbox.vendor import Quirks
from etl.sandbox.world import World
from etl.sync.completeness import RemoteCount, rate_completeness
from tests.fakes import FakeClock
from tests.harness import NOW, Harness


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
