"""Sources → APScheduler's jobs: each source's head, backlog and verification, in an executor for each kind."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from apscheduler.executors.base import BaseExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from etl.daemon.executor import QueueExecutor, are_idle_within
from etl.daemon.task_run import Task, TaskKind
from etl.daemon.triggers import NextRunTrigger

MAX_WORKERS = {TaskKind.HEAD: 8, TaskKind.BACKLOG: 4, TaskKind.VERIFY: 1}


class TaskScheduler:
    """APScheduler with one job per task; ``run`` runs a task and returns whether it has to be queued again."""

    def __init__(self, run: Callable[[Task], bool]) -> None:
        self._run = run
        self._executors = {kind: QueueExecutor(workers) for kind, workers in MAX_WORKERS.items()}
        self._scheduler = BackgroundScheduler(
            **scheduler_options({str(kind): executor for kind, executor in self._executors.items()})
        )

    def start(self) -> None:
        """Start the thread that submits what is due."""
        self._scheduler.start()

    def add(self, task: Task, trigger: BaseTrigger, first: datetime | None = None) -> None:
        """Run a task whenever its trigger says, first at ``first``."""
        given = {"next_run_time": first} if first else {}
        self._scheduler.add_job(self._run, trigger, args=[task], id=task.job_id, executor=str(task.kind), **given)

    def remove(self, task: Task) -> None:
        """Run a task no more; a run that is under way goes on."""
        with suppress(JobLookupError):
            self._scheduler.remove_job(task.job_id)

    def submit(self, task: Task) -> None:
        """Run a task as soon as a thread is free, unless it runs or waits already."""
        self._scheduler.add_job(self._run, args=[task], id=task.job_id, executor=str(task.kind), replace_existing=True)

    def put_right(self, now: datetime) -> list[tuple[Task, datetime]]:
        """Reschedule what is planned for later than its schedule can say: a clock was ahead → what, and for when."""
        moved = []
        for job in self._scheduler.get_jobs():
            if isinstance(job.trigger, NextRunTrigger) and job.next_run_time > job.trigger.latest(now):
                moved.append((job.args[0], job.next_run_time))
                job.modify(next_run_time=job.trigger.get_next_fire_time(None, now))
        return moved

    def next_run_at(self, task: Task) -> datetime | None:
        """When a scheduled task runs next."""
        job = self._scheduler.get_job(task.job_id)
        return job.next_run_time.astimezone(UTC) if job else None

    def should_give_way(self, task: Task, *, had_turn: bool) -> bool:
        """Whether a task has had its turn while others of its kind wait for a thread."""
        return had_turn and self._executors[task.kind].has_waiting()

    def abandon(self, task: Task) -> None:
        """Replace the thread of a task that hangs."""
        self._executors[task.kind].abandon(task.job_id)

    def wake_up(self) -> None:
        """Look at the clock again, which may have been set forward while the scheduler slept."""
        self._scheduler.wakeup()

    def stop(self) -> None:
        """Submit and start nothing more."""
        self._scheduler.shutdown(wait=False)

    def is_idle_within(self, seconds: float) -> bool:
        """Wait for the running tasks; whether all of them ended."""
        return are_idle_within(list(self._executors.values()), seconds)


def scheduler_options(executors: dict[str, BaseExecutor]) -> dict[str, Any]:
    """APScheduler's options: by default it drops a job that is a second late, and repeats each run that was missed."""
    return {
        "job_defaults": {"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        "executors": executors,
        "timezone": "UTC",
    }
