"""Workers: they share the work, lose nothing when they die, commit nothing when they wake, and end when asked to."""

import json
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from etl import settings
from etl.daemon.job_queue import JobQueue
from etl.daemon.task_run import Task, TaskKind
from etl.daemon.task_runner import Tempo
from etl.daemon.worker import work
from etl.db.engine import DatabaseProblem
from etl.model import Source
from etl.runtime.clock import SystemClock
from etl.sandbox.faults import parse_fault
from etl.sandbox.socket_server import Sandbox
from etl.sandbox.world import World
from etl.state import registry
from etl.sync.run import BatchLimits, RunDependencies
from tests.commands import environment, run_etl, start_etl, stop_etl
from tests.fakes import wait_until
from tests.harness import InterceptingTransport, counts_add_up, differences, make_harness
from tests.quick_worker import TEMPO

NOW = datetime.now(UTC).replace(microsecond=0)
QUICK = (sys.executable, "-m", "tests.quick_worker")
JOBS = text("SELECT queue_name, status::text FROM queue.procrastinate_jobs ORDER BY id")
SINCE_9999 = "CREATE OR REPLACE FUNCTION ops.compatible_since() RETURNS text LANGUAGE sql AS $$ SELECT '9999' $$"
AT_9999 = "UPDATE ops.alembic_version SET version_num = '9999'"


@dataclass
class Site:
    """A directory with an `etl.toml`, a database, and processes that use both."""

    folder: Path
    sandbox: Sandbox
    db: Engine
    given: dict[str, str]
    processes: list[subprocess.Popen[str]]

    @property
    def sources(self) -> dict[str, Source]:
        return {each.name: each for each in settings.load(self.given, self.folder).local_sources}

    def start(self, *words: str, **more: str) -> subprocess.Popen[str]:
        """Start `etl WORDS`."""
        self.processes.append(start_etl(*words, cwd=self.folder, given={**self.given, "ETL_LISTEN": "off", **more}))
        return self.processes[-1]

    def start_quick(self) -> subprocess.Popen[str]:
        """Start a worker that waits for little."""
        with (self.folder / f"worker{len(self.processes)}.log").open("w") as log:
            given = environment(self.folder, self.given)
            self.processes.append(subprocess.Popen(QUICK, cwd=self.folder, env=given, text=True, stderr=log))
        return self.processes[-1]

    def log(self, process: subprocess.Popen[str]) -> list[dict[str, Any]]:
        """What such a worker has logged."""
        lines = (self.folder / f"worker{self.processes.index(process)}.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def submit(self, *names: str, kind: TaskKind = TaskKind.BACKLOG) -> None:
        """Put jobs into the queue."""
        queue = JobQueue(self.db)
        with self.db.begin() as connection:
            for name in names:
                registry.register(connection, self.sources[name], datetime.now(UTC))
        for name in names:
            queue.submit(Task(self.sources[name], kind))
        queue.close()

    def jobs(self) -> list[tuple[str, str]]:
        """The kinds of the jobs that are there, and their statuses."""
        with self.db.connect() as connection:
            return [(row[0], row[1]) for row in connection.execute(JOBS)]

    def scalar(self, query: str, **values: object) -> Any:
        with self.db.connect() as connection:
            return connection.scalar(text(query), values)

    def calls(self) -> int:
        return int(self.scalar("SELECT count(*) FROM warehouse.calls"))

    def runs(self, source: str, status: str = "succeeded", kind: str = "%") -> int:
        query = "SELECT count(*) FROM ops.runs WHERE source = :source AND status = :status AND kind LIKE :kind"
        return int(self.scalar(query, source=source, status=status, kind=kind))

    def pids(self, status: str = "%") -> set[str]:
        """The processes whose runs are stored."""
        query = text("SELECT DISTINCT split_part(owner, ':', 2) FROM ops.runs WHERE status LIKE :status")
        with self.db.connect() as connection:
            return set(connection.scalars(query, {"status": status}))

    def assert_exact(self, *names: str) -> None:
        """The warehouse holds what the provider lists, once."""
        harness = make_harness(self.db, self.sandbox.world)
        for name in names:
            assert differences(harness, name, provider=self.sources[name].provider) == []
        assert counts_add_up(harness)


@contextmanager
def site(folder: Path, db: Engine, world: World, tables: str, *faults: str) -> Iterator[Site]:
    (folder / "etl.toml").write_text(tables)
    with Sandbox(world, [parse_fault(fault) for fault in faults]) as sandbox:
        url = db.url.render_as_string(hide_password=False).replace("+psycopg", "")
        given = {**sandbox.environment(), "DATABASE_URL": f"{url}?sslmode=disable"}
        made = Site(folder, sandbox, db, {k: v for k, v in given.items() if k != "RAVAN_PHONES"}, [])
        try:
            yield made
        finally:
            for process in made.processes:
                process.kill()
                process.communicate()


def table(name: str, provider: str, schedule: str = "every 1s", rate: int = 60_000) -> str:
    """A source in TOML."""
    phones = f"phones = {json.dumps(list(World(5, calls=0, now=NOW).phones))}\n" if provider == "ravan" else ""
    return (
        f'[sources.{name}]\nprovider = "{provider}"\napi_key = "env:{provider.upper()}_API_KEY"\n'
        f'schedule = "{schedule}"\nrequests_per_minute = {rate}\n{phones}'
    )


def world(calls: int = 12) -> World:
    return World(5, calls=calls, days=2, now=NOW)


FOUR = "".join(table(name, name, "every 2s") for name in ("ringg", "ravan", "autocalls", "vaani"))
SLOW = ("G12:size=10", "H16:every=1,seconds=1")  # pages of ten, a second each


@contextmanager
def working(
    made: Site, slow: Callable[[int, httpx.Request], Any] = lambda count, request: None, tempo: Tempo = TEMPO,
    sources: Sequence[Source] | None = None, problems: list[DatabaseProblem] | None = None,
) -> Iterator[list[bool]]:  # fmt: skip
    """A worker in this process; the lists get what it returns and raises."""
    stop, said = threading.Event(), list[bool]()
    transport = InterceptingTransport(httpx.HTTPTransport(), slow)
    deps = RunDependencies(
        made.db, SystemClock(stop), lambda: 0.0, lambda source: transport, batch_limits=BatchLimits(rows=1)
    )
    found = sources or list(made.sources.values())

    def run() -> None:
        try:
            said.append(work(deps, stop, found, tempo=tempo))
        except DatabaseProblem as problem:
            (said if problems is None else problems).append(problem)  # type: ignore[arg-type]

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield said
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def test_a_daemon_and_two_workers_share_the_sources_and_end_with_0(tmp_path: Path, db: Engine) -> None:
    with site(tmp_path, db, world(), FOUR) as made:
        daemon = made.start("daemon", ETL_WORKERS="queue")
        workers = [made.start("worker", ETL_WORKERS="queue") for _ in range(2)]
        names = ("ringg", "ravan", "autocalls", "vaani")
        wait_until(lambda: all(made.runs(name, kind="sync") >= 2 for name in names), 60)
        wait_until(lambda: len(made.pids()) == 2, 60)
        assert str(daemon.pid) not in made.pids()
        wait_until(lambda: made.calls() == 48)
        for process in (daemon, *workers):
            code, _, err = stop_etl(process)
            assert code == 0, err
            assert "Traceback" not in err
        assert '"event": "worker_stopped"' in err
        made.assert_exact(*names)
        assert made.scalar("SELECT count(*) FROM ops.leases WHERE owner IS NOT NULL") == 0
        assert "doing" not in dict(made.jobs()).values()


def test_two_daemons_schedule_each_tick_once(tmp_path: Path, db: Engine) -> None:
    with site(tmp_path, db, world(), table("ringg", "ringg", "every 2s")) as made:
        for words in (("daemon",), ("daemon",), ("worker",)):
            made.start(*words, ETL_WORKERS="queue")
        wait_until(lambda: made.runs("ringg", kind="sync") >= 5, 60)
        too_soon = """
            SELECT count(*) FROM (SELECT started_at - lag(started_at) OVER (ORDER BY run_id) AS after
                                    FROM ops.runs WHERE kind = 'sync' AND status = 'succeeded') runs
             WHERE after < interval '0.9 seconds'
        """
        assert made.scalar(too_soon) == 0


def test_the_work_of_a_worker_that_is_killed_goes_to_another(tmp_path: Path, db: Engine) -> None:
    with site(tmp_path, db, world(60), table("ringg", "ringg"), *SLOW) as made:
        made.submit("ringg")
        first = made.start_quick()
        wait_until(lambda: 20 <= made.calls() < 60)
        first.kill()
        first.communicate()
        second = made.start_quick()
        wait_until(lambda: made.calls() == 60 and made.jobs() == [], 60)
        made.assert_exact("ringg")
        assert made.runs("ringg", "interrupted") == 1
        assert [line["source"] for line in made.log(second) if line["event"] == "job_rescued"] == ["ringg"]


def test_a_worker_that_was_frozen_commits_nothing_when_it_wakes_and_works_on(tmp_path: Path, db: Engine) -> None:
    with site(tmp_path, db, world(60), table("ringg", "ringg") + table("autocalls", "autocalls"), *SLOW) as made:
        made.submit("ringg")
        first = made.start_quick()
        wait_until(lambda: 20 <= made.calls() < 60)
        first.send_signal(signal.SIGSTOP)
        second = made.start_quick()
        wait_until(lambda: made.runs("ringg") == 1 and made.jobs() == [], 60)
        made.assert_exact("ringg")
        before = made.scalar("SELECT CAST(sum(received) AS int) FROM ops.runs")
        first.send_signal(signal.SIGCONT)
        wait_until(lambda: [line for line in made.log(first) if line["event"] == "run_finished"])
        assert made.scalar("SELECT CAST(sum(received) AS int) FROM ops.runs") == before
        assert (made.calls(), made.runs("ringg", "failed")) == (60, 1)
        stop_etl(second)
        made.submit("autocalls")
        wait_until(lambda: made.runs("autocalls") == 1, 60)
        made.assert_exact("ringg", "autocalls")


def test_one_that_is_asked_to_stop_puts_back_what_it_has_not_done(tmp_path: Path, db: Engine) -> None:
    with site(tmp_path, db, world(60), table("ringg", "ringg"), *SLOW) as made:
        made.submit("ringg")
        first = made.start_quick()
        wait_until(lambda: 20 <= made.calls() < 60)
        assert stop_etl(first)[0] == 0
        assert made.jobs() == [("backlog", "todo")]
        assert made.runs("ringg", "interrupted") == 1
        made.start_quick()
        wait_until(lambda: made.calls() == 60 and made.jobs() == [], 60)
        made.assert_exact("ringg")


def test_what_hangs_on_a_peer_is_put_back_too(tmp_path: Path, db: Engine) -> None:
    gone, hanging = threading.Event(), threading.Event()

    def hang(count: int, request: httpx.Request) -> None:
        hanging.set()
        gone.wait(20)

    with site(tmp_path, db, world(), table("ringg", "ringg")) as made:
        made.submit("ringg")
        with working(made, hang, replace(TEMPO, grace_seconds=0.1)) as said:
            wait_until(hanging.is_set)
        assert said == [False]
        assert made.jobs() == [("backlog", "todo")]
        gone.set()


def test_a_run_that_hangs_is_left_behind_and_its_place_is_free(tmp_path: Path, db: Engine) -> None:
    gone, hanging = threading.Event(), threading.Event()

    def hang(count: int, request: httpx.Request) -> None:
        if not hanging.is_set():
            hanging.set()
            gone.wait(30)

    with site(tmp_path, db, world(), table("ringg", "ringg")) as made:
        made.submit("ringg")
        with working(made, hang, replace(TEMPO, silent_checks=3)) as said:
            wait_until(lambda: made.runs("ringg", "failed") == 1 and made.jobs() == [])
            made.submit("ringg")
            wait_until(lambda: made.runs("ringg") == 1)
            gone.set()
        made.assert_exact("ringg")
    assert said == [False]


def test_a_job_waits_once_however_often_it_is_submitted(tmp_path: Path, db: Engine) -> None:
    with site(tmp_path, db, world(), table("ringg", "ringg")) as made:
        for kind in (TaskKind.BACKLOG, TaskKind.HEAD, TaskKind.BACKLOG, TaskKind.HEAD):
            made.submit("ringg", kind=kind)
        assert made.jobs() == [("backlog", "todo"), ("head", "todo")]


def test_of_one_source_the_head_goes_first_and_one_job_at_a_time(tmp_path: Path, db: Engine) -> None:
    with site(tmp_path, db, world(), table("ringg", "ringg")) as made:
        with working(made):
            made.submit("ringg")
            wait_until(lambda: made.runs("ringg") == 1 and made.jobs() == [])
        made.submit("ringg", kind=TaskKind.VERIFY)
        made.submit("ringg", kind=TaskKind.HEAD)
        with working(made):
            wait_until(lambda: made.runs("ringg") == 3)
        order = "SELECT string_agg(kind, ' ' ORDER BY run_id) FROM ops.runs"
        assert made.scalar(order) == "backfill sync verify"
        beside = """
            SELECT count(*) FROM ops.runs a JOIN ops.runs b ON a.run_id < b.run_id AND b.started_at < a.finished_at
        """
        assert made.scalar(beside) == 0


def test_a_long_backlog_gives_way_to_its_source_s_head_and_goes_on(tmp_path: Path, db: Engine) -> None:
    with site(tmp_path, db, world(120), table("ringg", "ringg"), "G12:size=10") as made:
        made.submit("ringg")
        with working(made, lambda *_: threading.Event().wait(0.3)):
            wait_until(lambda: made.calls() >= 20)
            made.submit("ringg", kind=TaskKind.HEAD)
            wait_until(lambda: made.runs("ringg", kind="sync") == 1)
            assert made.calls() < 120
            assert made.runs("ringg", "interrupted", kind="backfill") == 1
            wait_until(lambda: made.runs("ringg", kind="backfill") >= 1)
        made.assert_exact("ringg")


def test_a_backlog_has_its_turn_before_it_lets_other_sources_in(tmp_path: Path, db: Engine) -> None:
    with site(tmp_path, db, world(), table("ringg", "ringg") + table("vaani", "vaani")) as made:
        made.submit("ringg", "vaani")
        queue, task = JobQueue(db), Task(made.sources["ringg"], TaskKind.BACKLOG)
        with db.begin() as connection:
            connection.execute(text("SET LOCAL search_path TO pg_catalog, queue"))
            connection.execute(text("UPDATE procrastinate_jobs SET status = 'doing' WHERE lock = 'ringg'"))
        assert [queue.should_give_way(task, had_turn=had_turn) for had_turn in (False, True)] == [False, True]
        with db.begin() as connection:
            connection.execute(text("UPDATE queue.procrastinate_jobs SET lock = 'ringg' WHERE lock = 'vaani'"))
        assert not queue.should_give_way(task, had_turn=True)  # that one could not run anyway
        queue.close()


def test_a_source_that_is_gone_or_another_one_by_then_loses_nothing(
    tmp_path: Path, db: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    names = [table(name, "ringg") for name in ("removed", "changed", "kept")]
    with site(tmp_path, db, world(), "".join(names)) as made:
        made.submit("removed", "changed", "kept")
        changed = replace(made.sources["changed"], base_url="http://localhost:9/ringg")
        with (
            caplog.at_level(logging.INFO, "etl.daemon"),
            working(made, sources=[changed, made.sources["kept"]]),
        ):
            wait_until(lambda: made.runs("kept") == 1 and made.jobs() == [])
        made.assert_exact("kept")
        lines = [(each.getMessage(), getattr(each, "event_fields", {})) for each in caplog.records]
        assert [about["source"] for name, about in lines if name == "job_dropped"] == ["removed"]
        errors = [about["error"] for name, about in lines if name == "run_finished" and about["source"] == "changed"]
        assert "but the database has ringg at 127.0.0.1" in errors[0]


def test_two_workers_spend_one_budget_of_requests(tmp_path: Path, db: Engine) -> None:
    """Ten at once and one a second: whatever two processes ask for, no more than that reaches the provider."""
    with site(tmp_path, db, world(200), table("vaani", "vaani", rate=60), "G12:size=5") as made:
        made.submit("vaani")
        workers = [made.start_quick() for _ in range(2)]

        def moved() -> bool:
            made.submit("vaani", kind=TaskKind.HEAD)  # the backlog gives way, and either may go on with it
            return len(made.pids()) == 2 and len(made.sandbox.requests) >= 20

        wait_until(moved, 60)
        for worker in workers:
            worker.kill()
        with db.connect() as connection:
            starts = connection.scalars(text("SELECT extract(epoch FROM min(started_at))::float FROM ops.runs"))
            passed = datetime.now(UTC).timestamp() - (starts.one() or 0)
        assert len(made.sandbox.requests) <= 10 + passed + 1


def test_a_database_that_is_gone_for_a_while_ends_no_worker(tmp_path: Path, db: Engine, database_url: str) -> None:
    with site(tmp_path, db, world(), table("ringg", "ringg")) as made:
        made.submit("ringg")
        with working(made):
            wait_until(lambda: made.runs("ringg") == 1)
            with db.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                name = connection.scalar(text("SELECT current_database()"))
                connection.execute(text(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0'))
                ended = text(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                for _ in range(10):
                    connection.execute(ended)
                    threading.Event().wait(0.2)
                connection.execute(text(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1'))
            made.submit("ringg", kind=TaskKind.HEAD)
            wait_until(lambda: made.runs("ringg", kind="sync") == 1, 60)


def test_a_heartbeat_that_fails_is_not_the_last(tmp_path: Path, db: Engine) -> None:
    beat = "queue.procrastinate_update_heartbeat_v1(bigint)"
    with site(tmp_path, db, world(), table("ringg", "ringg")) as made, working(made):
        wait_until(lambda: made.scalar("SELECT count(*) FROM queue.procrastinate_workers") == 3)
        with db.begin() as connection:
            connection.execute(text(f"ALTER FUNCTION {beat} RENAME TO away"))
        now = made.scalar("SELECT clock_timestamp()")
        wait_until(lambda: made.scalar("SELECT clock_timestamp() > :now + interval '1 second'", now=now))
        with db.begin() as connection:
            connection.execute(text("ALTER FUNCTION queue.away(bigint) RENAME TO procrastinate_update_heartbeat_v1"))
        now = made.scalar("SELECT clock_timestamp()")
        later = "SELECT count(*) FROM queue.procrastinate_workers WHERE last_heartbeat > :now"
        wait_until(lambda: made.scalar(later, now=now) == 3)


def test_a_worker_of_an_older_version_works_on_until_a_revision_excludes_it(tmp_path: Path, db: Engine) -> None:
    with site(tmp_path, db, world(), table("ringg", "ringg", "every 1m")) as made:
        with db.begin() as connection:
            connection.execute(text(AT_9999))
        made.submit("ringg")
        first = made.start("worker", ETL_WORKERS="queue")
        wait_until(lambda: made.runs("ringg") == 1)
        with db.begin() as connection:
            connection.execute(text(SINCE_9999))
        problems: list[DatabaseProblem] = []
        with working(made, problems=problems):
            wait_until(lambda: problems)
        assert "at revision 9999, which this version does not know" in str(problems[0])
        assert stop_etl(first)[0] == 0
        worker = made.start("worker", ETL_WORKERS="queue")
        _, err = worker.communicate(timeout=30)
        assert worker.returncode == 78
        assert err.count("9999") == err.count("\n") == 1


def test_without_procrastinate_one_line_says_what_to_install(tmp_path: Path) -> None:
    alone = [sys.executable, "-c", "import sys; sys.modules['procrastinate'] = None; import etl.__main__", "worker"]
    said = subprocess.run(
        alone, env=environment(tmp_path, {}), cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (said.returncode, said.stdout) == (78, "")
    assert said.stderr == "etl: a worker needs procrastinate: pip install 'callhouse[queue]'\n"


def test_sources_of_the_database_are_taken_up_by_a_daemon_and_its_workers(tmp_path: Path, db: Engine) -> None:
    with site(tmp_path, db, world(), "") as there:
        key = there.given.pop("RINGG_API_KEY")
        for name in [name for name in there.given if name.endswith(("_API_KEY", "_PHONES"))]:
            del there.given[name]
        there.given["A_KEY"] = key

        def etl(*words: str) -> None:
            done = run_etl("sources", *words, cwd=tmp_path, given=there.given)
            assert done.returncode == 0, done.stderr

        new = ("--provider", "ringg", "--key", "env:A_KEY", "--set", "requests_per_minute=6000")
        etl("add", "first", *new, "--set", "schedule=every 1s")
        daemon = there.start("daemon", ETL_WORKERS="queue")
        worker = there.start("worker", ETL_WORKERS="queue")
        wait_until(lambda: there.runs("first") >= 2, 60)
        etl("add", "second", *new, "--set", "schedule=every 1s")
        wait_until(lambda: there.runs("second") >= 2, 90)
        etl("remove", "first")
        planned = "SELECT count(*) FROM ops.sources WHERE next_run_at IS NOT NULL"
        wait_until(lambda: there.scalar(planned) == 1, 60)
        assert there.scalar("SELECT count(*) FROM warehouse.calls WHERE source = 'first'") == 12
        for process in (daemon, worker):
            status, _, said = stop_etl(process)
            assert (status, "Traceback" in said, key in said) == (0, False, False)
            assert '"event": "sources_changed"' in said
