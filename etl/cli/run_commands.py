"""The commands that change the warehouse: demo, migrate, sync, backfill, daemon, worker and replay."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etl.cli import context
from etl.cli.context import Opened, stop
from etl.cli.exit_status import FAILED, exit_with, warn
from etl.cli.output import echo
from etl.cli.stopping import stop_on_signal

if TYPE_CHECKING:
    from etl.model import Window
    from etl.ops.metrics import Metrics
    from etl.sync.run import RunDependencies, RunFunction, RunResult, SourceRun

RESTART = 75  # EX_TEMPFAIL: the supervisor should restart it


@click.command()
def demo() -> None:
    """Try it without a key: four simulated providers, one warehouse.

    Starts an embedded PostgreSQL and a sandbox of the four providers, syncs all of them into the database `demo`, and
    prints a summary. Your DATABASE_URL, keys and etl.toml are not used. On a terminal it then runs the daemon: new
    calls arrive, and its page shows them until Ctrl-C.

    \b
    Example:  etl demo
    Next:     etl db psql demo, or put a key into .env and run `etl check`
    """
    from etl.cli.demo import demo as run_demo

    stop_on_signal(stop)
    sys.exit(0 if run_demo(stop, os.environ, Path.cwd()) else FAILED)


@click.command()
@click.option("--allow-other-tables", is_flag=True, help="Migrate a database that has other tables too.")
def migrate(allow_other_tables: bool) -> None:
    """Migrate the database to this version's revision.

    Creates the schemas raw, warehouse, ops, queue, bi_pii and bi, and two roles: bi_reader reads bi, where personal
    data is masked, and bi_pii reads bi_pii. Concurrent migrations wait for each other; an up-to-date database is not
    changed.

    \b
    Example:  etl migrate
    Next:     etl sync
    """
    from etl.cli import database
    from etl.db import revisions
    from etl.db.connections import MIGRATION_SECONDS

    with database.disposed_engine(database.url_of(context.settings()), MIGRATION_SECONDS) as engine:
        before, after = revisions.migrate(engine, allow_other_tables=allow_other_tables)
        done = f"already at revision {after}" if before == after else f"migrated to revision {after}"
        echo(f"database {engine.url.database}: {done}")
        if problem := revisions.unable_readers(engine):
            warn(problem)


@click.command()
@context.named
def sync(sources: Sequence[str]) -> None:
    """Sync now: new calls, changed calls, missing transcripts.

    The first sync reads the whole history that a provider lists, newest first. After an interruption, run it again: it
    resumes from its checkpoint. What is older than keep_raw, keep_transcripts and keep_calls say is removed at the end.

    \b
    Example:  etl sync
              etl sync ringg vaani
    Next:     etl status
    """
    from etl import pipeline
    from etl.ops.privacy.retention import expire

    def work(source_run: "SourceRun") -> None:
        pipeline.sync(source_run)
        expire(source_run)

    _run(sources, "sync", work)


@click.command()
@context.named
@click.option("--from", "since", metavar="DATE", type=context.DAY, help="The first day, in the source's time zone.")
@click.option("--to", "until", metavar="DATE", type=context.DAY, help="The day after the last; now by default.")
@click.option("--plan", is_flag=True, help="Estimate requests, rows and time; load nothing.")
@click.option("--again", is_flag=True, help="Read everything, stored or not.")
def backfill(sources: Sequence[str], since: datetime | None, until: datetime | None, plan: bool, again: bool) -> None:
    """Load a period of history.

    Periods that are already stored are not requested again. After an interruption, run it again: it resumes. --plan
    estimates the requests, rows and minutes, with at most ten requests per stream.

    \b
    Example:  etl backfill ringg --from 2026-01-01 --to 2026-02-01 --plan
              etl backfill ringg --from 2026-01-01 --to 2026-02-01
    Next:     etl status
    """
    from etl.pipeline import backfill as work

    if since is None:
        raise click.BadParameter("the first day is missing: --from 2026-01-31", param_hint="--from")
    context.days_asked(since, until)
    if plan:
        _plan(sources, lambda source_run: days(source_run, since, until), again=again)
    else:
        _run(sources, "backfill", lambda source_run: work(source_run, days(source_run, since, until), again=again))


def days(run: "SourceRun", first: date, end: date | None) -> "Window":
    """Days of the source's time zone, the last one exclusive → a window of instants; without an end, up to now."""
    from etl.model import Window
    from etl.sync.checkpoint import AHEAD

    zone, latest = run.source.timezone, run.deps.clock.now() + AHEAD
    start = datetime.combine(first, time(), zone).astimezone(UTC)
    return Window(start, min(datetime.combine(end, time(), zone).astimezone(UTC), latest) if end else latest)


def _plan(names: Sequence[str], window: "Callable[[SourceRun], Window]", *, again: bool) -> None:
    """Print what a backfill would take. It loads nothing, but its requests count as a run of kind verify."""
    from etl.cli.tables import plans_table
    from etl.reports.backfill_plan import BackfillPlan
    from etl.reports.backfill_plan import plan as make_plan

    found = list[BackfillPlan]()

    def work(source_run: "SourceRun") -> None:
        found.append(make_plan(source_run, window(source_run), again=again))

    stop_on_signal(stop)
    with context.opened_sources(names) as opened:
        results = results_of(opened, "verify", work)
    plans_table(sorted(found, key=lambda plan: plan.source))
    exit_with(results)


@click.command()
def daemon() -> None:
    """Sync every source on its schedule, until SIGTERM.

    The default is every five minutes; `schedule` in etl.toml also takes cron expressions. The page at
    http://127.0.0.1:8787/ (ETL_LISTEN) shows the status. SIGTERM or Ctrl-C stops it within seconds and loses nothing; a
    second one kills it at once.

    \b
    Example:  etl daemon
    Next:     open the page, or run etl status in another terminal
    """
    from etl.daemon import serve
    from etl.daemon.job_queue import JobQueue

    def run(opened: Opened, deps: "RunDependencies", metrics: "Metrics") -> bool:
        _register(opened)
        queue = JobQueue(deps.db) if opened.settings.has_workers else None
        return serve(deps, stop, opened.sources, metrics, opened.settings.alert_url, queue=queue)

    _serve(run)


@click.command()
def worker() -> None:
    """Run the jobs that a daemon with ETL_WORKERS=queue plans.

    Start one or more, on any machine with the same configuration: each source is read by one at a time. The jobs of a
    worker that dies go to the others. SIGTERM or Ctrl-C stops it within seconds, and puts back what it has not done.

    \b
    Example:  ETL_WORKERS=queue etl daemon
              etl worker
    Next:     etl status
    """
    from etl.daemon.worker import work

    def run(opened: Opened, deps: "RunDependencies", metrics: "Metrics") -> bool:
        _settle(opened)  # the daemon registers the sources
        if not opened.settings.has_workers:
            warn("ETL_WORKERS is not queue here: a daemon with this configuration runs its jobs itself")
        return work(deps, stop, opened.sources, metrics)

    _serve(run)


def _serve(run: "Callable[[Opened, RunDependencies, Metrics], bool]") -> None:
    """Run until asked to stop, with the page; ``run`` says whether all runs ended."""
    from etl.daemon.task_runner import WatchdogTimeout
    from etl.ops.metrics import Metrics
    from etl.runtime import signals, tracing
    from etl.state.live_sources import LiveSources
    from etl.web.http_server import serving

    tracing.setup()
    signals.stop_on_signal(stop)
    with context.opened_sources(may_start=True) as configured:
        live = LiveSources(configured.settings, configured.found)
        opened = replace(configured, sources=live)
        live.start(opened.engine, stop)
        deps, settings, metrics = context.dependencies(opened.engine), opened.settings, Metrics()
        with serving(deps, opened.sources, [settings.listen] if settings.listen else [], settings.token, metrics):
            try:
                all_ended = run(opened, deps, metrics)
            except WatchdogTimeout as timeout:
                echo(f"etl: {timeout}", err=True)
                os._exit(RESTART)
    if not all_ended:  # a thread that hangs would keep the process alive; the end of its session rolls it back
        os._exit(0)


@click.command()
@context.named
@click.option("--dry-run", is_flag=True, help="Print what would change; write nothing.")
def replay(sources: Sequence[str], dry_run: bool) -> None:
    """Transform the stored raw payloads again.

    Uses no network. After an upgrade it updates old calls to what the new version makes of them.

    \b
    Example:  etl replay --dry-run
    Next:     etl replay
    """
    from etl.cli.terminal import replay_diff
    from etl.reports.replay_diff import ReplayDiff, compare
    from etl.sync.replay import replay as work

    if not dry_run:
        stop_on_signal(stop)
    results: list[RunResult] = []
    with context.opened_sources(sources, may_start=not dry_run) as opened:
        found = {source.name: ReplayDiff() for source in opened.sources}
        if dry_run:
            for source in opened.sources:
                compare(opened.engine, source, found[source.name])
        else:
            results = results_of(
                opened, "replay", lambda source_run: work(source_run, found[source_run.source.name].add)
            )
    for name, diff in found.items():
        echo(replay_diff(name, diff, dry_run=dry_run))
    for result in results:
        for note in result.notes:
            echo(f"{result.source}: note: {note}")
    exit_with(results)


def _run(names: Sequence[str], kind: str, work: "RunFunction") -> None:
    exit_with(run(names, kind, work))


def run(names: Sequence[str], kind: str, work: "RunFunction") -> list["RunResult"]:
    """Run work on sources with progress, and print the result of each."""
    from etl.cli.terminal import result_lines

    stop_on_signal(stop)
    with context.opened_sources(names, may_start=True) as opened:
        results = results_of(opened, kind, work)
    for line in result_lines(results):
        echo(line)
    return results


def results_of(opened: Opened, kind: str, work: "RunFunction") -> list["RunResult"]:
    """Run work on sources with progress; the result of each."""
    from etl.cli.parallel_runs import run_all
    from etl.cli.terminal import progress

    _register(opened)
    with progress([source.name for source in opened.sources]) as on_progress:
        deps = replace(context.dependencies(opened.engine), on_progress=on_progress)
        return run_all(deps, opened.sources, kind, work)


def _register(opened: Opened) -> None:
    """Register every source before any is read, so that an invalid one stops all, like an invalid configuration."""
    from etl.state import registry

    with opened.engine.begin() as connection:
        for source in opened.sources:
            registry.register(connection, source, datetime.now(UTC))
    _settle(opened)


def _settle(opened: Opened) -> None:
    """Warn of a clock that differs, and erase whom a restored backup, or a killed command, left in."""
    from etl.ops.privacy import tombstones
    from etl.runtime.clock import SystemClock
    from etl.state import registry

    with opened.engine.begin() as connection:
        if difference := registry.clock_difference(connection, datetime.now(UTC)):
            warn(difference)
    tombstones.settle(opened.engine, SystemClock(stop), opened.settings.erasures, warn)
