"""Every source's status row → the headline and the cards of the first page, and its charts (pure)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from etl.model import Source
from etl.runtime.humanize import ago, counted, duration
from etl.web import charts, sync_state
from etl.web.daily_totals import OTHERS, OUTCOMES, DailyTotals
from etl.web.formatting import amount, label
from etl.web.source_health import BAD, GOOD, OFF, UNSURE, WARNING, WORST_FIRST, SourceHealth, assess

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, slots=True)
class Card:
    """One source at a glance; ``row`` is its row of :func:`etl.reports.status.status`."""

    row: Mapping[str, Any]
    health: SourceHealth
    runs: tuple[charts.Bar, ...]
    runs_label: str
    requests_per_minute: float
    limit_per_minute: float | None
    is_rate_lowered: bool  # after the provider answered that the configured rate is too high


@dataclass(frozen=True, slots=True)
class Headline:
    """The state of all sources in one sentence, and a line of detail below it."""

    level: str
    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Plot:
    """One chart with its title, its legend, and its numbers as a table."""

    name: str
    title: str
    total: str
    chart: charts.Chart
    legend: Sequence[tuple[str, str]]
    days: Sequence[Any]
    layers: Mapping[str, Sequence[float]]
    decimals: int


def cards(
    rows: Sequence[Mapping[str, Any]],
    runs: Mapping[str, Sequence[Any]],
    sources: Sequence[Source],
    now: datetime,
) -> list[Card]:
    """One card per source, those that need attention first."""
    configured = {source.name: source for source in sources}
    found = [card(row, runs.get(row["source"], ()), configured.get(row["source"]), now) for row in rows]
    return sorted(found, key=lambda card: (WORST_FIRST.index(card.health.level), card.row["source"]))


def card(
    row: Mapping[str, Any],
    runs: Sequence[Any],
    source: Source | None,
    now: datetime,
    run_count: int = sync_state.RUNS_ON_CARD,
) -> Card:
    """One source's card, with its last ``run_count`` runs."""
    recent = runs[-run_count:]
    bars = charts.runs([(run.status, run.received, run_label(run, now)) for run in recent], run_count)
    failed = sum(run.status in ("failed", "interrupted") for run in recent)
    text = f"The last {counted(len(recent), 'run')}, {failed or 'none'} of them failed or interrupted"
    configured = source.requests_per_minute if source else None
    limit = row["rate_per_minute"] or configured
    is_lowered = bool(limit and configured and limit < configured)
    rate = sync_state.requests_per_minute(runs, now)
    return Card(row, assess(row, source, now), bars, text, rate, limit, is_lowered)


def run_label(run: Any, now: datetime) -> str:
    """A run in one line."""
    seconds = ((run.finished_at or now) - run.started_at).total_seconds()
    counts = f"{run.received:,} received, {run.inserted:,} new, {run.updated:,} changed"
    return f"{run.kind} {run.status}, {ago(run.started_at, now)}, {duration(seconds)}: {counts}"


def headline(cards: Sequence[Card], now: datetime) -> Headline:
    """Whether all configured sources are as they should be."""
    counted_cards = [card for card in cards if card.health.level != OFF]
    if not counted_cards:
        return Headline(UNSURE, "No source is configured yet.")
    levels = [card.health.level for card in counted_cards]
    trouble, unsure = sum(level in (BAD, WARNING) for level in levels), levels.count(UNSURE)
    detail = _detail(counted_cards, now)
    if trouble:
        return Headline(BAD if BAD in levels else WARNING, _some(trouble, len(levels)), detail)
    if unsure:
        return Headline(UNSURE, f"{_all(len(levels))} being read; {unsure} not yet known to be complete.", detail)
    return Headline(GOOD, f"{_all(len(levels))} up to date and complete.", detail)


def _detail(cards: Sequence[Card], now: datetime) -> str:
    newest = max((card.row["newest_call_at"] for card in cards if card.row["newest_call_at"]), default=None)
    open_calls, quarantined = (sum(card.row[name] for card in cards) for name in ("open_calls", "quarantined"))
    parts = [
        f"Newest call {ago(newest, now)}" if newest else "No call is stored yet",
        f"{counted(open_calls, 'call')} still open",
        f"{counted(quarantined, 'record')} in quarantine" if quarantined else "nothing in quarantine",
    ]
    return f"{', '.join(parts)}."


def _all(number: int) -> str:
    return "The only source is" if number == 1 else f"All {_spelled(number)} sources are"


def _some(few: int, all_: int) -> str:
    if all_ == 1:
        return "The only source needs attention."
    return f"{_spelled(few).capitalize()} of {_spelled(all_)} sources {'needs' if few == 1 else 'need'} attention."


def _spelled(number: int) -> str:
    return NUMBERS[number] if number < len(NUMBERS) else str(number)


def plots(totals: DailyTotals) -> list[Plot]:
    """Calls by source, calls by outcome, minutes by source, and one chart of cost per unit."""
    colours = {name: f"c{index}" for index, name in enumerate(totals.calls)} | {OTHERS: "c7"}
    outcomes = {name: f"o-{name}" for name in (*OUTCOMES, OTHERS)}
    found = [
        _plot(totals, "calls", "calls", totals.calls, colours),
        _plot(totals, "outcomes", "calls", totals.outcomes, outcomes),
        _plot(totals, "minutes", "minutes", totals.minutes, colours),
    ]
    return found + [_cost_plot(totals, unit, numbers) for unit, numbers in totals.costs.items()]


def _plot(
    totals: DailyTotals, name: str, unit: str, layers: Mapping[str, Sequence[float]], colours: Mapping[str, str]
) -> Plot:
    legend = [(label(layer), colours[layer]) for layer in layers] if len(layers) > 1 else []
    chart = charts.stacked(totals.days, layers, colours, unit)
    return Plot(name, name.capitalize(), amount(sum(map(sum, layers.values()))), chart, legend, totals.days, layers, 0)


def _cost_plot(totals: DailyTotals, unit: str, numbers: Sequence[float]) -> Plot:
    title = f"Cost, {unit}" if unit != "unknown" else "Cost, unit unknown"
    chart = charts.stacked(totals.days, {unit: numbers}, {unit: "cost"}, unit, 2)
    return Plot(f"cost-{unit}", title, amount(sum(numbers), 2), chart, [], totals.days, {unit: numbers}, 2)
