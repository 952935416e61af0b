"""When each source is read: a timetable, a crew that does the work, and a watch over both, until asked to end."""

import logging
import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from etl.daemon import tasks, triggers
from etl.daemon.workers import Task, TaskKind, TaskRun, WorkerPool
from etl.model import Source
from etl.ops.alerts.notifier import AlertNotifier
from etl.ops.metrics import Metrics
from etl.runtime.logs import event
from etl.runtime.secret import Secret
from etl.settings import schedule
from etl.sync.run import RunDependencies

log = logging.getLogger("etl.daemon")

MAX_WORKERS = {TaskKind.HEAD: 8, TaskKind.BACKLOG: 4, TaskKind.VERIFY: 1}
GRACE_SECONDS = (
    6.0  # what runs longer after SIGTERM hangs on a peer; the page ends after it, and all within ten seconds
)
WATCHDOG_INTERVAL_SECONDS = 15.0
SILENT_CHECKS = 20  # five minutes: longer than any request, wait between two, or batch may take
STEPPED_BACK = timedelta(seconds=60)
STATE_TIMEOUT_SECONDS = 30.0
NOTE_NEXT = text("UPDATE ops.sources SET next_run_at = :next WHERE source = :source")
# Another daemon may have planned a later run meanwhile.
FORGET_NEXT = text("UPDATE ops.sources SET next_run_at = NULL WHERE source = :source AND next_run_at = :next")


class WatchdogTimeout(Exception):
    """The process cannot go on by itself: its supervisor has to start it anew."""


def serve(
    deps: RunDependencies,
    stop: threading.Event,
    sources: Sequence[Source],
    metrics: Metrics | None = None,
    alert_url: Secret | None = None,
) -> bool:
    """Read every source now and then as its schedule says, until ``stop`` is set; whether all runs then ended.

    ``meters`` count what it does, for whoever serves them; alerts are posted to ``alert_url``.

    A run that is asked to end writes what it has. One that hangs on a peer beyond the grace is left behind: its
    transaction and its lease end with its session. Raises :class:`WatchdogTimeout`.
    """
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    AlertNotifier(deps.db, deps.clock, sources, alert_url).start(stop)
    return _Daemon(deps, stop, sources, metrics or Metrics()).serve()


class _Daemon:
    def __init__(
        self, deps: RunDependencies, stop: threading.Event, sources: Sequence[Source], metrics: Metrics
    ) -> None:
        self._means, self._stop, self._meters = metrics.watched(deps), stop, metrics
        self._sources = {source.name: source for source in sources}
        self._crew = WorkerPool(MAX_WORKERS, self._perform)
        self._scheduler = BackgroundScheduler(**scheduler_options())
        self._noted: dict[str, datetime | None] = {}
        self._gone: list[TaskRun] = []

    def serve(self) -> bool:
        """The daemon's whole life."""
        self._plan()
        self._scheduler.start()
        event(log, "daemon_started", sources=len(self._sources))
        try:
            self._watch()
        finally:
            self._scheduler.shutdown(wait=False)
        all_ended = self._crew.ended_within(GRACE_SECONDS) and not self._gone
        self._note(FORGET_NEXT, self._noted.items())
        event(log, "daemon_stopped", all_runs_ended=all_ended)
        return all_ended

    def _plan(self) -> None:
        """One job per source and kind of work; a job only puts a task before the crew."""
        sources = list(self._sources.values())
        for source, first in zip(sources, triggers.staggered(sources, self._means.clock.now()), strict=True):
            times = triggers.NextRunTrigger(schedule.parse(source.schedule), source, first, self._means.random)
            task = Task(source, TaskKind.HEAD)
            self._scheduler.add_job(self._crew.submit, times, args=[task], id=source.name, next_run_time=first)
            night = triggers.NextRunTrigger(triggers.nightly(source), source, first, self._means.random)
            self._scheduler.add_job(self._crew.submit, night, args=[Task(source, TaskKind.VERIFY)])

    def _perform(self, stint: TaskRun) -> None:
        if self._stop.is_set():
            return
        self._note_next(stint.task.source.name)
        tasks.run_task(self._means, stint, self._crew, self._meters)
        self._note_next(stint.task.source.name)

    def _watch(self) -> None:
        """Look at the clock and at the runs until the end."""
        latest = self._means.clock.now()
        while not self._stop.wait(WATCHDOG_INTERVAL_SECONDS):
            self._meters.look()
            now = self._means.clock.now()
            if now < latest - STEPPED_BACK:
                event(log, "clock_set_back", level=logging.WARNING, seconds=(latest - now).total_seconds())
                self._plan_anew(now)
                latest = now
            latest = max(latest, now)
            self._scheduler.wakeup()  # it may have slept through a step forward, and would wait for what is past
            for stint in self._crew.at_work():
                if stint.is_silent(SILENT_CHECKS):
                    self._give_up(stint)

    def _plan_anew(self, now: datetime) -> None:
        """A clock that was set back would leave the scheduler asleep until it catches up: read once, and go on."""
        times = triggers.staggered(list(self._sources.values()), now)
        for name, first in zip(self._sources, times, strict=True):
            self._scheduler.modify_job(name, next_run_time=first)

    def _give_up(self, stint: TaskRun) -> None:
        """Leave a run that hangs behind; where many do, or the database as well, the process is at its end."""
        self._crew.abandon(stint)
        self._gone.append(stint)
        self._meters.abandoned(stint.task.source.name)
        entered: list[bool] = []
        entering = threading.Thread(target=lambda: entered.append(tasks.abandon(self._means, stint)), daemon=True)
        entering.start()
        entering.join(STATE_TIMEOUT_SECONDS)
        if not entered:
            raise WatchdogTimeout("the database gives no answer; start the daemon again once it does")
        if len(self._gone) >= MAX_WORKERS[TaskKind.HEAD]:
            raise WatchdogTimeout(
                f"{len(self._gone)} runs hang; look at the network and the database, and start the daemon again"
            )

    def _note_next(self, name: str) -> None:
        job = self._scheduler.get_job(name)
        if job is not None:
            self._noted[name] = job.next_run_time.astimezone(UTC)
            self._note(NOTE_NEXT, [(name, self._noted[name])])

    def _note(self, statement: object, nexts: Iterable[tuple[str, datetime | None]]) -> None:
        """Enter the next runs into the books; a database that is away for a while does not keep them from happening."""
        rows = [{"source": name, "next": at} for name, at in nexts]
        try:
            if rows:
                with self._means.db.begin() as connection:
                    connection.execute(statement, rows)  # type: ignore[call-overload]
        except SQLAlchemyError:
            log.debug("next_run_not_saved")


def scheduler_options() -> dict[str, Any]:
    """How the scheduler is to behave: its defaults lose what comes a second late, and repeat what was missed."""
    return {
        "job_defaults": {"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        "executors": {"default": DebugExecutor()},  # its own thread: a job only puts a task before the crew
        "timezone": "UTC",
    }
