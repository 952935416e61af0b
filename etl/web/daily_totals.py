"""The calls of the last days → one number per day for each source, outcome and unit of cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from etl.db.statements import Statements, fetch_all

RANGES = (7, 30, 90)
COLOURS = 8  # sources with a colour of their own; the others are one layer
OUTCOMES = ("completed", "voicemail", "in_progress", "no_answer", "busy", "canceled", "failed", "unknown")
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
    """The totals of the last ``day_count`` days in UTC, today included, of all sources or of one."""
    last = now.astimezone(UTC).date()
    days = tuple(last - timedelta(days=back) for back in reversed(range(day_count)))
    values = {"first": days[0], "last": last, "source": source}
    rows = fetch_all(connection, STATEMENTS.totals_by_day, values)
    by_source = [row for row in rows if not row.is_by_unit]
    by_unit = [row for row in rows if row.is_by_unit and row.cost]
    by_outcome = fetch_all(connection, STATEMENTS.outcomes_by_day, values)
    names = _largest(by_source)
    return DailyTotals(
        days,
        _layers(days, by_source, "source", "calls", names),
        _layers(days, by_outcome, "outcome", "calls", OUTCOMES),
        _layers(days, by_source, "source", "minutes", names),
        _layers(days, by_unit, "cost_unit", "cost", None),
        sum(row.answered for row in by_source),
        _costs_per_minute(by_unit),
    )


def _costs_per_minute(rows: Sequence[Any]) -> dict[str, float]:
    """The cost of a minute, by the unit of the cost."""
    totals: dict[str, list[float]] = {}
    for row in rows:
        total = totals.setdefault(_layer_name(row.cost_unit, None), [0.0, 0.0])
        total[0], total[1] = total[0] + float(row.cost), total[1] + float(row.minutes)
    return {unit: cost / minutes for unit, (cost, minutes) in totals.items() if minutes}


def _largest(rows: Sequence[Any]) -> tuple[str, ...]:
    """The sources with the most calls, in alphabetical order."""
    totals: dict[str, int] = {}
    for row in rows:
        totals[row.source] = totals.get(row.source, 0) + row.calls
    count = COLOURS if len(totals) <= COLOURS else COLOURS - 1
    return tuple(sorted(sorted(totals, key=lambda name: (-totals[name], name))[:count]))


def _layers(
    days: Sequence[date], rows: Sequence[Any], name: str, value: str, names: Sequence[str] | None
) -> dict[str, list[float]]:
    """One list of numbers for each name that occurs, in the order of ``names``; all other names are one layer."""
    positions = {day: position for position, day in enumerate(days)}
    found: dict[str, list[float]] = {}
    for row in rows:
        key = _layer_name(getattr(row, name), names)
        found.setdefault(key, [0.0] * len(days))[positions[row.day]] += float(getattr(row, value) or 0)
    order = [*names, OTHERS] if names is not None else sorted(found)
    return {key: found[key] for key in order if key in found}


def _layer_name(value: Any, names: Sequence[str] | None) -> str:
    if names is None:
        return str(value or "unknown")
    return str(value) if value in names else OTHERS
