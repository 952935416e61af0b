"""Dated rates from the units of costs to the currency of reports."""

from collections.abc import Collection, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Connection

from etl.db.statements import Statements, execute, fetch_all, fetch_value

SQL = Statements("rates")


class Rate(NamedTuple):
    """What one unit of a source's costs is worth in a currency, from a local day on until the next rate begins."""

    source: str
    unit: str
    currency: str
    valid_from: date
    rate: Decimal


class RateExists(Exception):
    """Another rate begins on the same day; the message says which."""


def add(connection: Connection, rate: Rate) -> None:
    """Add a rate; the same one again changes nothing. Raises :class:`RateExists`."""
    execute(connection, SQL.add_rate, rate._asdict())
    stored = fetch_value(connection, SQL.rate_from, rate._asdict())
    if stored != rate.rate:
        raise RateExists(
            f"{rate.source} has a rate from {rate.valid_from} already: 1 {rate.unit} = {stored} {rate.currency}"
        )


def listed(connection: Connection, sources: Collection[str] = ()) -> Sequence[Any]:
    """The rates of some sources, or all, each with the day on which the next one begins."""
    return fetch_all(connection, SQL.rates, {"sources": list(sources)})


def remove(connection: Connection, source: str, unit: str, currency: str, valid_from: date) -> bool:
    """Remove the rate of a unit to a currency that begins on a day → whether there was one."""
    key = {"source": source, "unit": unit, "currency": currency, "valid_from": valid_from}
    return execute(connection, SQL.remove_rate, key) > 0


def units(connection: Connection, source: str) -> list[str]:
    """The units of the costs that are stored of a source."""
    return [row.unit for row in fetch_all(connection, SQL.units, {"source": source})]
