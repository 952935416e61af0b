"""One task → one stored run and one log line; or none, where another process does it or has just done it."""

import logging
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from etl import pipeline
from etl.daemon import triggers
from etl.daemon.task_run import TURN_SECONDS, HeartbeatClock, Task, TaskKind, TaskRun
from etl.ops.metrics import Metrics
from etl.ops.privacy.retention import expire
from etl.reconcile import VerifyRequest, verify
from etl.runtime.clock import Stopped
from etl.runtime.logs import event
from etl.state import registry, runs
from etl.sync.run import RunDependencies, RunFunction, RunResult, SourceRun, error_message, run_source

log = logging.getLogger("etl.daemon")

ONCE_A_NIGHT = timedelta(hours=12)
RUN_KINDS = {TaskKind.HEAD: "sync", TaskKind.BACKLOG: "backfill", TaskKind.VERIFY: "verify"}


class Jobs(Protocol):
    """What a task may ask of whoever runs the tasks: the scheduler of this process, or the queue."""

    def submit(self, task: Task) -> None:
        """Run a task as soon as there is a thread for it, unless it waits already."""

    def should_give_way(self, task: Task, *, had_turn: bool) -> bool:
        """Whether others wait that go before this task, which may have had its turn."""


def run_task(deps: RunDependencies, task_run: TaskRun, jobs: Jobs, metrics: Metrics) -> None:
    """Run one task, whatever happens; the older calls that a head run leaves to read become a task of their own."""
    source, kind = task_run.task.source, task_run.task.kind
    began = deps.clock.monotonic()
    try:
        with deps.db.connect() as connection:
            if not _may_run(connection, deps, task_run.task):
                return
            was_read = kind is TaskKind.BACKLOG or not registry.was_never_read(connection, source.name)
        if not was_read:
            jobs.submit(Task(source, TaskKind.BACKLOG))
            return
        clock = HeartbeatClock(deps.clock, task_run, lambda had_turn: _should_give_way(task_run.task, jobs, had_turn))
        work = _work(deps, task_run, jobs)
        result = run_source(replace(deps, clock=clock), source, RUN_KINDS[kind], work, is_manual=False)
    except Stopped:
        task_run.was_interrupted = True
        result = _result_so_far(task_run) or RunResult(source.name, RUN_KINDS[kind], "interrupted")
    except (Exception, SystemExit) as error:  # the schedule continues whatever a run does
        result = RunResult(source.name, RUN_KINDS[kind], "failed", error=error_message(source.name, error))
    if task_run.requeue and kind is TaskKind.HEAD:
        jobs.submit(Task(source, TaskKind.BACKLOG))  # it resumes where this run was interrupted
    if not task_run.was_abandoned:
        seconds = deps.clock.monotonic() - began
        metrics.run(result, seconds)
        _log(task_run, result, seconds)


def _should_give_way(task: Task, jobs: Jobs, had_turn: bool) -> bool:
    """Verification starts over when it is interrupted: only the other kinds take turns."""
    return task.kind is not TaskKind.VERIFY and jobs.should_give_way(task, had_turn=had_turn)


def _result_so_far(task_run: TaskRun) -> RunResult | None:
    return task_run.run.result if task_run.run else None


def _work(deps: RunDependencies, task_run: TaskRun, jobs: Jobs) -> RunFunction:
    def work(run: SourceRun) -> None:
        task_run.run = run
        if not run.state.run(_may_run, deps, task_run.task, run.result.run_id):
            raise Stopped  # another process started the same task at the same moment, and its run was stored first
        if task_run.task.kind is TaskKind.BACKLOG:
            pipeline.backfill(run)
        elif task_run.task.kind is TaskKind.VERIFY:
            expire(run)
            verify(run, VerifyRequest(heal=True))
        elif pipeline.sync(run, head_only=True):
            jobs.submit(Task(run.source, TaskKind.BACKLOG))

    return work


def _may_run(connection: Connection, deps: RunDependencies, task: Task, run_id: int = 2**63 - 1) -> bool:
    """Whether the provider may be asked, and no other process (daemons may share sources) does it or just did it."""
    now, name = deps.clock.now(), task.source.name
    lately = {
        TaskKind.HEAD: triggers.interval(task.source, now) / 2,
        TaskKind.BACKLOG: timedelta(0),
        TaskKind.VERIFY: ONCE_A_NIGHT,
    }[task.kind]
    blocked_until = registry.blocked_until(connection, name, now)
    if blocked_until and blocked_until > now + timedelta(seconds=TURN_SECONDS):
        event(log, "run_postponed", source=name, until=blocked_until)
        return False
    return not runs.is_done(connection, name, RUN_KINDS[task.kind], now - lately, now, run_id)


def mark_abandoned(deps: RunDependencies, task_run: TaskRun) -> None:
    """Store and log that a run which hangs has failed."""
    source = task_run.task.source.name
    error = "the run hung and was abandoned; the next run resumes from its last commit"
    result = _result_so_far(task_run) or RunResult(source, RUN_KINDS[task_run.task.kind])
    _log(task_run, replace(result, status="failed", error=error), None)
    if task_run.run is not None:  # it may hang before it is stored
        with suppress(SQLAlchemyError), deps.db.begin() as connection:
            runs.fail(connection, task_run.run.result.run_id, error, deps.clock.now())


def _log(task_run: TaskRun, result: RunResult, seconds: float | None) -> None:
    """One line per run, always with the same keys, none of which holds personal data."""
    event(
        log,
        "run_finished",
        level=logging.ERROR if result.status == "failed" else logging.INFO,
        source=result.source,
        kind=result.kind,
        status=result.status,
        run_id=task_run.run.result.run_id if task_run.run else None,
        seconds=None if seconds is None else round(seconds, 3),
        requests=result.requests,
        **result.counts._asdict(),
        error=result.error,
    )
