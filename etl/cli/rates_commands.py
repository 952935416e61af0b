"""The commands `etl rates …`: from the units of costs to the currency of reports."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import click

from etl.cli import context
from etl.cli.exit_status import print_json, warn
from etl.cli.output import echo

if TYPE_CHECKING:
    from etl.model import Source

LARGEST = Decimal(10) ** 12
source_of_rate = click.argument("source", metavar="SOURCE", help="A source of the configuration or the database.")
unit_of_cost = click.argument("unit", metavar="UNIT", help="The unit of its costs, such as ringg_credits.")
currency_of_rate = click.argument("currency", metavar="CURRENCY", help="The currency (ISO 4217), such as USD.")
first_day = click.option(
    "--from", "first", metavar="DATE", type=context.DAY, required=True, help="The first local day of the rate."
)


@click.group(cls=context.InOrder)
def rates() -> None:
    """Set, list and unset rates to the currency of reports."""


@rates.command("set", context_settings={"ignore_unknown_options": True})  # -1 is a rate that is refused, no option
@source_of_rate
@unit_of_cost
@currency_of_rate
@click.argument("rate", metavar="RATE", help="How much of the currency one unit is, such as 0.012.")
@first_day
def set_(source: str, unit: str, currency: str, rate: str, first: datetime) -> None:
    """Set what one unit of a source's costs is worth from a day on.

    It holds until the next rate of the same unit begins. Calls before the first rate have no cost_reporting.

    \b
    Example:  etl rates set ringg ringg_credits USD 0.012 --from 2026-01-01
    """
    from etl.settings import parsers
    from etl.state import rates

    settings = context.settings(needs_keys=False)
    amount = _amount(rate)
    try:
        currency = parsers.currency(currency)
    except ValueError as error:
        raise click.BadParameter(f"{currency!r} {error}", param_hint="CURRENCY") from None
    if unit == currency:
        raise click.BadParameter("costs in the currency of the rate itself need none", param_hint="CURRENCY")
    day = first.date()
    with context.opened(settings) as engine, engine.begin() as connection:
        configured = context.all_sources(engine, settings).sources
        _require_unit(connection, configured, source, unit)
        try:
            rates.add(connection, rates.Rate(source, unit, currency, day, amount))
        except rates.RateExists as error:
            way_out = f"`etl rates unset {source} {unit} {currency} --from {day}` removes it"
            raise click.BadParameter(f"{error}; {way_out}", param_hint="--from") from None
    echo(f"{source}: 1 {unit} = {amount:f} {currency} from {day}")
    if currency not in {source.reporting.currency for source in configured}:
        warn(f'reports do not use this rate: write report_currency = "{currency}" at the top of etl.toml')


@rates.command("list")
@context.named
@context.as_json
def list_(sources: Sequence[str], as_json: bool) -> None:
    """List the rates, oldest first."""
    from etl.state import rates, registry

    with context.opened(context.settings(needs_keys=False)) as engine, engine.connect() as connection:
        context.require_known(sources, registry.known_sources(connection))
        rows = rates.listed(connection, sources)
    if as_json:
        print_json([row._asdict() for row in rows])
        return
    for row in rows:
        until = f" to {row.valid_until}" if row.valid_until else ""
        echo(f"{row.source}  1 {row.unit} = {row.rate:f} {row.currency}  from {row.valid_from}{until}")
    if not rows:
        echo("no rates; `etl rates set` adds one", err=True)


@rates.command()
@source_of_rate
@unit_of_cost
@currency_of_rate
@first_day
def unset(source: str, unit: str, currency: str, first: datetime) -> None:
    """Remove the rate that begins on a day; the one before holds on.

    \b
    Example:  etl rates unset ringg ringg_credits USD --from 2026-01-01
    """
    from etl.state import rates

    with context.opened(context.settings(needs_keys=False)) as engine, engine.begin() as connection:
        was_there = rates.remove(connection, source, unit, currency, first.date())
    name = f"rate from {unit} to {currency} from {first:%Y-%m-%d}"
    if not was_there:
        raise click.BadParameter(f"{source} has no {name}: `etl rates list` shows them")
    echo(f"{source}: the {name} is removed")


def _amount(text: str) -> Decimal:
    """A rate as an exact number above zero."""
    try:
        amount = Decimal(text if text.isascii() and "_" not in text else "NaN")
    except InvalidOperation:
        amount = Decimal("NaN")
    if not (amount.is_finite() and 0 < amount < LARGEST):
        raise click.BadParameter(f"{text!r} is no rate; write a number above 0, such as 0.012", param_hint="RATE")
    return amount


def _require_unit(connection: Any, sources: "Sequence[Source]", source: str, unit: str) -> None:
    """Reject a source that nobody knows, and a unit in which none of its costs is; registers one that is configured."""
    from etl.settings.parsers import nearest
    from etl.state import rates, registry

    configured = [account for account in sources if account.name == source]
    for account in configured:  # it may never have been read
        registry.register(connection, account, datetime.now(UTC))
    context.require_known([source], {*(each.name for each in sources), *registry.known_sources(connection)})
    units = {*rates.units(connection, source), *(account.cost_unit for account in configured)}
    if unit not in units:
        raise click.BadParameter(f"no cost of {source} is in {unit!r}{nearest(unit, units)}", param_hint="UNIT")
