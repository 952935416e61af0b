"""A daemon with nothing new → what one tick of a source costs, here and in the database, and its statements.

``python -m benchmarks.ticks [TICKS]``, 60 of each source where no number is named: five minutes of a daemon's life
each, in a process that is warm. Lookbacks come every hour: they are in the mean, and not in the medians.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from statistics import median

import psycopg
from sqlalchemy import Engine

from benchmarks import history, report
from benchmarks.environments import ROOT
from benchmarks.measure import server_seconds
from benchmarks.rounds import Bench, Simulator, bench
from benchmarks.stages import Spent, sources
from etl import pipeline
from etl.cli.app import tune_gc
from etl.daemon.task_run import Task, TaskKind, TaskRun
from etl.daemon.task_runner import MAX_IDLE_SESSIONS
from etl.daemon.tasks import run_task
from etl.db.connections import open_engine
from etl.model import Source
from etl.ops.metrics import Metrics
from etl.runtime.clock import SystemClock
from etl.state.session import IdleSessions
from etl.sync.run import RunDependencies, run_source

CALLS, WARM = 2_000, 5
EVERY = timedelta(minutes=5)


class SkippingClock(SystemClock):
    """The system's clock, moved to ten minutes after the simulator's newest call, and on by each tick."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = history.END + timedelta(minutes=10) - super().now()

    def now(self) -> datetime:
        """The wall clock: aware, UTC."""
        return super().now() + self.ahead


class NoJobs:
    """No other task waits."""

    def submit(self, task: Task) -> None:
        """There is no history left to read."""

    def should_give_way(self, task: Task, *, had_turn: bool) -> bool:
        """Nothing waits."""
        return False


class Daemon:
    """What the daemon does with one source, tick by tick."""

    def __init__(self, engine: Engine, clock: SkippingClock, source: Source) -> None:
        self._clock, self._source, self._metrics = clock, source, Metrics()
        self._metrics.begin([source.name])
        idle = IdleSessions(MAX_IDLE_SESSIONS)
        self._deps = self._metrics.counting(RunDependencies(engine, clock, idle_sessions=idle))

    def tick(self, times: int) -> list[Spent]:
        """So many ticks, each an interval after the one before → what each cost."""
        spent = []
        for _ in range(times):
            self._clock.ahead += EVERY
            wall, cpu = time.perf_counter(), time.process_time()
            task_run = TaskRun(Task(self._source, TaskKind.HEAD))
            run_task(self._deps, task_run, NoJobs(), self._metrics)
            if task_run.run is None or task_run.run.result.status != "succeeded":
                raise RuntimeError(f"{self._source.name} was not read: {task_run.run and task_run.run.result.error}")
            spent.append(Spent(time.perf_counter() - wall, time.process_time() - cpu))
        return spent


def measured(measuring: Bench, clock: SkippingClock, source: Source, ticks: int) -> str:
    """One line of the table."""
    with _engine(measuring) as engine, psycopg.connect(measuring.url, autocommit=True) as connection:
        run_source(RunDependencies(engine, clock), source, "sync", pipeline.sync, is_manual=True)
        connection.execute("ALTER DATABASE bench SET log_statement = 'all'")
    with _engine(measuring) as engine, psycopg.connect(measuring.url, autocommit=True) as connection:
        daemon = Daemon(engine, clock, source)
        daemon.tick(WARM)
        begins = measuring.log.stat().st_size
        daemon.tick(WARM)
        with measuring.log.open("rb") as log:
            log.seek(begins)
            statements = sum(b"LOG:  statement:" in line or b"LOG:  execute " in line for line in log)
        connection.execute("ALTER DATABASE bench RESET log_statement")
    with _engine(measuring) as engine:
        daemon = Daemon(engine, clock, source)
        daemon.tick(WARM)
        before = server_seconds(measuring.postmaster)
        spent = daemon.tick(ticks)
        database = (server_seconds(measuring.postmaster) - before) / ticks
    client, wall = median(each.cpu for each in spent), median(each.wall for each in spent)
    shown = " | ".join(f"{seconds * 1000:.1f}" for seconds in (client, database, wall))
    return f"| {source.name} | {shown} | {statements / WARM:.0f} |"


@contextmanager
def _engine(measuring: Bench) -> Iterator[Engine]:
    engine = open_engine(measuring.url)
    try:
        yield engine
    finally:
        engine.dispose()


def table(measuring: Bench, simulator: Simulator, ticks: int) -> list[str]:
    """All sources, as a table in Markdown."""
    measuring.renew(migrated=True)
    clock = SkippingClock()
    lines = [measured(measuring, clock, source, ticks) for source in sources(simulator)]
    return [
        f"By `python -m benchmarks.ticks {ticks}`, on a database with {CALLS:,} calls a provider: medians, and the mean"
        " of the database's processor time.",
        "",
        "| source | client ms | database ms | wall ms | statements |",
        "|---|--:|--:|--:|--:|",
        *lines,
        "",
    ]


def main() -> None:
    """The table, on the terminal and in the page."""
    ticks = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    tune_gc()  # as `etl` does
    with bench(CALLS) as (measuring, simulator):
        lines = table(measuring, simulator, ticks)
    sys.stdout.write("\n".join(lines))
    report.put(ROOT / "docs" / "benchmarks.md", "python -m benchmarks.ticks", lines)


if __name__ == "__main__":
    main()
