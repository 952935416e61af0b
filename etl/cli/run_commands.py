"""The commands that change the warehouse: demo, migrate, sync, backfill, daemon and replay."""

import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etl.cli import context
from etl.cli.context import stop
from etl.cli.exit_status import FAILED, exit_with, warn

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from etl.model import Source, Window
    from etl.settings import Settings
    from etl.sync.run import RunFunction, RunResult, SourceRun

HUNG = 75  # EX_TEMPFAIL: start it again


@click.command()
def demo() -> None:
    """Show it all without a key: four providers, one warehouse.

    Starts an embedded PostgreSQL and a sandbox of the four providers, syncs all of them into a database `demo`, and
    says what came of it. Your DATABASE_URL, keys and etl.toml are not looked at. On a terminal it then goes on as the
    daemon does, calls come in, and its page shows them until Ctrl-C.

    \b
    Example:  etl demo
    Next:     etl db psql demo, or put a key into .env and run `etl check`
    """
    from etl.cli.demo import demo as run_demo
    from etl.runtime.signals import stop_on_signal

    stop_on_signal(stop)
    sys.exit(0 if run_demo(stop, os.environ, Path.cwd()) else FAILED)


@click.command()
@click.option("--beside-others", is_flag=True, help="Also in a database that holds tables of something else.")
def migrate(beside_others: bool) -> None:
    """Bring the database to this program's revision.

    Makes the schemas raw, warehouse, ops and bi, and the role bi_reader, which reads bi alone. Several at once wait for
    each other; run again, it changes nothing.

    \b
    Example:  etl migrate
    Next:     etl sync
    """
    from etl.cli import database
    from etl.db import revisions

    with database.disposed_engine(database.url_of(context.settings())) as engine:
        before, after = revisions.migrate(engine, beside_others=beside_others)
        done = f"is at revision {after}" if before == after else f"migrated to revision {after}"
        click.echo(f"database {engine.url.database}: {done}")
        if not revisions.reader_may_read(engine):
            warn(revisions.GRANT_BY_HAND)


@click.command()
@context.named
def sync(sources: Sequence[str]) -> None:
    """Catch up now: new calls, changed calls, missing transcripts.

    The first time that is the whole history that a provider lists, newest first. Cut off, the same command goes on
    where it was.

    \b
    Example:  etl sync
              etl sync ringg vaani
    Next:     etl status
    """
    from etl.pipeline import sync as work

    _run(sources, "sync", work)


@click.command()
@context.named
@click.option("--from", "since", metavar="DATE", type=context.DAY, help="First day, of the source's time zone.")
@click.option("--to", "until", metavar="DATE", type=context.DAY, help="The day after the last; now by default.")
@click.option("--plan", is_flag=True, help="Say what it would take; load nothing.")
@click.option("--again", is_flag=True, help="Read all of it, not only what is not held.")
def backfill(sources: Sequence[str], since: datetime | None, until: datetime | None, plan: bool, again: bool) -> None:
    """Read a stretch of history.

    What is held is not asked for again. Cut off, the same command goes on where it was. With --plan it says how many
    requests, rows and minutes that takes, which costs up to ten requests a list.

    \b
    Example:  etl backfill ringg --from 2026-01-01 --to 2026-02-01 --plan
              etl backfill ringg --from 2026-01-01 --to 2026-02-01
    Next:     etl status
    """
    from etl.pipeline import backfill as work
    from etl.pipeline import days

    if since is None:
        raise click.BadParameter("say from which day on: --from 2026-01-31", param_hint="--from")
    context.days_asked(since, until)
    if plan:
        _plan(sources, lambda source_run: days(source_run, since, until), again=again)
    else:
        _run(sources, "backfill", lambda source_run: work(source_run, days(source_run, since, until), again=again))


def _plan(names: Sequence[str], window: "Callable[[SourceRun], Window]", *, again: bool) -> None:
    """Say what a backfill would take; it is no run of the books' that reads anything, but its requests count."""
    from etl.cli.terminal import plans_table
    from etl.reports.backfill_plan import BackfillPlan
    from etl.reports.backfill_plan import plan as make

    settings, found = context.settings(), list[BackfillPlan]()
    reports = reports_of(
        settings,
        context.sources(settings, names),
        "verify",
        lambda source_run: found.append(make(source_run, window(source_run), again=again)),
    )
    plans_table(sorted(found, key=lambda each: each.source))
    exit_with(reports)


@click.command()
def daemon() -> None:
    """Read every source as its schedule says, until SIGTERM.

    Every five minutes by default; `schedule` in etl.toml takes cron lines too. Its page at http://127.0.0.1:8787/, or
    wherever ETL_LISTEN says, shows how all of it is. SIGTERM or Ctrl-C ends it within seconds, and nothing is lost; a
    second one ends it at once.

    \b
    Example:  etl daemon
    Next:     the page, or etl status in another terminal
    """
    from etl.daemon import WatchdogTimeout, serve
    from etl.ops.metrics import Metrics
    from etl.runtime import tracing
    from etl.runtime.signals import stop_on_signal
    from etl.web.http_server import serving

    settings = context.settings()
    sources = context.sources(settings)
    tracing.setup()
    stop_on_signal(stop)
    with context.opened(settings) as engine:
        _register(engine, sources)
        deps = context.dependencies(engine)
        metrics = Metrics()
        with serving(deps, sources, [settings.listen] if settings.listen else [], settings.token, metrics):
            try:
                all_ended = serve(deps, stop, sources, metrics, settings.alert_url)
            except WatchdogTimeout as hung:
                click.echo(f"etl: {hung}", err=True)
                os._exit(HUNG)
    if not all_ended:  # a thread that hangs on a peer would hold the process for ever: its session's end undoes it
        os._exit(0)


@click.command()
@context.named
@click.option("--dry-run", is_flag=True, help="Write nothing; say what would change.")
def replay(sources: Sequence[str], dry_run: bool) -> None:
    """Put the raw payloads through today's program again.

    No network; after an update it brings old calls to what the new program makes of them.

    \b
    Example:  etl replay --dry-run
    Next:     etl replay
    """
    from etl.cli.terminal import difference
    from etl.sync import replay as replays

    settings = context.settings()
    chosen = context.sources(settings, sources)
    found = {source.name: replays.ReplayDiff() for source in chosen}
    reports: list[RunResult] = []
    if dry_run:
        with context.opened(settings) as engine:
            for source in chosen:
                replays.compare(engine, source, found[source.name])
    else:
        reports = run(
            settings, chosen, "replay", lambda source_run: replays.replay(source_run, found[source_run.source.name])
        )
    for name, each in found.items():
        click.echo(difference(name, each, dry_run=dry_run))
    exit_with(reports)


def _run(names: Sequence[str], kind: str, work: "RunFunction") -> None:
    settings = context.settings()
    exit_with(run(settings, context.sources(settings, names), kind, work))


def run(settings: "Settings", sources: Sequence["Source"], kind: str, work: "RunFunction") -> list["RunResult"]:
    """Run work on sources, with progress, and say how each ended."""
    from etl.cli.terminal import result

    reports = reports_of(settings, sources, kind, work)
    for report in reports:
        click.echo(result(report))
    return reports


def reports_of(settings: "Settings", sources: Sequence["Source"], kind: str, work: "RunFunction") -> list["RunResult"]:
    """Run work on sources, with progress; how each ended."""
    from etl.cli.terminal import progress
    from etl.runtime.signals import stop_on_signal
    from etl.sync.parallel import run_all

    stop_on_signal(stop)
    with context.opened(settings) as engine:
        _register(engine, sources)
        with progress([source.name for source in sources]) as say:
            return run_all(context.dependencies(engine), sources, kind, work, say)


def _register(engine: "Engine", sources: Sequence["Source"]) -> None:
    """Enter every source into the books before any is read: one that cannot be stops all, as a wrong configuration."""
    from etl.state import registry

    with engine.begin() as connection:
        for source in sources:
            registry.register(connection, source, datetime.now(UTC))
