"""The calls of the last days → one number per day for each source, outcome and unit of cost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from etl.db.statements import Statements, fetch_all, fetch_value

RANGES = (7, 30, 90)
COLOURS = 8  # sources with a colour of their own; the others are one layer
OUTCOMES = (
    "completed",
    "transferred",
    "voicemail",
    "in_progress",
    "no_answer",
    "busy",
    "canceled",
    "failed",
    "unknown",
)
OTHERS = "others"
STATEMENTS = Statements("page_totals")


@dataclass(frozen=True, slots=True)
class DailyTotals:
    """Numbers by name, one for each day: calls and minutes by source, calls by outcome, and costs by their unit.

    ``answered`` and ``costs_per_minute`` are of all these days.
    """

    days: tuple[date, ...]
    calls: Mapping[str, Sequence[float]]
    outcomes: Mapping[str, Sequence[float]]
    minutes: Mapping[str, Sequence[float]]
    costs: Mapping[str, Sequence[float]]
    answered: int
    costs_per_minute: Mapping[str, float]


def daily_totals(connection: Connection, now: datetime, day_count: int, source: str = "") -> DailyTotals:
    """The totals of the last ``day_count`` days in the zone of reports, today included, of all sources or of one."""
    last = fetch_value(connection, STATEMENTS.local_today, {"now": now, "source": source})
    days = tuple(last - timedelta(days=back) for back in reversed(range(day_count)))
    values = {"first": days[0], "last": last, "source": source}
    rows = fetch_all(connection, STATEMENTS.totals_by_day, values)
    by_outcome = fetch_all(connection, STATEMENTS.outcomes_by_day, values)
    priced, names = [row for row in rows if row.cost], _largest(rows)
    units = sorted({_unit(row) for row in priced})
    minutes = {unit: sum(row.minutes for row in priced if _unit(row) == unit) for unit in units}
    costs = _layers(days, priced, _unit, "cost", units)
    return DailyTotals(
        days,
        _layers(days, rows, _source, "calls", names),
        _layers(days, by_outcome, lambda row: row.outcome, "calls", OUTCOMES),
        _layers(days, rows, _source, "minutes", names),
        costs,
        sum(row.answered for row in rows),
        {unit: sum(costs[unit]) / float(minutes[unit]) for unit in units if minutes[unit]},
    )


def _source(row: Any) -> str:
    return str(row.source)


def _unit(row: Any) -> str:
    """The unit of a cost: sources with one unit are added up, those whose unit is unknown are not."""
    return f"unknown unit of {row.source}" if row.cost_unit in (None, "unknown") else str(row.cost_unit)


def _largest(rows: Sequence[Any]) -> tuple[str, ...]:
    """The sources with the most calls, in alphabetical order."""
    totals: dict[str, int] = {}
    for row in rows:
        totals[row.source] = totals.get(row.source, 0) + row.calls
    count = COLOURS if len(totals) <= COLOURS else COLOURS - 1
    return tuple(sorted(sorted(totals, key=lambda name: (-totals[name], name))[:count]))


def _layers(
    days: Sequence[date], rows: Sequence[Any], key: Callable[[Any], str], value: str, names: Sequence[str]
) -> dict[str, list[float]]:
    """One list of numbers for each name that occurs, in the order of ``names``; all other names are one layer."""
    positions = {day: position for position, day in enumerate(days)}
    found: dict[str, list[float]] = {}
    for row in rows:
        name = key(row) if key(row) in names else OTHERS
        found.setdefault(name, [0.0] * len(days))[positions[row.day]] += float(getattr(row, value) or 0)
    return {name: found[name] for name in (*names, OTHERS) if name in found}
