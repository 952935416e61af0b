"""The command `etl verify`: the calls that providers list, compared with those that are stored."""

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from etl.cli import context
from etl.cli.context import stop
from etl.cli.exit_status import FAILED, print_failures, print_json
from etl.cli.output import echo
from etl.cli.run_commands import results_of
from etl.cli.stopping import stop_on_signal

if TYPE_CHECKING:
    from etl.state.daily_checks import DayStatus


@click.command()
@context.named
@click.option("--from", "since", metavar="DATE", type=context.DAY, help="Count each day by itself, from this one.")
@click.option("--to", "until", metavar="DATE", type=context.DAY, help="The day after the last; now by default.")
@click.option("--heal", is_flag=True, help="Load the missing calls from the pages that list them.")
@context.as_json
def verify(sources: Sequence[str], since: datetime | None, until: datetime | None, heal: bool, as_json: bool) -> None:
    """Verify that no call is missing.

    Compares the providers' own counts with the stored calls, and finds the days on which they differ: one request per
    stream where nothing is missing; with --from about one per stream and day. Days are in the source's time zone. Exit
    status 1 while a day is incomplete.

    \b
    Example:  etl verify
              etl verify ringg --from 2026-01-01 --heal
    Next:     etl verify --heal, if a day is incomplete
    """
    from etl.cli.tables import day_statuses_table
    from etl.cli.terminal import result_line
    from etl.reconcile import VerifyRequest
    from etl.reconcile import verify as verify_source

    first, end = context.days_asked(since, until)
    request = VerifyRequest(first, end, heal)
    stop_on_signal(stop)
    with context.opened_sources(sources) as opened:
        found: dict[str, list[DayStatus]] = {source.name: [] for source in opened.sources}
        results = results_of(
            opened, "verify", lambda source_run: verify_source(source_run, request, found[source_run.source.name])
        )
    days = [day for name in found for day in found[name]]
    if as_json:
        print_json([day.as_dict() for day in days])
    else:
        day_statuses_table(found)
        for result in results:
            if result.counts.received or result.notes:
                echo(result_line(result))
    has_failed = print_failures(results)
    sys.exit(FAILED if has_failed or any(day.status == "incomplete" for day in days) else 0)
