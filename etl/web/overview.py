"""Every source's row of the books → the sentence and the cards of the first page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from etl.model import Source
from etl.runtime.humanize import ago, counted, duration
from etl.web import charts, sync_state
from etl.web.figures import OTHERS, OUTCOMES, Figures
from etl.web.formatting import amount
from etl.web.source_health import BAD, GOOD, OFF, UNSURE, WARNING, WORST_FIRST, SourceHealth, assess

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, slots=True)
class Card:
    """One source at a glance; ``row`` is its row of :func:`etl.reports.status.status`."""

    row: Mapping[str, Any]
    judged: SourceHealth
    runs: tuple[charts.Bar, ...]
    runs_said: str
    rate: float
    limit: float | None
    is_lowered: bool  # the provider allows less than is configured


@dataclass(frozen=True, slots=True)
class Headline:
    """All of it in one sentence, and what follows from it."""

    kind: str
    said: str
    beside: str = ""


@dataclass(frozen=True, slots=True)
class Drawing:
    """One plot with its headline, what its colours mean, and its numbers as a table."""

    name: str
    title: str
    total: str
    plot: charts.Chart
    legend: Sequence[tuple[str, str]]
    figures: Figures
    layers: Mapping[str, Sequence[float]]
    places: int


def cards(
    rows: Sequence[Mapping[str, Any]],
    runs: Mapping[str, Sequence[Mapping[str, Any]]],
    sources: Sequence[Source],
    now: datetime,
) -> list[Card]:
    """The cards, those that somebody has to look at first."""
    known = {source.name: source for source in sources}
    made = [card(row, runs.get(row["source"], ()), known.get(row["source"]), now) for row in rows]
    return sorted(made, key=lambda each: (WORST_FIRST.index(each.judged.kind), each.row["source"]))


def card(
    row: Mapping[str, Any],
    runs: Sequence[Mapping[str, Any]],
    source: Source | None,
    now: datetime,
    room: int = sync_state.SHOWN_RUNS,
) -> Card:
    """One source's card, with so many of its last runs."""
    lately = runs[-room:]
    bars = charts.runs([(run["status"], run["received"], run_said(run, now)) for run in lately], room)
    failed = sum(run["status"] in ("failed", "interrupted") for run in lately)
    said = f"The last {counted(len(lately), 'run')}, {failed or 'none'} of them failed or cut off"
    configured = source.requests_per_minute if source else None
    limit = row["rate_per_minute"] or configured
    is_lowered = bool(limit and configured and limit < configured)
    rate = sync_state.requests_a_minute(runs, now)
    return Card(row, assess(row, source, now), bars, said, rate, limit, is_lowered)


def run_said(run: Mapping[str, Any], now: datetime) -> str:
    """A run in one line."""
    end = run["finished_at"] or now
    took = duration((end - run["started_at"]).total_seconds())
    did = f"{run['received']:,} received, {run['inserted']:,} new, {run['updated']:,} changed"
    return f"{run['kind']} {run['status']}, {ago(run['started_at'], now)}, {took}: {did}"


def headline(cards: Sequence[Card], now: datetime) -> Headline:
    """Whether everything is as it should be, for all sources that are configured."""
    counts = [card for card in cards if card.judged.kind != OFF]
    if not counts:
        return Headline(UNSURE, "No source is configured yet.")
    kinds = [card.judged.kind for card in counts]
    trouble, unsure = sum(kind in (BAD, WARNING) for kind in kinds), kinds.count(UNSURE)
    if trouble:
        return Headline(BAD if BAD in kinds else WARNING, _some(trouble, len(counts)), _beside(counts, now))
    if unsure:
        said = f"{_all(len(counts))} being read; {unsure} cannot be proved complete yet."
        return Headline(UNSURE, said, _beside(counts, now))
    return Headline(GOOD, f"{_all(len(counts))} fresh and complete.", _beside(counts, now))


def _beside(cards: Sequence[Card], now: datetime) -> str:
    """The rest of the news, in a line."""
    newest = max((card.row["newest_call_at"] for card in cards if card.row["newest_call_at"]), default=None)
    open_calls, waiting = (sum(card.row[name] for card in cards) for name in ("open_calls", "quarantined"))
    parts = [
        f"The newest call is of {ago(newest, now)}" if newest else "No call is held yet",
        f"{counted(open_calls, 'call')} may still change",
        f"{counted(waiting, 'record')} in quarantine" if waiting else "nothing is in quarantine",
    ]
    return ", ".join(parts[:2]) + f", {parts[2]}."


def _all(number: int) -> str:
    return "The only source is" if number == 1 else f"All {_number(number)} sources are"


def _some(few: int, whole: int) -> str:
    if whole == 1:
        return "The only source needs a look."
    return f"{_number(few).capitalize()} of {_number(whole)} sources {'needs' if few == 1 else 'need'} a look."


def _number(number: int) -> str:
    return NUMBERS[number] if number < len(NUMBERS) else str(number)


def drawings(figures: Figures) -> list[Drawing]:
    """The plots: calls and minutes by source, outcomes, and what was paid, one plot per unit."""
    colours = {name: f"c{place}" for place, name in enumerate(figures.calls)} | {OTHERS: "c7"}
    outcomes = {name: f"o-{name}" for name in (*OUTCOMES, OTHERS)}
    made = [
        _drawing("calls", "Calls", "calls", figures, figures.calls, colours),
        _drawing("outcomes", "Outcomes", "calls", figures, figures.outcomes, outcomes),
        _drawing("minutes", "Minutes", "minutes", figures, figures.minutes, colours),
    ]
    for unit, numbers in figures.costs.items():
        title = f"Cost, {unit}" if unit != "unknown" else "Cost, unit unknown"
        made.append(_drawing(f"cost-{unit}", title, unit, figures, {unit: numbers}, {unit: "cost"}, 2))
    return made


def _drawing(
    name: str, title: str, what: str, figures: Figures, layers: Mapping[str, Sequence[float]],
    colours: Mapping[str, str], places: int = 0,
) -> Drawing:  # fmt: skip
    total = amount(sum(map(sum, layers.values())), places)
    legend = [(_title(each), colours[each]) for each in layers]
    plot = charts.stacked(figures.days, layers, colours, what)
    return Drawing(name, title, total, plot, legend if len(legend) > 1 else [], figures, layers, places)


def _title(name: str) -> str:
    return name.replace("_", " ")
