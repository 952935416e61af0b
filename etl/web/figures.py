"""Calls of the last days → one number per day and source, outcome or unit of cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, text

RANGES = (7, 30, 90)
COLOURS = 8  # sources with a colour of their own; the rest are one layer
OUTCOMES = ("completed", "voicemail", "in_progress", "no_answer", "busy", "canceled", "failed", "unknown")
OTHERS = "others"
BY_DAY = text("""
    SELECT day, source, cost_unit, grouping(source) AS of_unit, sum(calls) AS calls, sum(duration_seconds) / 60 AS minutes,
           sum(cost) AS cost
      FROM warehouse.call_rollup_daily JOIN warehouse.call_dimensions USING (dimension_id)
     WHERE day >= :first AND day <= :last AND (:source = '' OR source = :source)
     GROUP BY GROUPING SETS ((day, source), (day, cost_unit))
     LIMIT 100000
""")
BY_OUTCOME = text("""
    SELECT day, outcome, sum(calls) AS calls
      FROM warehouse.stream_rollup_daily
     WHERE day >= :first AND day <= :last AND (:source = '' OR source = :source) AND partition = ''
     GROUP BY day, outcome
     LIMIT 100000
""")


@dataclass(frozen=True, slots=True)
class Figures:
    """Layers of numbers, one number per day each: ``costs`` by unit, of those that anything was paid in."""

    days: tuple[date, ...]
    calls: Mapping[str, Sequence[float]]
    outcomes: Mapping[str, Sequence[float]]
    minutes: Mapping[str, Sequence[float]]
    costs: Mapping[str, Sequence[float]]


def figures(connection: Connection, now: datetime, length: int, source: str = "") -> Figures:
    """The figures of the last so many days, today included, of all sources or of one."""
    last = now.astimezone(UTC).date()
    days = tuple(last - timedelta(days=back) for back in reversed(range(length)))
    values = {"first": days[0], "last": last, "source": source}
    rows = connection.execute(BY_DAY, values).mappings().all()
    by_source = [row for row in rows if not row["of_unit"]]
    by_unit = [row for row in rows if row["of_unit"]]
    by_outcome = connection.execute(BY_OUTCOME, values).mappings().all()
    shown = _largest(by_source)
    return Figures(
        days,
        _layers(days, by_source, "source", "calls", shown),
        _layers(days, by_outcome, "outcome", "calls", OUTCOMES),
        _layers(days, by_source, "source", "minutes", shown),
        _layers(days, [row for row in by_unit if row["cost"]], "cost_unit", "cost", None),
    )


def _largest(rows: Sequence[RowMapping]) -> tuple[str, ...]:
    """The sources with the most calls, in the order of their names."""
    totals: dict[str, int] = {}
    for row in rows:
        totals[row["source"]] = totals.get(row["source"], 0) + row["calls"]
    room = COLOURS if len(totals) <= COLOURS else COLOURS - 1
    return tuple(sorted(sorted(totals, key=lambda name: (-totals[name], name))[:room]))


def _layers(
    days: Sequence[date], rows: Sequence[RowMapping], name: str, value: str, shown: Sequence[str] | None
) -> dict[str, list[float]]:
    """One list of numbers per name that occurs, in the order of ``shown``; names beside those are one layer."""
    places = {day: place for place, day in enumerate(days)}
    found: dict[str, list[float]] = {}
    for row in rows:
        key = _key(row[name], shown)
        found.setdefault(key, [0.0] * len(days))[places[row["day"]]] += float(row[value] or 0)
    order = [*shown, OTHERS] if shown is not None else sorted(found)
    return {key: found[key] for key in order if key in found}


def _key(value: Any, shown: Sequence[str] | None) -> str:
    if shown is None:
        return str(value or "unknown")
    return str(value) if value in shown else OTHERS
