"""The commands that only look: check, status and why."""

import sys
from typing import TYPE_CHECKING

import click

from etl.cli import context
from etl.cli.exit_status import CONFIGURATION, FAILED, print_json

if TYPE_CHECKING:
    from etl.cli.source_check import CheckResult

UNKNOWN = (
    "no call and no record in quarantine has this key or id; `etl status` says how much of each source is held, and "
    "`etl quarantine list` which records came without an id"
)


@click.command()
@context.as_json
def check(as_json: bool) -> None:
    """Try the configuration, the database and each source.

    One request per source. Says what is wrong, all of it, and how to mend it.

    \b
    Example:  etl check
    Next:     etl migrate, then etl sync
    """
    from concurrent.futures import ThreadPoolExecutor

    from etl.cli import source_check as checks
    from etl.runtime.clock import SystemClock

    settings = context.settings()
    sources = context.sources(settings)
    database = checks.check_database(settings, sources)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda source: checks.check(source, SystemClock(context.stop)), sources))
    if as_json:
        print_json({"database": _plain(database), "sources": [{"source": f.of, **_plain(f)} for f in found]})
    else:
        click.echo(f"configuration: right; {len(sources)} source{'s' if len(sources) != 1 else ''}")
        for each in (database, *found):
            click.echo(f"{each.of}: {'right' if each.is_right else 'WRONG'}; {each.text}")
    if not database.is_right:
        sys.exit(CONFIGURATION)
    sys.exit(0 if all(each.is_right for each in found) else FAILED)


def _plain(finding: "CheckResult") -> dict[str, object]:
    return {"is_right": finding.is_right, "text": finding.text}


@click.command()
@context.as_json
def status(as_json: bool) -> None:
    """Say how fresh and how complete each source is.

    Also the last run, what waits in quarantine, and, while a daemon runs, when each is read next.

    \b
    Example:  etl status
              etl status --json
    """
    from etl.cli.terminal import status_table
    from etl.reports.status import status as look

    settings = context.settings()
    with context.opened(settings) as engine:
        rows = look(engine, [source.name for source in settings.sources])
    if as_json:
        print_json(rows)
    elif rows:
        status_table(rows)
    else:
        click.echo("no source is configured and none was ever read: put a key into .env, then run `etl sync`")


@click.command()
@click.argument("call", metavar="CALL", help="Its call_key, the provider's id, or SOURCE:ID.")
@click.option(
    "--show-values", is_flag=True, help="Show changed phone numbers, names, summaries and other personal data."
)
@context.as_json
def why(call: str, show_values: bool, as_json: bool) -> None:
    """Show the history of one call, and when it is read next.

    When it was first and last seen, every version received, each changed field, the runs that did it, its data-quality
    flags, and which lookback reads it next. Changed values with personal data are hidden by default.

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
            history = call_history(connection, found[0], settings.sources, datetime.now(UTC), show_values=show_values)
    if len(found) > 1:
        choices = " or ".join(f"{call.source}:{call.provider_call_id}" for call in found)
        raise click.BadParameter(f"{len(found)} sources have a call of this id: write {choices}", param_hint="CALL")
    if not found:
        click.echo(f"etl: {UNKNOWN}", err=True)
        sys.exit(FAILED)
    if as_json:
        print_json(to_builtins(history))
    else:
        print_history(history)
