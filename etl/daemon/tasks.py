"""One task → one run of the books and one line of the log; or none, where another process does it, or has just done."""

import logging
from dataclasses import replace
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from etl import pipeline
from etl.daemon import triggers
from etl.daemon.workers import TURN_SECONDS, HeartbeatClock, Task, TaskKind, TaskRun, WorkerPool
from etl.model import Source
from etl.ops.metrics import Metrics
from etl.reconcile import VerifyRequest, verify
from etl.runtime.clock import Stopped
from etl.runtime.logs import event
from etl.state import registry, runs
from etl.state.registry import SourceMismatch
from etl.sync.parallel import failed
from etl.sync.run import RunDependencies, RunFunction, RunResult, SourceRun, run_source

log = logging.getLogger("etl.daemon")

ONCE_A_NIGHT = timedelta(hours=12)
IN_THE_BOOKS = {TaskKind.HEAD: "sync", TaskKind.BACKLOG: "backfill", TaskKind.VERIFY: "verify"}


def run_task(deps: RunDependencies, stint: TaskRun, crew: WorkerPool, metrics: Metrics) -> None:
    """Do one stint, whatever comes; what of it is left for another kind of work is put before the crew."""
    source, kind = stint.task.source, stint.task.kind
    began = deps.clock.monotonic()
    try:
        if not _is_ours(deps, stint.task):
            return
        if kind is not TaskKind.BACKLOG and _was_never_read(deps, source):
            crew.submit(Task(source, TaskKind.BACKLOG))
            return
        # a proof that is cut short begins anew: only the other kinds take turns
        felt = HeartbeatClock(deps.clock, stint, lambda: kind is not TaskKind.VERIFY and crew.is_waited_for(kind))
        report = run_source(
            replace(deps, clock=felt),
            source,
            IN_THE_BOOKS[kind],
            _work(deps, stint, crew),
            lambda progress: None,
            by_hand=False,
        )
    except Stopped:
        report = stint.run.recorder.result if stint.run else RunResult(source.name, IN_THE_BOOKS[kind], "interrupted")
    except SourceMismatch as error:
        report = RunResult(source.name, IN_THE_BOOKS[kind], status="failed", error=str(error))
    except (Exception, SystemExit) as error:  # the schedule goes on whatever a run does
        report = failed(source, IN_THE_BOOKS[kind], error)
    if stint.requeue and kind is TaskKind.HEAD:
        crew.submit(Task(source, TaskKind.BACKLOG))  # it goes on where this was cut short
    if not stint.was_abandoned:
        seconds = deps.clock.monotonic() - began
        metrics.run(report, seconds)
        _log(stint, report, seconds)


def _work(deps: RunDependencies, stint: TaskRun, crew: WorkerPool) -> RunFunction:
    def work(run: SourceRun) -> None:
        stint.run = run
        if not _is_ours(deps, stint.task, run.recorder.run_id):
            raise Stopped  # another process was at it in the same moment, and its run was entered first
        if stint.task.kind is TaskKind.BACKLOG:
            pipeline.sync_backlog(run)
        elif stint.task.kind is TaskKind.VERIFY:
            verify(run, VerifyRequest(heal=True))
        elif pipeline.sync_head(run):
            crew.submit(Task(run.source, TaskKind.BACKLOG))

    return work


def _is_ours(deps: RunDependencies, task: Task, run_id: int = 2**63 - 1) -> bool:
    """Whether no other process is at it or has just done it, as two daemons share the sources, and it may be asked."""
    now, name = deps.clock.now(), task.source.name
    lately = {
        TaskKind.HEAD: triggers.interval(task.source, now) / 2,
        TaskKind.BACKLOG: timedelta(0),
        TaskKind.VERIFY: ONCE_A_NIGHT,
    }[task.kind]
    with deps.db.connect() as connection:
        held_until = registry.blocked_until(connection, name, now)
        if held_until and held_until > now + timedelta(seconds=TURN_SECONDS):
            event(log, "run_postponed", source=name, until=held_until)
            return False
        return not runs.is_done(connection, name, IN_THE_BOOKS[task.kind], now - lately, now, run_id)


def _was_never_read(deps: RunDependencies, source: Source) -> bool:
    with deps.db.connect() as connection:
        return registry.was_never_read(connection, source.name)


def abandon(deps: RunDependencies, stint: TaskRun) -> bool:
    """Enter a run that hangs into the books as failed; ``False`` where the database does not take it."""
    source = stint.task.source.name
    error = f"{source}: no sign of life from this run; it was given up, and the next one goes on from here"
    report = replace(stint.run.recorder.result) if stint.run else RunResult(source, IN_THE_BOOKS[stint.task.kind])
    report.status, report.error = "failed", error
    _log(stint, report, None)
    if stint.run is None:
        return True  # it hangs before it is in the books
    try:
        with deps.db.begin() as connection:
            runs.fail(connection, stint.run.recorder.run_id, error, deps.clock.now())
    except SQLAlchemyError:
        return False
    return True


def _log(stint: TaskRun, report: RunResult, seconds: float | None) -> None:
    """One line per run, always with the same keys; none of them holds a person's data."""
    event(
        log,
        "run_finished",
        level=logging.ERROR if report.status == "failed" else logging.INFO,
        source=report.source,
        kind=report.kind,
        status=report.status,
        run_id=stint.run.recorder.run_id if stint.run else None,
        seconds=None if seconds is None else round(seconds, 3),
        requests=report.requests,
        **report.counts.as_dict(),
        error=report.error,
    )
