"""The books between processes: one writer at a time, one budget of requests, and waits that outlive a process."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from itertools import pairwise

import httpx
import pytest
from sqlalchemy import Engine

from etl import pipeline
from etl.model import Window
from etl.runtime.clock import SystemClock
from etl.sandbox.in_process import SandboxTransport
from etl.sandbox.world import World
from etl.state import registry
from etl.state.lease import TERM, Lease, LeaseLost
from etl.state.rate_limit import RateLimiter
from etl.state.session import StateSession
from etl.sync import run
from etl.sync.checkpoint import BEGINNING
from etl.sync.parallel import run_all
from etl.sync.run import RunDependencies, RunFunction, RunResult
from tests.fakes import FakeClock
from tests.harness import (
    NOW,
    PROVIDERS,
    Harness,
    InterceptingTransport,
    counts_add_up,
    differences,
    kill,
    make_harness,
    requests_of,
    run_until_killed,
)

EVERYTHING = Window(BEGINNING, NOW)


@contextmanager
def process(
    harness: Harness, clock: FakeClock, name: str = "ringg", rate: int = 60
) -> Iterator[tuple[Lease, RateLimiter]]:
    """The books as a process of its own holds them."""
    source = replace(harness.sources[name], requests_per_minute=rate)
    with harness.db.begin() as connection:
        registry.register(connection, source, clock.now())
    with StateSession(harness.db) as desk:
        lease = Lease(desk, harness.db, name, clock)
        yield lease, RateLimiter(desk, lease, source, clock)


def test_a_sixth_of_a_minutes_requests_at_once_and_the_rest_evenly(db: Engine) -> None:
    harness, clock = make_harness(db), FakeClock(NOW)
    with process(harness, clock, rate=60) as (_, pace):
        sent = [(pace.acquire(), clock.monotonic())[1] for _ in range(30)]
    assert sent[:10] == [0] * 10
    assert [round(later - earlier, 3) for earlier, later in pairwise(sent[9:])] == [1.0] * 20


def test_two_processes_share_one_budget(db: Engine) -> None:
    harness, clock = make_harness(db), FakeClock(NOW)
    with ExitStack() as both:
        paces = [both.enter_context(process(harness, clock, rate=60))[1] for _ in range(2)]
        numbers = [pace.acquire() for _ in range(20) for pace in paces]
    assert round(clock.monotonic(), 3) == 30.0
    assert numbers == sorted(set(numbers))


def test_a_wait_that_a_provider_asked_for_outlives_the_process(db: Engine) -> None:
    harness, clock = make_harness(db), FakeClock(NOW)
    with process(harness, clock) as (_, pace):
        pace.back_off_until(NOW + timedelta(seconds=300))
        pace.back_off_until(NOW + timedelta(seconds=20))  # a shorter one does not end it
    with process(harness, clock) as (_, pace):
        pace.acquire()
    assert clock.now() >= NOW + timedelta(seconds=300)


def test_a_holder_that_slept_through_its_end_writes_nothing(db: Engine) -> None:
    harness, clock = make_harness(db), FakeClock(NOW)
    with process(harness, clock) as (slow, _), process(harness, clock) as (quick, _):
        slow.acquire(lambda: None)
        clock.sleep(TERM.total_seconds() + 1)
        quick.acquire(lambda: None)
        with pytest.raises(LeaseLost, match="took the source over"), slow.transaction():
            pytest.fail("it writes although it lost the source")
        with quick.transaction():
            pass


def test_a_run_whose_source_was_taken_over_leaves_its_batch_to_the_other(db: Engine) -> None:
    harness = make_harness(db)
    with process(harness, harness.clock) as (other, _):

        def sleep_too_long(count: int, request: httpx.Request) -> None:
            harness.clock.sleep(TERM.total_seconds() + 1)
            other.acquire(lambda: None)

        harness.transport = InterceptingTransport(harness.transport, sleep_too_long)
        report = harness.run("ringg")
        assert (report.status, report.counts.received) == ("failed", 0)
        assert "took the source over" in str(report.error)
        assert harness.scalar("SELECT count(*) FROM warehouse.calls") == 0
        assert harness.scalar("SELECT count(*) FROM ops.coverage") == 0


def at_once(harness: Harness, name: str, *several: tuple[str, RunFunction]) -> list[RunResult]:
    """Several runs of one source, each as a process of its own would do it."""
    reports: list[RunResult] = []
    start = threading.Barrier(len(several))

    def work(kind: str, what: RunFunction) -> None:
        means = RunDependencies(harness.db, SystemClock(), lambda: 0.5, lambda source: SandboxTransport(harness.world))
        start.wait()
        reports.append(run.run_source(means, harness.sources[name], kind, what, lambda progress: None, by_hand=True))

    threads = [threading.Thread(target=work, args=one) for one in several]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return reports


@pytest.mark.parametrize("name", PROVIDERS)
def test_two_syncs_at_once_are_one(db: Engine, name: str) -> None:
    harness = make_harness(db, World(3, calls=230, now=NOW))
    reports = at_once(harness, name, ("sync", pipeline.sync), ("sync", pipeline.sync))
    assert [(report.status, report.error) for report in reports] == [("succeeded", None)] * 2
    assert sum(report.counts.inserted for report in reports) == 230
    assert differences(harness, name) == []
    assert counts_add_up(harness)


@pytest.mark.parametrize("name", ["ravan", "vaani"])
def test_a_backfill_beside_a_sync_is_no_trouble(db: Engine, name: str) -> None:
    harness = make_harness(db, World(3, calls=230, now=NOW))
    backfill = partial(pipeline.backfill, window=EVERYTHING, again=True)
    reports = at_once(harness, name, ("sync", pipeline.sync), ("backfill", backfill))
    assert [(report.status, report.error) for report in reports] == [("succeeded", None)] * 2
    assert differences(harness, name) == []
    assert counts_add_up(harness)


def test_a_source_that_is_set_aside_is_left_alone_until_somebody_probes_it(db: Engine) -> None:
    harness = make_harness(db, None, "H09:first=1")
    assert "refuses the key" in str(harness.run("ringg").error)
    by_schedule = harness.run("ringg", by_hand=False)
    assert by_schedule.status == "failed"
    assert "set aside until" in str(by_schedule.error)
    assert len(requests_of(harness)) == 1
    harness.sync("ringg")
    assert harness.run("ringg", by_hand=False).status == "succeeded"
    assert harness.scalar("SELECT paused_until FROM ops.sources") is None


def test_a_source_that_was_set_aside_is_read_again_after_a_quarter_of_an_hour(db: Engine) -> None:
    harness = make_harness(db, None, "H10:first=1")
    harness.run("vaani", by_hand=False)
    harness.clock.sleep(15 * 60 + 1)
    assert harness.run("vaani", by_hand=False).status == "succeeded"
    assert differences(harness, "vaani") == []


def test_a_key_that_is_refused_concerns_no_other_source(db: Engine) -> None:
    harness = make_harness(db, None, "H09:provider=autocalls,first=1")
    sources = [harness.sources[name] for name in PROVIDERS]
    reports = run_all(harness.dependencies(), sources, "sync", pipeline.sync, lambda progress: None)
    assert {report.source: report.status for report in reports if report.error} == {"autocalls": "failed"}
    assert all(differences(harness, name) == [] for name in PROVIDERS if name != "autocalls")


def test_a_source_under_another_host_is_refused(db: Engine) -> None:
    harness = make_harness(db)
    harness.sync("ringg")
    elsewhere = replace(harness.sources["ringg"], base_url="https://calls.example/ringg")
    with pytest.raises(registry.SourceMismatch, match=r"calls\.example.*127\.0\.0\.1"):
        run.run_source(harness.dependencies(), elsewhere, "sync", pipeline.sync, lambda progress: None, by_hand=True)


def test_a_run_that_was_killed_is_said_to_be_interrupted(db: Engine) -> None:
    harness = make_harness(db)
    sandbox, harness.transport = (
        harness.transport,
        InterceptingTransport(harness.transport, lambda count, request: kill(harness)),
    )
    assert run_until_killed(harness, "ringg")
    assert harness.rows("SELECT status FROM ops.runs") == [{"status": "running"}]
    harness.transport = sandbox
    harness.sync("ringg")
    runs = harness.rows("SELECT status, finished_at IS NOT NULL AS ended FROM ops.runs ORDER BY run_id")
    assert runs == [{"status": "interrupted", "ended": True}, {"status": "succeeded", "ended": True}]


def test_a_backfill_asks_only_for_what_is_not_held_and_fills_no_gap_by_a_claim(db: Engine) -> None:
    harness = make_harness(db, World(3, calls=60, days=20, now=NOW))
    week = Window(NOW - timedelta(days=14), NOW - timedelta(days=7))
    assert harness.run("ringg", partial(pipeline.backfill, window=week), "backfill").status == "succeeded"
    inside = {call.call_id for call in harness.world.calls("ringg") if week.start <= call.created_at < week.end}
    assert inside <= harness.stored_ids("ringg")
    requests = len(requests_of(harness))
    harness.run("ringg", partial(pipeline.backfill, window=week), "backfill")
    assert len(requests_of(harness)) == requests
    harness.sync("ringg")
    assert differences(harness, "ringg") == []
    assert harness.scalar("SELECT count(*) FROM ops.coverage") == 1
