"""The daemon: runs each source's jobs on schedule, or has workers run them, until it is asked to stop."""

import logging
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from etl import __version__
from etl.daemon import triggers
from etl.daemon.job_queue import JobQueue
from etl.daemon.jobs import TaskScheduler
from etl.daemon.task_run import Task, TaskKind
from etl.daemon.task_runner import TaskRunner, Tempo, WatchdogTimeout
from etl.daemon.triggers import NextRunTrigger
from etl.db.engine import describe
from etl.db.statements import Statements, execute
from etl.model import Source
from etl.ops.alerts.notifier import AlertNotifier
from etl.ops.metrics import Metrics
from etl.runtime.logs import event
from etl.runtime.secret import Secret
from etl.settings import schedule
from etl.state import registry
from etl.state.registry import SourceMismatch
from etl.sync.run import RunDependencies

__all__ = ["Tempo", "WatchdogTimeout", "serve"]

log = logging.getLogger("etl.daemon")

CLOCK_TOLERANCE_SECONDS = 5.0
STATEMENTS = Statements("schedule")


def serve(
    deps: RunDependencies,
    stop: threading.Event,
    sources: Sequence[Source],
    metrics: Metrics | None = None,
    alert_url: Secret | None = None,
    tempo: Tempo | None = None,
    queue: JobQueue | None = None,
) -> bool:
    """Sync every source on its schedule until ``stop`` is set; whether all runs then ended in time.

    A run that is asked to stop commits what it has. One that hangs on a peer beyond the grace period is left behind:
    its transaction and its lease end with its session. With a ``queue`` workers run what this process schedules.
    Raises :class:`WatchdogTimeout`.
    """
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    AlertNotifier(deps.db, deps.clock, sources, alert_url).start(stop)
    tempo = tempo or Tempo()
    runner = TaskRunner(deps, sources, metrics or Metrics(), tempo)
    return _Daemon(deps, stop, sources, runner, tempo, queue).serve()


class _Daemon:
    def __init__(
        self,
        deps: RunDependencies,
        stop: threading.Event,
        sources: Sequence[Source],
        runner: TaskRunner,
        tempo: Tempo,
        queue: JobQueue | None,
    ) -> None:
        self._deps, self._stop, self._runner, self._tempo, self._queue = deps, stop, runner, tempo, queue
        self._sources, self._scheduled = sources, dict[str, Source]()
        self._scheduler = TaskScheduler(self._run)
        self._next_runs: dict[str, datetime] = {}

    def serve(self) -> bool:
        """Run until asked to stop; whether all runs ended."""
        self._schedule(list(self._sources), self._deps.clock.now())
        self._scheduler.start()
        event(log, "daemon_started", version=__version__, sources=len(self._scheduled))
        try:
            self._watch()
        finally:
            self._scheduler.stop()
        all_ended = self._scheduler.is_idle_within(self._tempo.grace_seconds) and not self._runner.abandoned
        self._runner.end()
        self._store(STATEMENTS.clear_next_run, self._next_runs)
        event(log, "daemon_stopped", all_runs_ended=all_ended)
        return all_ended

    def _schedule(self, sources: list[Source], start: datetime) -> None:
        self._runner.begin(sources)
        random = self._deps.random
        for source, first in zip(sources, triggers.staggered(sources, start), strict=True):
            head = NextRunTrigger(schedule.parse(source.schedule), source, first, random)
            self._scheduler.add(Task(source, TaskKind.HEAD), head, first)
            verification = NextRunTrigger(self._tempo.verification(source), source, first, random)
            self._scheduler.add(Task(source, TaskKind.VERIFY), verification)
            self._scheduled[source.name] = source

    def _take_up_changes(self) -> None:
        """Schedule sources as they are configured now: those that are gone no more, those that changed anew."""
        configured = {source.name: source for source in self._sources}
        for name, source in list(self._scheduled.items()):
            if configured.get(name) != source:
                self._unschedule(source)
        new = [
            source for name, source in configured.items() if name not in self._scheduled and self._is_registered(source)
        ]
        self._schedule(new, self._deps.clock.now() + timedelta(seconds=self._tempo.new_after_seconds))

    def _unschedule(self, source: Source) -> None:
        del self._scheduled[source.name]
        for kind in TaskKind:
            self._scheduler.remove(Task(source, kind))
        if at := self._next_runs.pop(source.name, None):
            self._store(STATEMENTS.clear_next_run, {source.name: at})

    def _is_registered(self, source: Source) -> bool:
        try:
            with self._deps.db.begin() as connection:
                registry.register(connection, source, self._deps.clock.now())
        except (SQLAlchemyError, SourceMismatch) as error:
            problem = describe(error) if isinstance(error, SQLAlchemyError) else str(error)
            event(log, "source_invalid", level=logging.ERROR, problem=problem)
            return False
        return True

    def _run(self, task: Task) -> bool:
        """Run a task in a thread of the executor, or have it run; whether it has to be queued again."""
        if self._stop.is_set() or self._scheduled.get(task.source.name) != task.source:
            return False
        if self._queue is not None:
            self._submit(self._queue, task)
            return False
        self._store_next_run(task)
        task_run = self._runner.run(task, self._scheduler)
        self._store_next_run(task)
        return task_run.requeue and task.kind is not TaskKind.HEAD  # the schedule brings a head run again

    def _submit(self, queue: JobQueue, task: Task) -> None:
        at = self._scheduler.next_run_at(Task(task.source, TaskKind.HEAD))
        try:
            queue.submit(task, at)
            if at is not None:
                self._next_runs[task.source.name] = at
        except SQLAlchemyError as error:  # the next tick tries again
            about = {"source": task.source.name, "kind": str(task.kind), "error": describe(error)}
            event(log, "job_not_queued", level=logging.WARNING, **about)

    def _watch(self) -> None:
        """Check the clock and the heartbeats of the runs until the end."""
        offset = self._check_clock(None)
        while not self._stop.wait(self._tempo.watchdog_interval_seconds):
            offset = self._check_clock(offset)
            self._scheduler.wake_up()
            self._runner.check(self._scheduler.abandon)
            self._take_up_changes()

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
