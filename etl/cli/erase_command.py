"""The command `etl erase`: a person out of the warehouse, with a receipt."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from etl.cli import context
from etl.cli.exit_status import print_json, warn
from etl.cli.output import echo
from etl.runtime.humanize import counted

if TYPE_CHECKING:
    from etl.ops.privacy.erasure import Person, SourceReceipt

SOME = 5  # calls that are named; all are in the JSON


@click.command()
@click.option("--phone", metavar="NUMBER", required=True, help="The person's number, with + and its country code.")
@click.option("--dry-run", is_flag=True, help="Print what would be removed; remove nothing.")
@click.option("--mentions", is_flag=True, help="Remove other people's calls too in which the number occurs.")
@context.as_json
def erase(phone: str, dry_run: bool, mentions: bool, as_json: bool) -> None:
    """Remove a person from the warehouse, for good.

    Removes the calls with this number, their transcripts, changes and raw payloads, and what the sync state says of
    them. A token of the number stays, in the database and in erasures.txt (ETL_ERASURES), so that no later sync, replay
    or restored backup brings the person back. Prints a receipt. Running it again does no harm, also after a crash.

    \b
    Example:  etl erase --phone +919876543210 --dry-run
    Next:     ask the provider to delete the calls that it still holds
    """
    from etl.ops.privacy import tombstones
    from etl.ops.privacy.erasure import Erasure, NotAPerson, person, require_person
    from etl.runtime.clock import SystemClock
    from etl.state import registry

    settings, clock = context.settings(needs_keys=False), SystemClock(context.stop)
    with context.opened(settings) as engine:
        sources = context.all_sources(engine, settings).sources
        with engine.begin() as connection:
            regions = {source.name: source.region for source in sources}
            own = {partition for source in sources for partition in source.partitions}
            try:
                who = person(phone, set(regions.values()), registry.masking_key(connection))
                require_person(connection, who, own)
            except NotAPerson as error:
                raise click.BadParameter(str(error), param_hint="--phone") from None
            now = clock.now()
            if not dry_run:
                tombstones.add(connection, settings.erasures, who.tokens, now)
        receipts = Erasure(engine, clock, who, dry_run, mentions, on_wait=_say_that_it_waits).run(regions)
    if not all(number.startswith("+") for number in who.numbers):
        warn(
            "without its country code the number is another one: run this again with + and the code if calls have it so"
        )
    if as_json:
        print_json(_document(who, receipts, now, dry_run=dry_run))
    else:
        _print(who, receipts, now, dry_run=dry_run)


def _say_that_it_waits(source: str) -> None:
    echo(f"{source}: waiting for a run to end its batch", err=True)


def _document(who: "Person", receipts: Sequence["SourceReceipt"], now: datetime, *, dry_run: bool) -> dict[str, object]:
    sources = [receipt.as_dict() for receipt in receipts]
    return {"number_ending": who.ending, "at": now.isoformat(), "is_dry_run": dry_run, "sources": sources}


def _print(who: "Person", receipts: Sequence["SourceReceipt"], now: datetime, *, dry_run: bool) -> None:
    """The receipt as text, which shows no more of the number than its last two digits."""
    verb = "would be removed" if dry_run else "removed"
    echo(f"Number ending in {who.ending}, {now:%Y-%m-%d %H:%M} UTC")
    found = [receipt for receipt in receipts if receipt.removed_anything]
    for receipt in found:
        echo(
            f"  {receipt.source}: {counted(receipt.calls, 'call')} {verb}, with {counted(receipt.turns, 'turn')}, "
            f"{counted(receipt.payloads, 'raw record')}, {counted(receipt.changes, 'change')}, "
            f"{counted(receipt.quarantined, 'quarantined record')}, {counted(receipt.messages, 'message')}"
        )
    if not found:
        echo("  nothing is stored")
    if not dry_run:
        echo("  a token of the number is kept, so that no sync, replay or restored backup brings it back")
    for receipt in receipts:
        if receipt.still_listed:
            echo(
                f"  still at {receipt.provider} ({receipt.source}): {counted(receipt.still_listed, 'call')}, created "
                f"{receipt.first_call} to {receipt.last_call}: ask the provider to delete them"
            )
        if receipt.mentioned_by:
            names = ", ".join(map(str, receipt.mentioned_by[:SOME])) + (
                ", …" if len(receipt.mentioned_by) > SOME else ""
            )
            echo(
                f"  {receipt.source}: the number occurs in {counted(len(receipt.mentioned_by), 'call')} of others "
                f"({names}): `etl why` shows one, `etl erase --phone … --mentions` removes them"
            )
