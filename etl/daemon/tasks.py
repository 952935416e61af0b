"""One task → one run of the books and one line of the log; or none, where another process does it, or has just done."""

import logging
from dataclasses import replace
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from etl import pipeline
from etl.daemon import triggers
from etl.daemon.workers import TURN_SECONDS, Crew, FeltClock, Kind, Stint, Task
from etl.model import Source
from etl.ops.metrics import Meters
from etl.reconcile import Asked, verify
from etl.runtime.clock import Stopped
from etl.runtime.logs import event
from etl.state import registry, runs
from etl.state.registry import ForeignSource
from etl.sync.parallel import failed
from etl.sync.run import Means, Reader, Report, Work, run

log = logging.getLogger("etl.daemon")

ONCE_A_NIGHT = timedelta(hours=12)
IN_THE_BOOKS = {Kind.LIVE: "sync", Kind.HISTORY: "backfill", Kind.VERIFY: "verify"}


def perform(means: Means, stint: Stint, crew: Crew, meters: Meters) -> None:
    """Do one stint, whatever comes; what of it is left for another kind of work is put before the crew."""
    source, kind = stint.task.source, stint.task.kind
    began = means.clock.monotonic()
    try:
        if not _is_ours(means, stint.task):
            return
        if kind is not Kind.HISTORY and _was_never_read(means, source):
            crew.put(Task(source, Kind.HISTORY))
            return
        # a proof that is cut short begins anew: only the other kinds take turns
        felt = FeltClock(means.clock, stint, lambda: kind is not Kind.VERIFY and crew.is_waited_for(kind))
        report = run(
            replace(means, clock=felt),
            source,
            IN_THE_BOOKS[kind],
            _work(means, stint, crew),
            lambda progress: None,
            by_hand=False,
        )
    except Stopped:
        report = stint.reader.report if stint.reader else Report(source.name, IN_THE_BOOKS[kind], "interrupted")
    except ForeignSource as error:
        report = Report(source.name, IN_THE_BOOKS[kind], status="failed", error=str(error))
    except (Exception, SystemExit) as error:  # the schedule goes on whatever a run does
        report = failed(source, IN_THE_BOOKS[kind], error)
    if stint.goes_on and kind is Kind.LIVE:
        crew.put(Task(source, Kind.HISTORY))  # it goes on where this was cut short
    if not stint.was_given_up:
        seconds = means.clock.monotonic() - began
        meters.run(report, seconds)
        _log(stint, report, seconds)


def _work(means: Means, stint: Stint, crew: Crew) -> Work:
    def work(reader: Reader) -> None:
        stint.reader = reader
        if not _is_ours(means, stint.task, reader.run.run_id):
            raise Stopped  # another process was at it in the same moment, and its run was entered first
        if stint.task.kind is Kind.HISTORY:
            pipeline.history(reader)
        elif stint.task.kind is Kind.VERIFY:
            verify(reader, Asked(heal=True))
        elif pipeline.live(reader):
            crew.put(Task(reader.source, Kind.HISTORY))

    return work


def _is_ours(means: Means, task: Task, run_id: int = 2**63 - 1) -> bool:
    """Whether no other process is at it or has just done it, as two daemons share the sources, and it may be asked."""
    now, name = means.clock.now(), task.source.name
    lately = {
        Kind.LIVE: triggers.interval(task.source, now) / 2, Kind.HISTORY: timedelta(0), Kind.VERIFY: ONCE_A_NIGHT
    }[task.kind]  # fmt: skip
    with means.db.connect() as connection:
        held_until = registry.held_until(connection, name, now)
        if held_until and held_until > now + timedelta(seconds=TURN_SECONDS):
            event(log, "told to wait", source=name, until=held_until)
            return False
        return not runs.is_done(connection, name, IN_THE_BOOKS[task.kind], now - lately, now, run_id)


def _was_never_read(means: Means, source: Source) -> bool:
    with means.db.connect() as connection:
        return registry.was_never_read(connection, source.name)


def give_up(means: Means, stint: Stint) -> bool:
    """Enter a run that hangs into the books as failed; ``False`` where the database does not take it."""
    source = stint.task.source.name
    error = f"{source}: no sign of life from this run; it was given up, and the next one goes on from here"
    report = replace(stint.reader.report) if stint.reader else Report(source, IN_THE_BOOKS[stint.task.kind])
    report.status, report.error = "failed", error
    _log(stint, report, None)
    if stint.reader is None:
        return True  # it hangs before it is in the books
    try:
        with means.db.begin() as connection:
            runs.fail(connection, stint.reader.run.run_id, error, means.clock.now())
    except SQLAlchemyError:
        return False
    return True


def _log(stint: Stint, report: Report, seconds: float | None) -> None:
    """One line per run, always with the same keys; none of them holds a person's data."""
    event(
        log,
        "run ended",
        level=logging.ERROR if report.status == "failed" else logging.INFO,
        source=report.source,
        kind=report.kind,
        status=report.status,
        run_id=stint.reader.run.run_id if stint.reader else None,
        seconds=None if seconds is None else round(seconds, 3),
        requests=report.requests,
        **report.counts.as_dict(),
        error=report.error,
    )
