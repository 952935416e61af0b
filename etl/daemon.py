"""The schedule: one job per source, never over itself, until somebody asks it to end."""

import logging
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from etl.clock import Stopped
from etl.fleet import failed
from etl.logs import event
from etl.pipeline import sync
from etl.reader import Means, Report, run
from etl.settings import schedule
from etl.state.lists import ForeignSource
from etl.stream import Source

log = logging.getLogger("etl.daemon")

AT_ONCE = 8
STAGGER = timedelta(seconds=1)
GRACE_SECONDS = 8.0  # what runs longer after SIGTERM hangs on a peer; container managers wait for ten seconds
LOOK_SECONDS = 15.0
STEPPED_BACK = timedelta(seconds=60)
NEXT_RUN = text("UPDATE ops.sources SET next_run_at = :next WHERE source = ANY(:sources)")


def serve(means: Means, stop: threading.Event, sources: Sequence[Source]) -> bool:
    """Read every source now and then as its schedule says, until ``stop`` is set; whether all runs then ended.

    A run that is asked to end writes what it has. One that hangs on a peer beyond the grace is left behind: its
    transaction and its lease end with its session.
    """
    scheduler = BackgroundScheduler(
        executors={"default": ThreadPoolExecutor(min(AT_ONCE, len(sources)))},
        # a run that comes late is not lost, several late ones are one, and none runs beside itself
        job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        timezone="UTC",
    )
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # that a run outlasts its interval is no warning
    at_work = _AtWork()
    for place, source in enumerate(sources):
        first = means.clock.now() + place * STAGGER
        work = partial(_work, means, scheduler, stop, at_work, source)
        scheduler.add_job(work, trigger(source), id=source.name, next_run_time=first)
        _note_next(means, [source], first)
    scheduler.start()
    event(log, "daemon started", sources=len(sources))
    _wait(means, scheduler, stop)
    scheduler.shutdown(wait=False)
    all_ended = at_work.ended_within(GRACE_SECONDS)
    _note_next(means, sources, None)
    event(log, "daemon ended", all_runs_ended=all_ended)
    return all_ended


def trigger(source: Source) -> BaseTrigger:
    """When a source is read: every so often, or at the times of a cron line in the source's time zone."""
    when = schedule.parse(source.schedule)
    if isinstance(when, schedule.Every):
        return IntervalTrigger(seconds=int(when.interval.total_seconds()), timezone="UTC")
    return CronTrigger.from_crontab(when.crontab, timezone=source.timezone)


class _AtWork:
    """How many runs are under way."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def ended_within(self, seconds: float) -> bool:
        """Wait for the last of them to end; whether it did."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count == 0, seconds)


def _wait(means: Means, scheduler: BackgroundScheduler, stop: threading.Event) -> None:
    """Wait for the end; a wall clock that was set back would leave the scheduler asleep until it catches up."""
    latest = means.clock.now()
    while not stop.wait(LOOK_SECONDS):
        now = means.clock.now()
        if now < latest - STEPPED_BACK:
            event(log, "the clock was set back", level=logging.WARNING, seconds=(latest - now).total_seconds())
            for job in scheduler.get_jobs():
                job.modify(next_run_time=now)
            latest = now
        latest = max(latest, now)


def _work(
    means: Means, scheduler: BackgroundScheduler, stop: threading.Event, at_work: _AtWork, source: Source
) -> None:
    with at_work:
        if stop.is_set():
            return
        _note_job(means, scheduler, source)
        try:
            report = run(means, source, "sync", sync, lambda progress: None, by_hand=False)
        except Stopped:
            event(log, "run stopped", source=source.name)
            return
        except ForeignSource as error:
            report = Report(source.name, "sync", status="failed", error=str(error))
        except Exception as error:  # the schedule goes on whatever a run does
            report = failed(source, "sync", error)
        _log(report)
        _note_job(means, scheduler, source)


def _log(report: Report) -> None:
    fields = {**report.counts.as_dict(), "requests": report.requests, "status": report.status}
    level = logging.ERROR if report.error else logging.INFO
    event(log, "run ended", level=level, source=report.source, **fields, error=report.error)


def _note_job(means: Means, scheduler: BackgroundScheduler, source: Source) -> None:
    job = scheduler.get_job(source.name)
    if job is not None:
        _note_next(means, [source], job.next_run_time)


def _note_next(means: Means, sources: Sequence[Source], at: datetime | None) -> None:
    """Enter the next run into the books; a database that is away for a while does not keep it from happening."""
    try:
        with means.db.begin() as connection:
            connection.execute(NEXT_RUN, {"next": at, "sources": [source.name for source in sources]})
    except SQLAlchemyError:
        log.debug("the next run could not be noted")
