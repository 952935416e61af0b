"""The calls of the last days → one number per day for each source, outcome and unit of cost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from etl.db.statements import Statements, fetch_all, fetch_value

RANGES = (7, 30, 90)
COLOURS = 8  # of sources; of more, their providers are shown
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

    Of many sources, calls and minutes by provider, and no costs whose unit is unknown.

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
    values = {"first": days[0], "last": last, "source": source, "most": COLOURS}
    rows = fetch_all(connection, STATEMENTS.totals_by_day, values)
    by_outcome = fetch_all(connection, STATEMENTS.outcomes_by_day, values)
    names = sorted({row.name for row in rows})[:COLOURS]
    priced = [row for row in rows if row.cost and (row.are_few or _is_known(row))]
    units = sorted({_unit(row) for row in priced})
    minutes = {unit: sum(row.minutes for row in priced if _unit(row) == unit) for unit in units}
    costs = _layers(days, priced, _unit, "cost", units)
    return DailyTotals(
        days,
        _layers(days, rows, _name, "calls", names),
        _layers(days, by_outcome, lambda row: row.outcome, "calls", OUTCOMES),
        _layers(days, rows, _name, "minutes", names),
        costs,
        int(sum(row.answered for row in rows)),
        {unit: sum(costs[unit]) / float(minutes[unit]) for unit in units if minutes[unit]},
    )


def _name(row: Any) -> str:
    return str(row.name)


def _is_known(row: Any) -> bool:
    return row.cost_unit not in (None, "unknown")


def _unit(row: Any) -> str:
    """The unit of a cost: sources with one unit are added up, those whose unit is unknown are not."""
    return str(row.cost_unit) if _is_known(row) else f"unknown unit of {row.name}"


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
