"""The schedule: what runs when, what a failing source or a lost database does to it, and how it ends."""

import logging
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from apscheduler.schedulers import base as scheduler_module
from sqlalchemy import Engine, make_url, text

from etl import daemon, settings
from etl.daemon import Tempo
from etl.daemon.jobs import MAX_WORKERS
from etl.db.connections import open_engine
from etl.embedded import Server
from etl.model import Source
from etl.runtime.clock import SystemClock
from etl.sandbox.faults import parse_fault
from etl.sandbox.in_process import SandboxTransport
from etl.sandbox.socket_server import Sandbox
from etl.sandbox.world import World
from etl.settings.schedule import Every
from etl.settings.source_entries import Entry
from etl.state import registry, source_table
from etl.state.live_sources import LiveSources
from etl.sync.run import BatchLimits, RunDependencies
from tests import commands
from tests.commands import ETL, run_etl, start_etl, stop_etl
from tests.fakes import wait_until
from tests.harness import InterceptingTransport
from tests.scripted_server import Responder, serve, stuck_proxy

NOW = datetime.now(UTC).replace(microsecond=0)
FREE = text("SELECT count(*) FROM ops.leases WHERE owner IS NOT NULL")
RUNS = text("SELECT count(*) FROM ops.runs WHERE source = :source AND status = :status")
CALLS = text("SELECT count(*) FROM warehouse.calls")
CALL = text("SELECT count(*) FROM warehouse.calls WHERE provider_call_id = :call_id")
OWNERS = text("SELECT DISTINCT split_part(owner, ':', 2) FROM ops.runs")
# pairs of runs of one source and kind, one of which began while the other was under way
AT_ONCE = text("""
    SELECT count(*) FROM ops.runs a JOIN ops.runs b USING (source, kind)
     WHERE a.run_id < b.run_id AND b.started_at < coalesce(a.finished_at, 'infinity')
       AND a.status = 'succeeded' AND b.status = 'succeeded'
""")
PLANNED = text("SELECT count(*) FROM ops.sources WHERE next_run_at IS NOT NULL")


def silence(gone: threading.Event) -> Responder:
    """A peer that takes the request and never answers."""

    def talk(connection: socket.socket) -> None:
        gone.wait(60)

    return talk


def count(db: Engine, query: object, **values: str) -> int:
    with db.connect() as connection:
        return int(connection.scalar(query, values) or 0)  # type: ignore[call-overload]


def owners(db: Engine) -> set[str]:
    """The processes whose runs are stored."""
    with db.connect() as connection:
        return set(connection.scalars(OWNERS))


def runs(db: Engine, source: str, status: str = "succeeded") -> int:
    return count(db, RUNS, source=source, status=status)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(World(5, calls=12, days=2, now=NOW)) as served:
        yield served


def sources(sandbox: Sandbox, folder: Path, schedule: str = "every 1s") -> dict[str, Source]:
    found = settings.load(sandbox.environment(), folder).local_sources
    return {each.name: replace(each, requests_per_minute=6000, schedule=schedule) for each in found}


@contextmanager
def serving_daemon(
    deps: RunDependencies, stop: threading.Event, served: Sequence[Source], tempo: Tempo | None = None
) -> Iterator[list[bool]]:
    """The daemon in this process; the list gets what it returns."""
    with deps.db.begin() as connection:
        for source in served:
            registry.register(connection, source, deps.clock.now())
    said: list[bool] = []
    thread = threading.Thread(target=lambda: said.append(daemon.serve(deps, stop, served, tempo=tempo)))
    thread.start()
    try:
        yield said
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def test_it_reads_every_source_plans_the_next_run_and_ends_with_0(
    tmp_path: Path, sandbox: Sandbox, database_url: str, db: Engine
) -> None:
    given = {**sandbox.environment(), "DATABASE_URL": f"{database_url}?sslmode=disable"}
    process = start_etl("daemon", cwd=tmp_path, given=given)
    wait_until(lambda: all(runs(db, name) for name in ("ringg", "autocalls", "ravan")))
    wait_until(lambda: count(db, PLANNED) == 4)
    status = run_etl("status", cwd=tmp_path, given=given).stdout
    assert len(re.findall(r" in (?:[1-5] min|\d+ s)$", status, re.M)) == 4
    code, out, err = stop_etl(process)
    assert (code, out) == (0, ""), err
    assert "Traceback" not in err
    assert '"event": "daemon_stopped"' in err
    assert (count(db, PLANNED), count(db, FREE)) == (0, 0)
    assert run_etl("status", cwd=tmp_path, given=given).stdout.count("no daemon") == 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_ends_with_0_in_the_middle_of_a_retry_after(
    tmp_path: Path, database_url: str, db: Engine, number: signal.Signals
) -> None:
    with Sandbox(World(5, calls=12, days=2, now=NOW), [parse_fault("H01:every=1,after=120")]) as notified:
        given = {**notified.environment(), "DATABASE_URL": f"{database_url}?sslmode=disable"}
        process = start_etl("daemon", cwd=tmp_path, given=given)
        wait_until(lambda: count(db, text("SELECT count(*) FROM ops.rate_limits WHERE blocked_until IS NOT NULL")) == 4)
        code, _, err = stop_etl(process, number)
    assert code == 0, err
    assert count(db, FREE) == 0
    assert {runs(db, name, "interrupted") for name in ("ringg", "autocalls", "ravan", "vaani")} == {1}


def test_a_closed_terminal_ends_what_was_not_started_with_nohup(tmp_path: Path, database_url: str, db: Engine) -> None:
    with Sandbox(World(5, calls=12, days=2, now=NOW), [parse_fault("H01:every=1,after=120")]) as waiting:
        given = commands.environment(
            tmp_path, {**waiting.environment(), "DATABASE_URL": f"{database_url}?sslmode=disable"}
        )
        words = ["sh", "-c", 'trap "" HUP; exec "$@" 2>/dev/null', "sh", *ETL, "sync"]
        process = subprocess.Popen(words, cwd=tmp_path, env=given)
        wait_until(lambda: waiting.requests)
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1)
        process.terminate()
        assert process.wait(30) == 1
    sandbox = start_etl("sandbox", cwd=tmp_path, given={})
    assert sandbox.stdout
    assert sandbox.stdout.readline().startswith("export ")
    assert stop_etl(sandbox, signal.SIGHUP)[0] == 0


def test_a_second_signal_ends_it_at_once(tmp_path: Path, database_url: str) -> None:
    gone, url = threading.Event(), make_url(database_url)
    with serve(silence(gone)) as silent, stuck_proxy(url.port or 0) as proxy:
        through = url.set(port=proxy.port).render_as_string(hide_password=False)
        given = {
            "RINGG_API_KEY": "k", "RINGG_BASE_URL": f"http://127.0.0.1:{silent.port}",
            "DATABASE_URL": f"{through}?sslmode=disable",
        }  # fmt: skip
        process = start_etl("daemon", cwd=tmp_path, given=given)
        wait_until(lambda: silent.heard)
        proxy.is_stuck.set()
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        code, *_ = stop_etl(process)
        gone.set()
    assert code == -signal.SIGTERM


def test_one_signal_ends_it_within_ten_seconds_though_a_run_hangs(tmp_path: Path, database_url: str) -> None:
    gone = threading.Event()
    with serve(silence(gone)) as silent:
        given = {
            "RINGG_API_KEY": "k", "RINGG_BASE_URL": f"http://127.0.0.1:{silent.port}", "ETL_LISTEN": "off",
            "DATABASE_URL": f"{database_url}?sslmode=disable",
        }  # fmt: skip
        process = start_etl("daemon", cwd=tmp_path, given=given)
        wait_until(lambda: silent.heard)
        began = time.monotonic()
        code, *_ = stop_etl(process)
        took = time.monotonic() - began
        gone.set()
    assert code == 0
    assert took < 10


def test_a_sync_that_is_ended_says_that_the_same_command_goes_on_and_it_does(
    tmp_path: Path, database_url: str, db: Engine
) -> None:
    with Sandbox(World(5, calls=40, days=2, now=NOW)) as served:
        environment = {**served.environment(), "DATABASE_URL": f"{database_url}?sslmode=disable"}
        given = {name: value for name, value in environment.items() if not name.startswith(("RAVAN", "AUTO", "RINGG"))}
        process = start_etl("sync", cwd=tmp_path, given=given)
        wait_until(lambda: len(served.requests) >= 10)  # the pace of a minute holds it back from here on
        code, _, err = stop_etl(process, signal.SIGINT)
        assert code == 1
        assert "etl: stopped; what was read is kept, and the same command goes on from here" in err
        assert "Traceback" not in err
        assert count(db, FREE) == 0
        assert count(db, text("SELECT count(*) FROM warehouse.calls")) == 40
        (tmp_path / "etl.toml").write_text(
            '[sources.vaani]\nprovider = "vaani"\napi_key = "env:VAANI_API_KEY"\nrequests_per_minute = 6000\n'
        )
        assert run_etl("sync", cwd=tmp_path, given=given).returncode == 0


def test_its_runs_take_over_a_session_which_ends_with_it(tmp_path: Path, sandbox: Sandbox, db: Engine) -> None:
    served, stop = sources(sandbox, tmp_path)["ringg"], threading.Event()
    with serving_daemon(RunDependencies(db, SystemClock()), stop, [served]):
        wait_until(lambda: runs(db, "ringg") >= 4)
        assert 1 <= count(db, SESSIONS) < runs(db, "ringg")
    wait_until(lambda: count(db, ALIVE) == 0)


SESSIONS = text("SELECT count(DISTINCT (backend_pid, backend_started_at)) FROM ops.runs WHERE status = 'succeeded'")
ALIVE = text("""
    SELECT count(*) FROM ops.runs JOIN pg_stat_activity ON pid = backend_pid AND backend_start = backend_started_at
""")


def test_a_failing_source_and_a_lost_database_do_not_end_it(
    tmp_path: Path, sandbox: Sandbox, database_url: str, db: Engine, server: Server
) -> None:
    chosen = sources(sandbox, tmp_path)
    failing = replace(chosen["ringg"], base_url="http://127.0.0.1:9/nobody")
    stop = threading.Event()
    name = make_url(database_url).database
    admin = open_engine(server.url("postgres")).execution_options(isolation_level="AUTOCOMMIT")
    with serving_daemon(
        RunDependencies(db, SystemClock(stop), lambda: 0.0), stop, [chosen["autocalls"], failing]
    ) as said:
        wait_until(lambda: runs(db, "autocalls") >= 2 and runs(db, "ringg", "failed") >= 1)
        with admin.connect() as connection:
            connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"), {"name": name}
            )
            time.sleep(1.5)  # at least one run falls into the gap
            connection.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))
        before = runs(db, "autocalls")
        wait_until(lambda: runs(db, "autocalls") >= before + 2)
    assert said == [True]
    admin.dispose()


def test_no_run_beside_itself_and_late_ones_are_one(tmp_path: Path, sandbox: Sandbox, db: Engine) -> None:
    stop, hold, inside, most = threading.Event(), threading.Event(), [0], [0]
    source = sources(sandbox, tmp_path)["autocalls"]

    class Slow(SystemClock):
        def sleep(self, seconds: float) -> None:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            hold.wait(3)
            inside[0] -= 1
            super().sleep(seconds)

    with serving_daemon(RunDependencies(db, Slow(stop)), stop, [source]) as said:
        wait_until(lambda: count(db, text("SELECT count(*) FROM ops.runs")) >= 1)
        time.sleep(1.5)
        assert count(db, text("SELECT count(*) FROM ops.runs")) == 1
        hold.set()
        wait_until(lambda: runs(db, "autocalls") >= 2)
    assert most == [1]
    assert said == [True]


def test_a_run_that_hangs_on_a_peer_does_not_keep_it_from_ending(tmp_path: Path, db: Engine) -> None:
    gone, stop = threading.Event(), threading.Event()
    with serve(silence(gone)) as silent:
        environment = {"RINGG_API_KEY": "k", "RINGG_BASE_URL": f"http://127.0.0.1:{silent.port}"}
        hanging = list(settings.load(environment, tmp_path).local_sources)
        with serving_daemon(RunDependencies(db, SystemClock(stop)), stop, hanging, Tempo(grace_seconds=0.1)) as said:
            wait_until(lambda: silent.heard)
        assert said == [False]
        gone.set()
        wait_until(lambda: runs(db, "ringg", "interrupted"))


@pytest.mark.parametrize("step", [timedelta(seconds=50), timedelta(hours=2), timedelta(days=3000)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_clock_that_steps_and_is_put_right_silences_it_for_no_interval(
    tmp_path: Path, sandbox: Sandbox, db: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    step: timedelta, sign: int,
) -> None:  # fmt: skip
    stop, off = threading.Event(), [timedelta(0)]

    class Stepping(SystemClock):
        def now(self, zone: object = None) -> datetime:
            return datetime.now(UTC) + off[0]

    clock = Stepping(stop)
    monkeypatch.setattr(scheduler_module, "datetime", clock)
    source, tempo = (
        sources(sandbox, tmp_path, "every 2s")["autocalls"],
        Tempo(watchdog_interval_seconds=0.05, silent_checks=999),
    )
    with serving_daemon(RunDependencies(db, clock), stop, [source], tempo):
        wait_until(lambda: runs(db, "autocalls") >= 1)
        off[0] = sign * step
        before = runs(db, "autocalls")
        wait_until(lambda: runs(db, "autocalls") > before)
        off[0] = timedelta(0)
        before = runs(db, "autocalls")
        wait_until(lambda: runs(db, "autocalls") > before + 1)
    said = [record.getMessage() for record in caplog.records]
    assert said.count("clock_stepped") == 2
    assert "run_rescheduled" in said


def test_a_long_first_reading_does_not_keep_the_newest_calls_waiting(tmp_path: Path, db: Engine) -> None:
    """Batches of one page each, all of them slow: a call that arrives meanwhile does not wait for the last."""
    world = World(5, calls=120, days=2, now=NOW)
    with Sandbox(world, [parse_fault("G12:size=10")]) as served:
        source = sources(served, tmp_path)["ringg"]
        stop = threading.Event()
        slowly = InterceptingTransport(httpx.HTTPTransport(), lambda count, request: time.sleep(0.2))
        limits = BatchLimits(rows=1)
        deps = RunDependencies(db, SystemClock(stop), lambda: 0.0, lambda source: slowly, batch_limits=limits)
        with serving_daemon(deps, stop, [source]):
            wait_until(lambda: count(db, CALLS) >= 20)
            new = world.add("ringg").call_id
            wait_until(lambda: count(db, CALL, call_id=new))
            assert count(db, CALLS) < 120
            wait_until(lambda: count(db, CALLS) == 121)
            wait_until(
                lambda: count(db, text("SELECT count(*) FROM ops.streams WHERE completeness = 'count_match'")) == 1
            )


def test_a_run_that_hangs_is_stored_as_failed_and_the_next_one_resumes(
    tmp_path: Path, sandbox: Sandbox, db: Engine
) -> None:
    gone, stop, hanging = threading.Event(), threading.Event(), threading.Event()

    def hang(count: int, request: httpx.Request) -> None:
        if not hanging.is_set():
            hanging.set()
            gone.wait(30)

    source = sources(sandbox, tmp_path)["autocalls"]
    deps = RunDependencies(
        db, SystemClock(stop), lambda: 0.0, lambda source: InterceptingTransport(httpx.HTTPTransport(), hang)
    )
    tempo = Tempo(grace_seconds=0.1, watchdog_interval_seconds=0.05, silent_checks=10)
    with serving_daemon(deps, stop, [source], tempo) as said:
        wait_until(lambda: runs(db, "autocalls", "failed") == 1)
        wait_until(lambda: runs(db, "autocalls") >= 1)
        stored = count(db, CALLS)
        gone.set()  # what hanging comes back, and its lease is another's: it writes nothing
        wait_until(lambda: runs(db, "autocalls") >= 2)
        assert (count(db, CALLS), runs(db, "autocalls", "failed")) == (stored, 1)
    assert said == [False]


def test_where_the_database_hangs_too_the_process_asks_to_be_restarted(tmp_path: Path, db: Engine) -> None:
    gone, stop = threading.Event(), threading.Event()
    tempo = Tempo(watchdog_interval_seconds=0.02, database_timeout_seconds=0.2)
    with serve(silence(gone)) as silent, db.connect() as other:
        environment = {"RINGG_API_KEY": "k", "RINGG_BASE_URL": f"http://127.0.0.1:{silent.port}"}
        configured = list(settings.load(environment, tmp_path).local_sources)
        with db.begin() as connection:
            for source in configured:
                registry.register(connection, source, NOW)

        def lock_the_runs() -> None:
            wait_until(lambda: silent.heard)
            other.execute(text("LOCK TABLE ops.runs IN ACCESS EXCLUSIVE MODE"))

        locking = threading.Thread(target=lock_the_runs)
        locking.start()
        with pytest.raises(daemon.WatchdogTimeout, match="the database does not respond"):
            daemon.serve(RunDependencies(db, SystemClock(stop)), stop, configured, tempo=tempo)
        locking.join()
        stop.set()
        gone.set()


@pytest.mark.parametrize("error", [SystemExit(3), MemoryError(), ValueError()])
def test_no_error_of_a_run_ends_the_schedule(
    tmp_path: Path, sandbox: Sandbox, db: Engine, error: BaseException
) -> None:
    source, stop, raised = sources(sandbox, tmp_path)["autocalls"], threading.Event(), threading.Event()

    def fail_once(count: int, request: httpx.Request) -> None:
        if not raised.is_set():
            raised.set()
            raise error

    transport = InterceptingTransport(httpx.HTTPTransport(), fail_once)
    with serving_daemon(RunDependencies(db, SystemClock(stop), lambda: 0.0, lambda source: transport), stop, [source]):
        wait_until(lambda: runs(db, "autocalls") >= 1)
    assert runs(db, "autocalls", "failed") == 1


def test_two_daemons_share_the_sources_and_one_takes_over_from_the_other(
    tmp_path: Path, database_url: str, db: Engine
) -> None:
    """Each source at most once in an interval, by whichever of two; after a kill -9 by the one that is left."""
    with Sandbox(World(5, calls=12, days=2, now=NOW)) as served:
        keys = [name for name in served.environment() if name.endswith("_KEY") and not name.startswith("VAANI")]
        tables = "".join(
            f'[sources.{key.split("_")[0].lower()}]\nprovider = "{key.split("_")[0].lower()}"\n'
            f'api_key = "env:{key}"\nschedule = "every 2s"\nrequests_per_minute = 6000\n'
            + ('phones = ["+911140000000"]\n' if key.startswith("RAVAN") else "")
            for key in keys
        )
        (tmp_path / "etl.toml").write_text(tables)
        given = {**served.environment(), "DATABASE_URL": f"{database_url}?sslmode=disable"}
        given.pop("RAVAN_PHONES", None)
        both = [start_etl("daemon", cwd=tmp_path, given=given) for _ in range(2)]
        wait_until(lambda: len(owners(db)) == 2 and runs(db, "ringg") > 2)
        assert count(db, AT_ONCE) == 0
        both[0].kill()
        both[0].communicate()
        killed_at = runs(db, "ringg")
        wait_until(lambda: runs(db, "ringg") >= killed_at + 1 and runs(db, "autocalls") and runs(db, "ravan"))
        code, _, err = stop_etl(both[1])
    assert code == 0, err
    assert count(db, text("SELECT count(*) FROM ops.runs WHERE status IN ('running', 'failed')")) == 0
    assert count(db, FREE) == 0


def test_thirty_sources_are_read_by_a_few_threads(db: Engine, tmp_path: Path) -> None:
    world = World(5, calls=3, days=2, now=NOW)
    sandbox = SandboxTransport(world)
    one = settings.load(sandbox.environment(), tmp_path).local_sources[1]
    many = [replace(one, name=f"account-{n}", schedule="every 5s", requests_per_minute=6000) for n in range(30)]
    stop, busy = threading.Event(), [0]

    def several_at_once() -> bool:
        busy.append(sum(" account-" in thread.name for thread in threading.enumerate()))
        return max(busy) > 1

    # the first request is not answered before somebody else works too
    transport = InterceptingTransport(sandbox, lambda number, request: wait_until(several_at_once))
    with serving_daemon(RunDependencies(db, SystemClock(stop), lambda: 0.0, lambda source: transport), stop, many):
        wait_until(
            lambda: count(db, text("SELECT count(DISTINCT source) = 30 FROM ops.runs WHERE status = 'succeeded'"))
        )
    assert 1 < max(busy) <= sum(MAX_WORKERS.values())
    assert count(db, text("SELECT count(*) FROM ops.runs WHERE status = 'failed'")) == 0


def test_what_is_missing_is_found_and_loaded_at_night(tmp_path: Path, sandbox: Sandbox, db: Engine) -> None:
    source, stop = sources(sandbox, tmp_path)["ringg"], threading.Event()
    with serving_daemon(RunDependencies(db, SystemClock(stop)), stop, [source]):
        wait_until(lambda: count(db, CALLS) == 12)
    with db.begin() as connection:
        connection.execute(
            text("DELETE FROM warehouse.calls WHERE created_at = (SELECT min(created_at) FROM warehouse.calls)")
        )
    stop, tempo = threading.Event(), Tempo(verification=lambda source: Every(timedelta(seconds=2)))
    with serving_daemon(RunDependencies(db, SystemClock(stop)), stop, [source], tempo):
        wait_until(lambda: count(db, text("SELECT count(*) FROM ops.runs WHERE kind = 'verify' AND inserted = 1")))
    assert count(db, CALLS) == 12
    assert count(db, text("SELECT count(*) FROM ops.runs WHERE kind = 'verify'")) == 1  # the others found it done


def test_the_log_line_of_a_run_always_has_the_same_keys(
    tmp_path: Path, sandbox: Sandbox, db: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = sources(sandbox, tmp_path)
    failing = replace(chosen["ringg"], base_url="http://127.0.0.1:9/nobody")
    stop = threading.Event()
    with (
        caplog.at_level(logging.INFO, "etl.daemon"),
        serving_daemon(RunDependencies(db, SystemClock(stop), lambda: 0.0), stop, [chosen["autocalls"], failing]),
    ):
        wait_until(lambda: runs(db, "autocalls") >= 2 and runs(db, "ringg", "failed") >= 1)
    lines = [record.event_fields for record in caplog.records if record.getMessage() == "run_finished"]  # type: ignore[attr-defined]
    assert {line["status"] for line in lines} >= {"succeeded", "failed"}
    assert len({tuple(line) for line in lines}) == 1
    assert {"source", "kind", "status", "run_id", "seconds", "requests", "received", "error"} <= lines[0].keys()


# -- sources that change meanwhile


class Table:
    """The sources of the database, as `etl sources` changes them and a daemon with this tempo sees them."""

    def __init__(self, db: Engine, sandbox: Sandbox, folder: Path) -> None:
        hosts = {name: url for name, url in sandbox.environment().items() if name.endswith("_BASE_URL")}
        keys = {"A_RINGG_KEY": sandbox.environment()["RINGG_API_KEY"], "A_WRONG_KEY": "not-the-key"}
        self.db, self.settings = db, settings.load({**hosts, **keys}, folder)
        with db.connect() as connection:
            self.live = LiveSources(self.settings, source_table.load(connection, self.settings))

    def save(self, name: str, schedule: str = "every 1s", key: str = "A_RINGG_KEY", rate: int = 6000) -> None:
        given = {"provider": "ringg", "schedule": schedule, "requests_per_minute": rate}
        with self.db.begin() as connection:
            source_table.save(connection, self.settings, [Entry(name, given, f"env:{key}")])

    def remove(self, name: str) -> None:
        with self.db.begin() as connection:
            assert source_table.remove(connection, name)

    @contextmanager
    def served(self, transport: Callable[[Source], httpx.BaseTransport | None] = lambda source: None) -> Iterator[None]:
        stop = threading.Event()
        self.live.start(self.db, stop, 0.05)
        deps = RunDependencies(self.db, SystemClock(stop), transport=transport)
        with serving_daemon(deps, stop, self.live, Tempo(watchdog_interval_seconds=0.05, new_after_seconds=0)):
            yield


def test_a_source_that_is_added_is_read_and_one_that_is_removed_no_more(
    tmp_path: Path, sandbox: Sandbox, db: Engine
) -> None:
    table = Table(db, sandbox, tmp_path)
    table.save("first")
    table.live.refresh(db)
    with table.served():
        wait_until(lambda: runs(db, "first") >= 2)
        table.save("second")
        wait_until(lambda: runs(db, "second") >= 2 and count(db, PLANNED) == 2)
        table.remove("first")
        wait_until(lambda: count(db, PLANNED) == 1)
        before = runs(db, "first")
        after = runs(db, "second")
        wait_until(lambda: runs(db, "second") >= after + 3)
        assert runs(db, "first") == before
        assert count(db, text("SELECT count(*) FROM warehouse.calls WHERE source = 'first'")) == 12  # they stay
        table.save("first")
        wait_until(lambda: runs(db, "first") > before)
    assert count(db, FREE) == 0
    assert count(db, text("SELECT sum(inserted) FROM ops.runs WHERE source = 'first'")) == 12  # nothing anew


def test_another_schedule_and_another_key_are_taken_up(tmp_path: Path, sandbox: Sandbox, db: Engine) -> None:
    table = Table(db, sandbox, tmp_path)
    table.save("acme", key="A_WRONG_KEY", schedule="every 1h")
    table.live.refresh(db)
    with table.served():
        wait_until(lambda: runs(db, "acme", "failed") == 1)
        table.save("acme", schedule="every 1s")
        wait_until(lambda: runs(db, "acme") >= 2)


def test_a_run_of_a_source_that_is_removed_ends_at_its_next_batch(tmp_path: Path, db: Engine) -> None:
    with Sandbox(World(5, calls=400, days=20, now=NOW)) as sandbox:
        table, began, go_on = Table(db, sandbox, tmp_path), threading.Event(), threading.Event()
        table.save("acme")
        table.live.refresh(db)

        def pause(number: int, request: httpx.Request) -> None:
            if number == 2:
                began.set()
                go_on.wait(20)

        def transport(source: Source) -> httpx.BaseTransport:
            return InterceptingTransport(httpx.HTTPTransport(), pause)

        with table.served(transport):
            assert began.wait(20)
            table.remove("acme")
            wait_until(lambda: not len(table.live))
            time.sleep(0.2)
            go_on.set()
            wait_until(lambda: runs(db, "acme", "interrupted") == 1)
        assert runs(db, "acme") == 0
        assert count(db, CALLS) < 400
