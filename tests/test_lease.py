"""Several processes on one database: they share a source by its lease, lose nothing and do not block each other."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial

import httpx
import pytest
from sqlalchemy import Engine, text

from etl import pipeline
from etl.model import Window
from etl.runtime.clock import Clock
from etl.sandbox.in_process import SandboxTransport
from etl.sandbox.world import World
from etl.state import registry
from etl.state.lease import TERM, Lease, LeaseLost, Priority
from etl.state.session import StateSession
from etl.sync import replay, run
from etl.sync.run import BatchLimits, RunDependencies, RunFunction, RunResult
from tests.fakes import FakeClock, Ticking
from tests.harness import (
    NOW,
    PROVIDERS,
    Harness,
    InterceptingTransport,
    counts_add_up,
    differences,
    make_harness,
)

EACH_PAGE = BatchLimits(rows=1)  # a batch is committed after each page


def paged(db: Engine, calls: int = 60, order: str = "desc") -> Harness:
    return make_harness(db, World(6, calls=calls, order=order, now=NOW), "G12:size=10")


def at_once(harness: Harness, name: str, *works: tuple[str, RunFunction]) -> list[RunResult]:
    """Run each as a process of its own, all started at the same moment."""
    together = threading.Barrier(len(works))

    def process(kind: str, work: RunFunction) -> RunResult:
        dependencies = RunDependencies(
            harness.db, Ticking(NOW), lambda: 0.5, lambda source: harness.transport, batch_limits=EACH_PAGE
        )
        together.wait(10)
        return run.run_source(dependencies, harness.sources[name], kind, work, is_manual=True)

    with ThreadPoolExecutor(len(works)) as threads:
        return list(threads.map(process, *zip(*works, strict=True)))


def assert_every_call_is_stored_once(harness: Harness, name: str, reports: list[RunResult]) -> None:
    assert [(report.status, report.error) for report in reports] == [("succeeded", None)] * len(reports)
    assert differences(harness, name) == []
    assert counts_add_up(harness)
    inserted = sum(row["inserted"] for row in harness.rows("SELECT inserted FROM ops.runs"))
    assert inserted == len(harness.world.calls(name))
    assert harness.scalar("SELECT count(*) FROM ops.checkpoints") == 0
    assert harness.scalar("SELECT count(*) FROM ops.leases WHERE owner IS NOT NULL") == 0


@pytest.mark.parametrize("order", ["desc", "asc", "unsorted"])
@pytest.mark.parametrize("name", PROVIDERS)
def test_two_syncs_at_once(db: Engine, name: str, order: str) -> None:
    harness = paged(db, order=order)
    reports = at_once(harness, name, ("sync", pipeline.sync), ("sync", pipeline.sync))
    assert_every_call_is_stored_once(harness, name, reports)


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_backfill_beside_a_sync(db: Engine, name: str) -> None:
    harness = paged(db)
    window = Window(NOW - timedelta(days=20), NOW - timedelta(days=5))

    def backfill(reader: run.SourceRun) -> None:
        pipeline.backfill(reader, window, again=True)

    assert_every_call_is_stored_once(
        harness, name, at_once(harness, name, ("sync", pipeline.sync), ("backfill", backfill))
    )


@pytest.mark.parametrize("name", ["ringg", "vaani"])
def test_a_retry_of_the_quarantine_beside_a_sync(db: Engine, name: str) -> None:
    harness = make_harness(db, World(6, calls=60, now=NOW), "G12:size=10", "V01:every=1,in=7")
    harness.sync(name)
    waiting = harness.scalar("SELECT count(*) FROM ops.quarantine")
    assert waiting > 0
    harness.transport = SandboxTransport(harness.world)
    harness.clock.sleep(3600)
    reports = at_once(harness, name, ("retry", replay.retry), ("sync", pipeline.sync))
    assert [report.status for report in reports] == ["succeeded"] * 2
    assert counts_add_up(harness)
    inserted = sum(row["inserted"] for row in harness.rows("SELECT inserted FROM ops.runs"))
    assert inserted == len(harness.stored_ids(name)) == harness.scalar("SELECT count(*) FROM warehouse.calls")


@contextmanager
def process(db: Engine, clock: Clock) -> Iterator[Lease]:
    """The lease of a source, as one process has it."""
    with db.begin() as connection:
        registry.register(connection, make_harness(db).sources["ringg"], NOW)
    with StateSession(db) as session:
        yield Lease(session, db, "ringg", clock)


def never() -> None:
    raise AssertionError("nothing has to wait here")


def test_who_waits_comes_before_the_one_who_just_had_it(db: Engine) -> None:
    clock, waits, turns = Ticking(NOW), threading.Event(), []
    with process(db, clock) as first, process(db, clock) as second, ThreadPoolExecutor(1) as threads:
        first.acquire(never)

        def wait_and_hold() -> None:
            second.acquire(waits.set)
            turns.append("second")
            second.release()

        waiting = threads.submit(wait_and_hold)
        assert waits.wait(10)
        first.release()
        first.acquire(lambda: None)
        turns.append("first")
        first.release()
        waiting.result(10)
    assert turns == ["second", "first"]


def test_a_higher_priority_goes_before_those_who_wait_longer(db: Engine) -> None:
    turns = list[Priority]()
    with process(db, Ticking(NOW)) as holder, ExitStack() as processes, ThreadPoolExecutor(3) as threads:
        holder.acquire(never)

        def wait_and_hold(lease: Lease, waits: threading.Event) -> None:
            lease.acquire(waits.set)
            turns.append(lease.priority)
            lease.release()

        waiting = []
        for priority in (Priority.BACKFILL, Priority.LOOKBACK, Priority.HEAD):
            lease, waits = processes.enter_context(process(db, Ticking(NOW))), threading.Event()
            lease.priority = priority
            waiting.append(threads.submit(wait_and_hold, lease, waits))
            assert waits.wait(10)
        holder.priority = Priority.HEAD
        holder.release()
        for each in waiting:
            each.result(10)
    assert turns == [Priority.HEAD, Priority.LOOKBACK, Priority.BACKFILL]


def test_who_waited_for_a_whole_term_goes_before_any_priority(db: Engine) -> None:
    clock = FakeClock(NOW)
    with process(db, clock) as old, process(db, clock) as stuck:
        stuck._acquire_in_turn(0, set())  # the first of the highest priority, which never goes on
        stuck.release()
        old.priority = Priority.BACKFILL
        old.acquire(lambda: None)
    assert NOW + TERM <= clock.now() <= NOW + TERM + timedelta(seconds=1)


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_head_is_read_after_one_batch_of_a_long_backfill(db: Engine, name: str) -> None:
    harness = paged(db)
    harness.sync(name)
    arrived = harness.world.add(name).call_id
    sent, sandbox, live = list[str](), harness.transport, list[Future[RunResult]]()
    window = Window(NOW - timedelta(days=20), NOW)

    def transport_of(who: str) -> InterceptingTransport:
        return InterceptingTransport(sandbox, lambda count, request: sent.append(who))

    def live_sync() -> RunResult:
        dependencies = RunDependencies(db, Ticking(NOW), lambda: 0.5, lambda source: transport_of("live"))
        return run.run_source(dependencies, harness.sources[name], "sync", pipeline.sync, is_manual=False)

    def one_more(count: int, request: httpx.Request) -> None:
        sent.append("backfill")
        if count == 2:
            live.append(threads.submit(live_sync))
            while not harness.scalar(WAITING):
                time.sleep(0.01)

    with ThreadPoolExecutor(1) as threads:
        dependencies = RunDependencies(
            db, Ticking(NOW), lambda: 0.5, lambda source: InterceptingTransport(sandbox, one_more), EACH_PAGE
        )
        work = partial(pipeline.backfill, window=window, again=True)
        done = run.run_source(dependencies, harness.sources[name], "backfill", work, is_manual=True)
        assert [done.status, live[0].result(30).status] == ["succeeded"] * 2
    assert sent[:3] == ["backfill", "backfill", "live"]
    assert "backfill" in sent[3:]
    assert arrived in harness.stored_ids(name)
    assert differences(harness, name) == []


WAITING = """
    SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
     WHERE datname = current_database() AND locktype = 'advisory' AND objsubid = 2 AND objid = 1
"""


def test_a_holder_who_slept_past_the_term_writes_nothing(db: Engine) -> None:
    clock = FakeClock(NOW)
    with process(db, clock) as first, process(db, clock) as second:
        first.acquire(never)
        second.acquire(lambda: None)
        assert NOW + TERM <= clock.now() <= NOW + TERM + timedelta(seconds=1)
        with pytest.raises(LeaseLost, match="took over this source"), first.transaction() as connection:
            connection.execute(text("UPDATE ops.rate_limits SET next_slot_at = NULL"))
        with second.transaction():
            pass


@pytest.mark.parametrize("step", [30, -30, 7200, -7200, 10**8, -(10**8)])
def test_no_clock_of_another_machine_matters(db: Engine, step: int) -> None:
    ahead, clock = FakeClock(NOW + timedelta(seconds=step)), FakeClock(NOW)
    with process(db, ahead) as first, process(db, clock) as second:
        first.acquire(never)
        first.renew()
        ahead.step(-step)
        assert not second._try_acquire(before=2)
        second.acquire(lambda: None)
        assert NOW + TERM <= clock.now() <= NOW + TERM + timedelta(seconds=1)


def test_a_commit_ends_the_turn_and_a_rollback_does_not(db: Engine) -> None:
    with process(db, FakeClock(NOW)) as first, process(db, FakeClock(NOW)) as second:
        first.acquire(never)
        with pytest.raises(LookupError), first.transaction():
            raise LookupError
        with first.transaction():
            assert not second._try_acquire(before=Priority.HEAD)
        second.acquire(never)


def test_a_holder_who_renews_is_not_replaced(db: Engine) -> None:
    clock = FakeClock(NOW)
    with process(db, clock) as first, process(db, clock) as second:
        first.acquire(never)
        for _ in range(4):
            clock.sleep(TERM.total_seconds() * 0.9)
            first.renew()
        second.acquire(lambda: None)
        waited = clock.now() - NOW - 4 * 0.9 * TERM
        assert waited >= TERM


def test_a_holder_whose_session_is_gone_is_replaced_at_once(db: Engine) -> None:
    clock = FakeClock(NOW)
    with process(db, clock) as second:
        with process(db, clock) as first:
            first.acquire(never)
        harness = make_harness(db)
        while harness.scalar("SELECT count(*) FROM ops.leases l JOIN pg_stat_activity a ON a.pid = l.backend_pid"):
            time.sleep(0.01)  # a session ends a moment after its client has gone
        second.acquire(never)
    assert clock.slept == []


def test_a_run_that_was_overtaken_in_its_sleep_fails_and_spoils_nothing(db: Engine) -> None:
    harness = paged(db)
    sandbox = harness.transport
    done: list[RunResult] = []

    def sleep_on_the_third(count: int, request: httpx.Request) -> None:
        if count == 3:
            through, harness.transport = harness.transport, sandbox
            harness.clock.sleep(TERM.total_seconds() + 1)
            done.append(harness.sync("ringg"))
            harness.transport = through

    harness.transport = InterceptingTransport(sandbox, sleep_on_the_third)
    overtaken = harness.run("ringg")
    assert (overtaken.status, overtaken.counts.received) == ("failed", 0)
    assert "another process took over this source" in (overtaken.error or "")
    assert differences(harness, "ringg") == []
    assert counts_add_up(harness)


def test_a_run_that_lost_its_lease_writes_nothing(db: Engine) -> None:
    harness = make_harness(db)
    with process(db, harness.clock) as other:

        def sleep_too_long(count: int, request: httpx.Request) -> None:
            other.acquire(lambda: None)

        harness.transport = InterceptingTransport(harness.transport, sleep_too_long)
        report = harness.run("ringg")
        assert (report.status, report.counts.received) == ("failed", 0)
        assert "took over this source" in str(report.error)
        assert harness.scalar("SELECT count(*) FROM warehouse.calls") == 0
        assert harness.scalar("SELECT count(*) FROM ops.coverage") == 0
