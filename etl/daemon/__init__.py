"""The daemon: runs each source's jobs on schedule and watches over them, until it is asked to stop."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from etl import __version__
from etl.daemon import triggers
from etl.daemon.jobs import MAX_WORKERS, TaskScheduler
from etl.daemon.task_run import Task, TaskKind, TaskRun
from etl.daemon.tasks import mark_abandoned, run_task
from etl.daemon.triggers import NextRunTrigger
from etl.db.statements import Statements, execute
from etl.model import Source
from etl.ops.alerts.notifier import AlertNotifier
from etl.ops.metrics import Metrics
from etl.runtime.logs import event
from etl.runtime.secret import Secret
from etl.settings import schedule
from etl.settings.schedule import Cron, Every
from etl.state.session import IdleSessions, end_idle
from etl.sync.run import RunDependencies

log = logging.getLogger("etl.daemon")

CLOCK_TOLERANCE_SECONDS = 5.0
MAX_IDLE_SESSIONS = 4  # of the few that a server may have
STATEMENTS = Statements("schedule")


@dataclass(frozen=True, slots=True)
class Tempo:
    """How long the daemon waits for what. The defaults let it stop within ten seconds of SIGTERM, its page included."""

    grace_seconds: float = 6.0  # for running tasks to end after SIGTERM; what takes longer hangs on a peer
    watchdog_interval_seconds: float = 15.0
    silent_checks: int = 20  # five minutes: longer than any request, wait between two, or batch may take
    database_timeout_seconds: float = 30.0
    verification: Callable[[Source], Every | Cron] = triggers.nightly


class WatchdogTimeout(Exception):
    """The process cannot recover by itself: its supervisor has to restart it."""


def serve(
    deps: RunDependencies,
    stop: threading.Event,
    sources: Sequence[Source],
    metrics: Metrics | None = None,
    alert_url: Secret | None = None,
    tempo: Tempo | None = None,
) -> bool:
    """Sync every source on its schedule until ``stop`` is set; whether all runs then ended in time.

    A run that is asked to stop commits what it has. One that hangs on a peer beyond the grace period is left behind:
    its transaction and its lease end with its session. Raises :class:`WatchdogTimeout`.
    """
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    AlertNotifier(deps.db, deps.clock, sources, alert_url).start(stop)
    return _Daemon(deps, stop, sources, metrics or Metrics(), tempo or Tempo()).serve()


class _Daemon:
    def __init__(
        self, deps: RunDependencies, stop: threading.Event, sources: Sequence[Source], metrics: Metrics, tempo: Tempo
    ) -> None:
        self._stop, self._metrics, self._tempo = stop, metrics, tempo
        self._idle = IdleSessions(MAX_IDLE_SESSIONS)
        self._deps = replace(metrics.counting(deps), idle_sessions=self._idle)
        metrics.begin([source.name for source in sources])
        self._heads = [Task(source, TaskKind.HEAD) for source in sources]
        self._scheduler = TaskScheduler(self._run)
        self._running: dict[str, TaskRun] = {}
        self._abandoned: list[TaskRun] = []
        self._next_runs: dict[str, datetime] = {}

    def serve(self) -> bool:
        """Run until asked to stop; whether all runs ended."""
        self._schedule()
        self._scheduler.start()
        event(log, "daemon_started", version=__version__, sources=len(self._heads))
        try:
            self._watch()
        finally:
            self._scheduler.stop()
        all_ended = self._scheduler.is_idle_within(self._tempo.grace_seconds) and not self._abandoned
        end_idle(self._idle)
        self._store(STATEMENTS.clear_next_run, self._next_runs)
        event(log, "daemon_stopped", all_runs_ended=all_ended)
        return all_ended

    def _schedule(self) -> None:
        for task, first in self._first_runs():
            source, random = task.source, self._deps.random
            self._scheduler.add(task, NextRunTrigger(schedule.parse(source.schedule), source, first, random), first)
            verification = NextRunTrigger(self._tempo.verification(source), source, first, random)
            self._scheduler.add(Task(source, TaskKind.VERIFY), verification)

    def _first_runs(self) -> list[tuple[Task, datetime]]:
        first = triggers.staggered([task.source for task in self._heads], self._deps.clock.now())
        return list(zip(self._heads, first, strict=True))

    def _run(self, task: Task) -> bool:
        """Run a task in a thread of the executor; whether it has to be queued again."""
        if self._stop.is_set():
            return False
        task_run = self._running[task.job_id] = TaskRun(task)
        try:
            self._store_next_run(task)
            run_task(self._deps, task_run, self._scheduler, self._metrics)
            self._store_next_run(task)
        finally:
            self._forget(task_run)
        return task_run.requeue and task.kind is not TaskKind.HEAD  # the schedule brings a head run again

    def _watch(self) -> None:
        """Check the clock and the heartbeats of the runs until the end."""
        offset = self._check_clock(None)
        while not self._stop.wait(self._tempo.watchdog_interval_seconds):
            self._metrics.beat()
            offset = self._check_clock(offset)
            self._scheduler.wake_up()
            for task_run in list(self._running.values()):
                if task_run.is_silent_at_check(self._tempo.silent_checks):
                    self._abandon(task_run)

    def _check_clock(self, before: float | None) -> float:
        """Log that the wall clock was set, and put right what a wrong time has planned → its offset from monotonic."""
        now = self._deps.clock.now()
        offset = now.timestamp() - self._deps.clock.monotonic()
        if before is not None and abs(offset - before) > CLOCK_TOLERANCE_SECONDS:
            event(log, "clock_stepped", level=logging.WARNING, seconds=round(offset - before))
        for task, planned in self._scheduler.put_right(now + timedelta(seconds=CLOCK_TOLERANCE_SECONDS)):
            about = {"source": task.source.name, "task": str(task.kind), "planned": planned}
            event(log, "run_rescheduled", level=logging.WARNING, **about)
        return offset

    def _abandon(self, task_run: TaskRun) -> None:
        """Leave a run that hangs behind; where many do, or the database does, the process has to be restarted."""
        task_run.was_abandoned = True
        self._forget(task_run)
        self._abandoned.append(task_run)
        self._metrics.abandoned(task_run.task.source.name)
        self._scheduler.abandon(task_run.task)
        storing = threading.Thread(target=mark_abandoned, args=[self._deps, task_run], daemon=True)
        storing.start()
        storing.join(self._tempo.database_timeout_seconds)
        if storing.is_alive():
            raise WatchdogTimeout("the database does not respond; restart the daemon once it does")
        if len(self._abandoned) >= MAX_WORKERS[TaskKind.HEAD]:
            raise WatchdogTimeout(
                f"{len(self._abandoned)} runs hang; check the network and the database, then restart the daemon"
            )

    def _forget(self, task_run: TaskRun) -> None:
        if self._running.get(task_run.task.job_id) is task_run:
            del self._running[task_run.task.job_id]

    def _store_next_run(self, task: Task) -> None:
        name, at = task.source.name, self._scheduler.next_run_at(Task(task.source, TaskKind.HEAD))
        if at is not None and at != self._next_runs.get(name) and self._store(STATEMENTS.save_next_run, {name: at}):
            self._next_runs[name] = at

    def _store(self, statement: bytes, next_runs: Mapping[str, datetime]) -> bool:
        """Store when sources are read next; a database that is down for a while keeps no run from happening."""
        try:
            with self._deps.db.begin() as connection:
                for name, at in next_runs.items():
                    execute(connection, statement, {"source": name, "next_run_at": at})
        except SQLAlchemyError:
            log.debug("next_run_not_saved")
            return False
        return True
