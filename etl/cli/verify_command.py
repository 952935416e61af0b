"""The command `etl verify`: what the providers list, against what is held."""

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from etl.cli import context
from etl.cli.exit_status import FAILED, print_failures, print_json
from etl.cli.run_commands import reports_of

if TYPE_CHECKING:
    from etl.state.daily_checks import DayStatus


@click.command()
@context.named
@click.option("--from", "since", metavar="DATE", type=context.DAY, help="Count each day by itself, from this one on.")
@click.option("--to", "until", metavar="DATE", type=context.DAY, help="The day after the last; now by default.")
@click.option("--heal", is_flag=True, help="Load what is missing, from the pages that show it.")
@context.as_json
def verify(sources: Sequence[str], since: datetime | None, until: datetime | None, heal: bool, as_json: bool) -> None:
    """Prove that nothing is missing.

    Holds the providers' own counts against what is held, and finds the days on which they differ: one request per list
    where nothing is missing, with --from about one per list and day. Days are those of the source's time zone. Status 1
    while a gap is left.

    \b
    Example:  etl verify
              etl verify ringg --from 2026-01-01 --heal
    Next:     etl verify --heal, where there is a gap
    """
    from etl.cli.terminal import result, verdict_table
    from etl.reconcile import VerifyRequest
    from etl.reconcile import verify as prove

    first, end = context.days_asked(since, until)
    settings = context.settings()
    chosen = context.sources(settings, sources)
    found: dict[str, list[DayStatus]] = {source.name: [] for source in chosen}
    asked = VerifyRequest(first, end, heal)
    reports = reports_of(
        settings, chosen, "verify", lambda source_run: prove(source_run, asked, found[source_run.source.name])
    )
    verdicts = [each for source in chosen for each in found[source.name]]
    if as_json:
        print_json([each.as_dict() for each in verdicts])
    else:
        verdict_table(found)
        for report in reports:
            click.echo(result(report))
    has_failed = print_failures(reports)
    sys.exit(FAILED if has_failed or any(each.status == "incomplete" for each in verdicts) else 0)
