"""Transcripts with a request of their own: how many are requested at a time, and when it stops."""

from collections.abc import Callable
from itertools import count
from threading import Condition

import httpx
import pytest
from sqlalchemy import Engine

from etl.sandbox.world import World
from etl.sync.transcripts import BATCH, MAX_PARALLEL_TRANSCRIPTS, QUICK_SECONDS
from tests.harness import NOW, InterceptingTransport, counts_add_up, differences, make_harness


def of_transcripts(
    at_each: Callable[[], httpx.Response | None],
) -> Callable[[int, httpx.Request], httpx.Response | None]:
    """Handles each request for a transcript, and may answer it."""
    return lambda _, request: at_each() if "/transcript/" in request.url.path else None


@pytest.mark.parametrize(("seconds", "most"), [(QUICK_SECONDS / 10, 1), (2 * QUICK_SECONDS, MAX_PARALLEL_TRANSCRIPTS)])
def test_several_are_requested_at_a_time_where_responses_take_long(db: Engine, seconds: float, most: int) -> None:
    harness = make_harness(db, World(3, calls={"vaani": 2 * BATCH}, now=NOW))
    changed, under_way, at_once = Condition(), [0], list[int]()

    def take() -> None:
        with changed:
            under_way[0] += 1
            at_once.append(under_way[0])
            changed.notify_all()
            if len(at_once) > MAX_PARALLEL_TRANSCRIPTS:  # by now it is known how long responses take
                changed.wait_for(lambda: max(at_once) >= most, timeout=10)
        harness.clock.sleep(seconds)
        with changed:
            under_way[0] -= 1

    harness.transport = InterceptingTransport(harness.transport, of_transcripts(take))
    harness.sync("vaani")
    assert len(at_once) >= BATCH
    assert max(at_once) == most
    assert differences(harness, "vaani") == []


def test_a_source_that_refuses_the_key_gets_no_more_requests_for_transcripts(db: Engine) -> None:
    harness = make_harness(db, World(3, calls={"vaani": 3 * BATCH}, now=NOW))
    at, sandbox, numbers, requested = BATCH + 10, harness.transport, count(1), list[int]()

    def refuse() -> httpx.Response | None:
        number = next(numbers)
        requested.append(number)
        return httpx.Response(401) if number >= at else None

    harness.transport = InterceptingTransport(sandbox, of_transcripts(refuse))
    report = harness.run("vaani")
    assert report.status == "failed"
    assert "refuses the key" in str(report.error)
    assert len(requested) < at + MAX_PARALLEL_TRANSCRIPTS
    assert (
        harness.scalar("SELECT count(*) FROM raw.payloads WHERE kind = 'transcript'") == at - 1
    )  # what was received stays
    harness.transport = sandbox
    harness.sync("vaani")
    assert differences(harness, "vaani") == []
    assert counts_add_up(harness)
