"""Tasks → runs in the threads of a process, and the watchdog that leaves behind those that hang."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from etl.daemon import triggers
from etl.daemon.jobs import MAX_WORKERS
from etl.daemon.task_run import Task, TaskKind, TaskRun
from etl.daemon.tasks import Jobs, mark_abandoned, run_task
from etl.model import Source
from etl.ops.metrics import Metrics
from etl.settings.schedule import Cron, Every
from etl.state.live_sources import REFRESH_SECONDS
from etl.state.session import IdleSessions, end_idle
from etl.sync.run import RunDependencies

MAX_IDLE_SESSIONS = 4  # of the few that a server may have


@dataclass(frozen=True, slots=True)
class Tempo:
    """How long a process waits for what. The defaults let it stop within ten seconds of SIGTERM, its page included."""

    grace_seconds: float = 6.0  # for running tasks to end after SIGTERM; what takes longer hangs on a peer
    watchdog_interval_seconds: float = 15.0
    silent_checks: int = 20  # five minutes: longer than any request, wait between two, or batch may take
    database_timeout_seconds: float = 30.0
    verification: Callable[[Source], Every | Cron] = triggers.nightly
    new_after_seconds: float = 2 * REFRESH_SECONDS  # a new source is first read: by then all workers know it
    poll_seconds: float = 0.5  # a worker asks for jobs so often
    heartbeat_seconds: float = 10.0  # a worker shows so often that it is alive
    stalled_seconds: float = 30.0  # a worker that has not shown it for so long has lost its jobs


class WatchdogTimeout(Exception):
    """The process cannot recover by itself: its supervisor has to restart it."""


class TaskRunner:
    """Runs tasks, each in the thread that asks for it, and knows which of them hang."""

    def __init__(self, deps: RunDependencies, sources: Sequence[Source], metrics: Metrics, tempo: Tempo) -> None:
        self._sources, self._metrics, self._tempo = sources, metrics, tempo
        self._idle = IdleSessions(MAX_IDLE_SESSIONS)
        self._deps = replace(metrics.counting(deps), idle_sessions=self._idle)
        self._running: dict[str, TaskRun] = {}
        self.abandoned: list[TaskRun] = []

    def run(self, task: Task, jobs: Jobs) -> TaskRun:
        """Run a task → whether it has more to do."""
        task_run = self._running[task.job_id] = TaskRun(task)
        try:
            run_task(self._deps, task_run, jobs, self._metrics)
        finally:
            self._forget(task_run)
        return task_run

    def begin(self, sources: Sequence[Source]) -> None:
        """Count the runs of these sources from now on."""
        self._metrics.begin([source.name for source in sources])

    def check(self, abandon: Callable[[Task], None]) -> None:
        """Check the heartbeats of the runs, and leave those behind that hang; raises :class:`WatchdogTimeout`.

        A run whose source is not configured so any more ends at its next wait.
        """
        self._metrics.beat()
        configured = {source.name: source for source in self._sources}
        for task_run in list(self._running.values()):
            task_run.is_outdated = configured.get(task_run.task.source.name) != task_run.task.source
            if task_run.is_silent_at_check(self._tempo.silent_checks):
                self._abandon(task_run, abandon)

    def end(self) -> None:
        """End the sessions that later runs would have used."""
        end_idle(self._idle)

    def _abandon(self, task_run: TaskRun, abandon: Callable[[Task], None]) -> None:
        """Leave a run that hangs behind; where many do, or the database does, the process has to be restarted."""
        task_run.was_abandoned = True
        self._forget(task_run)
        self.abandoned.append(task_run)
        self._metrics.abandoned(task_run.task.source.name)
        abandon(task_run.task)
        storing = threading.Thread(target=mark_abandoned, args=[self._deps, task_run], daemon=True)
        storing.start()
        storing.join(self._tempo.database_timeout_seconds)
        if storing.is_alive():
            raise WatchdogTimeout("the database does not respond; restart the daemon once it does")
        if len(self.abandoned) >= MAX_WORKERS[TaskKind.HEAD]:
            raise WatchdogTimeout(
                f"{len(self.abandoned)} runs hang; check the network and the database, then restart the daemon"
            )

    def _forget(self, task_run: TaskRun) -> None:
        if self._running.get(task_run.task.job_id) is task_run:
            del self._running[task_run.task.job_id]
