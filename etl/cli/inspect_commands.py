"""The commands that change nothing: check, status and why."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from etl.cli import context
from etl.cli.exit_status import CONFIGURATION, FAILED, print_json
from etl.cli.output import echo, printable

if TYPE_CHECKING:
    from etl.cli.source_check import CheckResult

MOST_THREADS, MOST_LINES = 32, 20  # of more sources, only those that failed are listed
UNKNOWN = (
    "no call and no record in quarantine has this key or id; `etl status` shows how complete each source is, and "
    "`etl quarantine list` which records have no id"
)


@click.command()
@context.as_json
def check(as_json: bool) -> None:
    """Check the configuration, the database and each source.

    Sends one request per source. Lists every problem, and how to fix it.

    \b
    Example:  etl check
    Next:     etl migrate, then etl sync
    """
    from concurrent.futures import ThreadPoolExecutor

    from etl.cli.source_check import check_database, check_source
    from etl.runtime.clock import SystemClock

    settings = context.settings()
    context.require_some(settings)
    database, sources = check_database(settings)
    if database.is_ok and not sources:
        raise context.no_sources()
    with ThreadPoolExecutor(MOST_THREADS) as threads:
        found = list(threads.map(lambda source: check_source(source, SystemClock(context.stop)), sources))
    if as_json:
        print_json(
            {"database": _as_dict(database), "sources": [{"source": check.name, **_as_dict(check)} for check in found]}
        )
    else:
        echo(f"configuration: OK; {len(sources)} source{'s' if len(sources) != 1 else ''}")
        listed = found if len(found) <= MOST_LINES else [check for check in found if not check.is_ok]
        for check in (database, *listed):
            echo(f"{check.name}: {'OK' if check.is_ok else 'FAILED'}; {check.message}")
        if len(listed) < len(found):
            echo(f"{len(found) - len(listed):,} of {len(found):,} sources: OK; `etl check --json` has all")
    if not database.is_ok:
        sys.exit(CONFIGURATION)
    sys.exit(0 if all(check.is_ok for check in found) else FAILED)


def _as_dict(check: "CheckResult") -> dict[str, object]:
    return {"is_ok": check.is_ok, "message": check.message}


@click.command()
@context.named
@click.option("--all", "shows_all", is_flag=True, help="List every source, not only the twenty that are worst off.")
@context.as_json
def status(sources: Sequence[str], shows_all: bool, as_json: bool) -> None:
    """Show how fresh and how complete each source is.

    First the totals, then each source, those that need attention first: the last run, the records in quarantine, and,
    while a daemon runs, the next run. --json has every source.

    \b
    Example:  etl status
              etl status ringg --json
    """
    from datetime import UTC, datetime

    from etl.cli.tables import status_table
    from etl.reports.status import status as load_status

    settings, now = context.settings(), datetime.now(UTC)
    with context.opened(settings) as engine:
        configured = context.all_sources(engine, settings).sources
        rows = load_status(engine, configured, now)
    context.require_known(sources, [row["source"] for row in rows])
    rows = [row for row in rows if not sources or row["source"] in sources]
    if as_json:
        print_json(rows)
    elif rows:
        status_table(rows, configured, now, shows_all=shows_all or bool(sources))
    else:
        echo(f"no source is configured in {Path.cwd()}, and none was ever synced: put a key into .env, then `etl sync`")


@click.command()
@click.argument("call", metavar="CALL", help="Its call_key, the provider's id, or SOURCE:ID.")
@click.option("--show-values", is_flag=True, help="Show phone numbers, names, summaries and other personal data.")
@context.as_json
def why(call: str, show_values: bool, as_json: bool) -> None:
    """Show the history of one call, and when it is read next.

    When it was first and last seen, every version received, each changed field, the runs that did it, its data-quality
    flags, and which lookback reads it next. Values with personal data are hidden by default.

    \b
    Example:  etl why ringg:7f9c2ba4
              etl why 7f9c2ba4 --json
    """
    from datetime import UTC, datetime

    from msgspec import to_builtins

    from etl.cli.call_history_text import print_history
    from etl.reports.call_history import call_history, resolve

    settings = context.settings()
    with context.opened(settings) as engine, engine.connect() as connection:
        found = resolve(connection, call)
        if len(found) == 1:
            sources = context.all_sources(engine, settings).sources
            history = call_history(connection, found[0], sources, datetime.now(UTC), show_values=show_values)
    if len(found) > 1:
        choices = " or ".join(printable(f"{call.source}:{call.provider_call_id}") for call in found)
        raise click.BadParameter(f"{len(found)} sources have a call with this id: write {choices}", param_hint="CALL")
    if not found:
        echo(f"etl: {UNKNOWN}", err=True)
        sys.exit(FAILED)
    if as_json:
        print_json(to_builtins(history))
    else:
        print_history(history)
