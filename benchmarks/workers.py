"""Many sources, a daemon that plans, and several workers → throughput, fairness, latency, and what a tick costs.

``python -m benchmarks.workers [--sources 1000] [--workers 1,2,4] [--every 60] [--cycles 3]`` writes its part of
docs/scaling.md; ``--kill 300`` instead kills a worker every second for so many seconds, and compares the warehouse
with what the provider lists. One source in twenty gets two new calls a second, the others get none. Providers, daemon,
workers and PostgreSQL share this machine; ``--dry`` prints and writes no page.
"""

import argparse
import hashlib
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg

from benchmarks import report
from benchmarks.environments import ROOT
from benchmarks.measure import TICK, _stat, server_seconds
from benchmarks.rounds import DATABASE, WORK
from etl import embedded, settings
from etl.daemon.job_queue import JobQueue
from etl.daemon.task_run import Task, TaskKind
from etl.db import revisions
from etl.db.connections import open_engine
from etl.model import Source
from etl.sandbox.expected import expected_rows
from etl.sandbox.socket_server import Sandbox
from etl.sandbox.vendor_api import VENDORS
from etl.sandbox.world import World
from etl.settings.source_entries import Entry
from etl.state import source_table

PAGE, COMMAND = ROOT / "docs" / "scaling.md", "python -m benchmarks.workers"
BUSY_SHARE, CALLS, PER_HOUR = 20, 20, 7_200.0  # one source in so many is busy
FIRST_SYNC_SECONDS, STATEMENT_SECONDS = 1_800, 20
# when each job was put in, taken and done
JOB_LOG = """
CREATE SCHEMA bench;
CREATE TABLE bench.jobs (
    id bigint PRIMARY KEY, kind text, source text, due timestamptz, taken timestamptz, done timestamptz);
CREATE FUNCTION bench.log_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO bench.jobs VALUES (NEW.id, NEW.queue_name, NEW.lock, clock_timestamp());
    ELSIF TG_OP = 'UPDATE' THEN
        UPDATE bench.jobs SET taken = clock_timestamp() WHERE id = NEW.id;
    ELSE
        UPDATE bench.jobs SET done = clock_timestamp() WHERE id = OLD.id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER log_job AFTER INSERT OR DELETE OR UPDATE OF status ON queue.procrastinate_jobs
    FOR EACH ROW EXECUTE FUNCTION bench.log_job()
"""
HEADS = """
SELECT count(*), coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM done - due)), 0)::float,
       coalesce(percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM done - due)), 0)::float
  FROM bench.jobs WHERE kind = 'head' AND done >= %(since)s AND done < %(until)s
"""
LONGEST_WAIT = """
SELECT coalesce(max(extract(epoch FROM after)), 0)::float
  FROM (SELECT finished_at - lag(finished_at) OVER (PARTITION BY source ORDER BY run_id) AS after
          FROM ops.runs
         WHERE kind = 'sync' AND status = 'succeeded' AND finished_at BETWEEN %(since)s AND %(until)s) waits
"""
SESSIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name ~ '^callhouse'"
)
DIGESTS = """
SELECT source, count(*), md5(string_agg(provider_call_id, ',' ORDER BY provider_call_id COLLATE "C"))
  FROM warehouse.calls GROUP BY source
"""


READ_SINCE = """
SELECT count(DISTINCT source) FROM ops.runs WHERE status = 'succeeded' AND kind = 'sync' AND started_at > %(at)s
"""
ENDS = """
SELECT count(*) FILTER (WHERE status = 'interrupted'), count(*) FILTER (WHERE status = 'failed'), count(*) FROM ops.runs
"""


class Site:
    """The providers, the database and the processes of one measurement."""

    def __init__(self, server: embedded.Server, sources: int, every: int) -> None:
        self.now, self._frozen = datetime.now(UTC), list[datetime]()
        self.quiet = World(7, calls=CALLS, days=2, now=self.now, clock=self._clock)
        self.busy = World(8, calls=CALLS, days=2, now=self.now, clock=self._clock, per_hour=PER_HOUR)
        self.served = [Sandbox(self.quiet), Sandbox(self.busy)]
        self.url, self.every = f"{server.url(DATABASE)}?sslmode=disable", every
        self.postmaster = int((server.data_dir / "postmaster.pid").read_text().split()[0])
        self.log = server.data_dir.parent / "server.log"
        self.folder = WORK / "workers"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.names = [f"account-{number:04}" for number in range(sources)]
        self.processes: list[subprocess.Popen[bytes]] = []

    def _clock(self) -> datetime:
        return self._frozen[0] if self._frozen else datetime.now(UTC)

    def freeze(self) -> None:
        """Let no more calls arrive."""
        self._frozen.append(datetime.now(UTC))

    def is_busy(self, name: str) -> bool:
        """Whether calls arrive at a source."""
        return int(name[-4:]) % BUSY_SHARE == 0

    @property
    def environment(self) -> dict[str, str]:
        """That of every process."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        given = {"BENCH_KEY": VENDORS["ringg"].key, "ETL_WORKERS": "queue", "ETL_LISTEN": "off"}
        return {**kept, **given, "DATABASE_URL": self.url, "ETL_HOME": str(self.folder)}

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start `etl WORDS`."""
        log = (self.folder / f"{words[0]}.log").open("ab")
        command = [sys.executable, "-m", "etl", *words]
        with log:
            process = subprocess.Popen(
                command, cwd=self.folder, env={**self.environment, "PYTHONPATH": str(ROOT)}, stderr=log
            )
        self.processes.append(process)
        return process

    def stop(self) -> None:
        """Stop all processes."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(30)
        self.processes.clear()

    def rows(self, query: str, **values: object) -> list[Any]:
        """The rows of a query."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            return list(connection.execute(query, values).fetchall())

    def execute(self, statement: str) -> None:
        """Run a statement."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def prepare(self) -> None:
        """A migrated database with all sources, and its log of jobs."""
        engine = open_engine(self.url)
        revisions.migrate(engine)
        self.execute(JOB_LOG)
        origins = [each.origin for each in self.served]
        entries = [
            Entry(name, {"provider": "ringg", "base_url": f"{origins[self.is_busy(name)]}/ringg",
                         "requests_per_minute": 6000, "schedule": f"every {self.every}s"}, "env:BENCH_KEY")
            for name in self.names
        ]  # fmt: skip
        given = settings.load(self.environment, self.folder)
        with engine.begin() as connection:
            source_table.save(connection, given, entries)
        with engine.connect() as connection:
            self.sources: Sequence[Source] = source_table.load(connection, given).valid().sources
        engine.dispose()

    def submit(self, kind: TaskKind) -> None:
        """Put a job of each source into the queue."""
        engine = open_engine(self.url)
        queue = JobQueue(engine)
        for source in self.sources:
            queue.submit(Task(source, kind))
        queue.close()
        engine.dispose()

    def drain(self, seconds: float) -> float:
        """Wait until the queue is empty → how long it took."""
        began = time.monotonic()
        while self.rows("SELECT FROM queue.procrastinate_jobs LIMIT 1"):
            if time.monotonic() - began > seconds:
                raise TimeoutError(f"jobs still wait after {seconds:.0f} s; see {self.folder}")
            time.sleep(0.1)
        return time.monotonic() - began

    def client_seconds(self) -> float:
        """The processor time of all processes so far."""
        return sum(int(spent) for process in self.processes for spent in _stat(process.pid)[11:13]) / TICK

    def calls(self) -> int:
        """How many calls are stored."""
        return int(self.rows("SELECT count(*) FROM warehouse.calls")[0][0])


@contextmanager
def site(sources: int, every: int) -> Iterator[Site]:
    """A new database with so many sources, and what they list."""
    WORK.mkdir(exist_ok=True)
    home = WORK / "postgres"
    server = embedded.start(home, {"max_connections": "400"})
    embedded.drop_database(server, DATABASE)
    embedded.ensure_database(server, DATABASE)
    made = Site(server, sources, every)
    try:
        with made.served[0], made.served[1]:
            made.prepare()
            try:
                yield made
            finally:
                made.stop()
    finally:
        embedded.stop(home)


class Peak:
    """The most sessions that there are at once while it runs."""

    def __init__(self, made: Site) -> None:
        self._made, self._over, self.most = made, threading.Event(), 0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        with psycopg.connect(self._made.url, autocommit=True) as connection:
            while not self._over.wait(0.5):
                row = connection.execute(SESSIONS).fetchone()
                self.most = max(self.most, row[0] if row else 0)


def saturated(made: Site, cycles: int) -> tuple[str, str]:
    """All sources due at once, several times → jobs and calls a second."""
    seconds, calls = 0.0, made.calls()
    for _ in range(cycles):
        began = time.monotonic()
        made.submit(TaskKind.HEAD)
        seconds += made.drain(FIRST_SYNC_SECONDS)
        time.sleep(max(0.0, made.every / 2 + 1 - (time.monotonic() - began)))  # what was just read is not read again
    return f"{cycles * len(made.names) / seconds:.0f}", f"{(made.calls() - calls) / seconds:.0f}"


def steady(made: Site, cycles: int) -> list[str]:
    """A daemon with its schedule → wait in cycles, due to done, cost of a tick, statements, connections, load."""
    made.start("daemon")
    time.sleep(made.every * 1.2)  # the first runs are staggered
    since, client, database = datetime.now(UTC), made.client_seconds(), server_seconds(made.postmaster)
    with Peak(made) as peak:
        time.sleep(cycles * made.every)
    until = datetime.now(UTC)
    client, database = made.client_seconds() - client, server_seconds(made.postmaster) - database
    (jobs, median, high), *_ = made.rows(HEADS, since=since, until=until)
    ((longest,),) = made.rows(LONGEST_WAIT, since=since, until=until)
    return [
        f"{longest / made.every:.2f}",
        f"{median:.2f} / {high:.2f}",
        f"{client / max(jobs, 1) * 1000:.1f}",
        f"{database / max(jobs, 1) * 1000:.1f}",
        statements(made),
        str(peak.most),
        f"{database / (until - since).total_seconds() * 100:.0f} %",
    ]


def statements(made: Site) -> str:
    """The statements of a tick, those of its job in the queue included, and the polls of all workers in a second."""
    made.execute("ALTER SYSTEM SET log_statement = 'all'")
    made.execute("SELECT pg_reload_conf()")
    begins, since = made.log.stat().st_size, datetime.now(UTC)
    time.sleep(STATEMENT_SECONDS)
    until = datetime.now(UTC)
    with made.log.open("rb") as log:
        log.seek(begins)
        lines = log.read().splitlines()
    made.execute("ALTER SYSTEM RESET log_statement")
    made.execute("SELECT pg_reload_conf()")
    ((jobs, *_),) = made.rows(HEADS, since=since, until=until)
    sent = sum(b"LOG:  statement:" in line or b"LOG:  execute " in line for line in lines)
    polls = max(sum(b"FROM procrastinate_fetch_job" in line for line in lines) - jobs, 0)
    return f"{(sent - polls) / max(jobs, 1):.0f} and {polls / STATEMENT_SECONDS:.0f} polls/s"


def measured(sources: int, every: int, cycles: int, counts: Sequence[int]) -> list[str]:
    """The table, and what it says of."""
    lines = [
        f"By `{COMMAND} --sources {sources} --every {every} --cycles {cycles}` on {os.cpu_count()} cores that "
        f"providers, daemon, workers and PostgreSQL share: {sources:,} sources every {every} s, of which one in "
        f"{BUSY_SHARE} gets two new calls a second. Jobs and calls a second with all sources due at once; the rest "
        "with the daemon's schedule. Client is workers and daemon; idle polls are in the milliseconds.",
        "",
        "| workers | jobs/s | calls/s | longest wait, in intervals | due to done, p50 / p99 s | client ms a tick |"
        " database ms a tick | statements a tick | connections | PostgreSQL, of one core |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    with site(sources, every) as made:
        for index, count in enumerate(counts):
            for _ in range(count):
                made.start("worker")
            while made.rows("SELECT count(*) FROM queue.procrastinate_workers")[0][0] < count * len(TaskKind):
                time.sleep(0.1)
            if not index:
                made.submit(TaskKind.BACKLOG)
                made.drain(FIRST_SYNC_SECONDS)
            cells = [str(count), *saturated(made, cycles), *steady(made, cycles)]
            lines.append(f"| {' | '.join(cells)} |")
            sys.stdout.write(f"{lines[-1]}\n")
            sys.stdout.flush()
            made.stop()
            made.execute("TRUNCATE queue.procrastinate_jobs, queue.procrastinate_workers CASCADE")
    return [*lines, ""]


def killed(sources: int, every: int, seconds: int) -> list[str]:
    """A worker that is killed every second → what the warehouse then has."""
    draw, deaths = random.Random(1), 0  # noqa: S311 - no secret
    with site(sources, every) as made:
        made.start("daemon")
        workers = [made.start("worker") for _ in range(4)]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(1)
            victim = workers.pop(draw.randrange(len(workers)))
            victim.kill()
            victim.wait()
            made.processes.remove(victim)
            deaths += 1
            workers.append(made.start("worker"))
        made.freeze()
        frozen = datetime.now(UTC)
        while made.rows(READ_SINCE, at=frozen)[0][0] < sources:
            time.sleep(1)
            if (datetime.now(UTC) - frozen).total_seconds() > FIRST_SYNC_SECONDS:
                raise TimeoutError(f"some sources were not read again; see {made.folder}")
        return _outcome(made, deaths, seconds)


def _outcome(made: Site, deaths: int, seconds: int) -> list[str]:
    made.stop()
    expected = {}
    for is_busy, world in enumerate((made.quiet, made.busy)):
        ids = sorted(str(row["provider_call_id"]) for row in expected_rows(world, "ringg"))
        expected[bool(is_busy)] = (len(ids), _digest(ids))
    stored = {name: (count, digest) for name, count, digest in made.rows(DIGESTS)}
    wrong = [name for name in made.names if stored.get(name) != expected[made.is_busy(name)]]
    ((interrupted, failed, total),) = made.rows(ENDS)
    done = f"{len(made.names) - len(wrong):,} of {len(made.names):,} sources have exactly the calls that are listed"
    return [
        f"By `{COMMAND} --kill {seconds} --sources {len(made.names)} --every {made.every}`: one of four workers killed "
        f"with SIGKILL every second, {deaths} in all; of {total:,} runs {interrupted:,} were cut off and {failed:,} "
        f"failed. In the end {done}"
        f"{': ' + ', '.join(wrong[:5]) + ' differ' if wrong else ''}.",
        "",
    ]


def _digest(ids: Sequence[str]) -> str:
    return hashlib.md5(",".join(ids).encode(), usedforsecurity=False).hexdigest()


def main() -> None:
    """The table, on the terminal and in the page."""
    parse = argparse.ArgumentParser()
    parse.add_argument("--sources", type=int, default=1_000)
    parse.add_argument("--workers", default="1,2,4")
    parse.add_argument("--every", type=int, default=60)
    parse.add_argument("--cycles", type=int, default=3)
    parse.add_argument("--kill", type=int, default=0, help="kill a worker every second for so many seconds, instead")
    parse.add_argument("--dry", action="store_true")
    given = parse.parse_args()
    if given.kill:
        lines, part = killed(given.sources, given.every, given.kill), f"{COMMAND} --kill"
    else:
        lines = measured(given.sources, given.every, given.cycles, [int(each) for each in given.workers.split(",")])
        part = COMMAND
    sys.stdout.write("\n".join(lines))
    if not given.dry:
        report.put(PAGE, part, lines)


if __name__ == "__main__":
    main()
