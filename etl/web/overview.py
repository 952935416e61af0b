"""Every source's status row → the headline and the cards of the first page, and its charts (pure)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from etl.reports.source_health import (
    BAD,
    BADGES,
    GOOD,
    OFF,
    UNSURE,
    WARNING,
    AssessedSource,
    SourceHealth,
    count_badges,
)
from etl.runtime.humanize import ago, counted, duration
from etl.web import charts, sync_state
from etl.web.daily_totals import OTHERS, OUTCOMES, DailyTotals
from etl.web.formatting import amount, label, share

MOST_CARDS, LIST_SIZE = 20, 25  # more sources than fit as cards are a list
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
OF_ALL = {  # the headline where all sources have this badge
    "failing": "No source can be read.",
    "stale": "No source was read in time.",
    "never synced": "No source has been read yet.",
    "initial sync": "The history of all sources is being read.",
    "not compared": "No source is known to be complete yet.",
}


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
    """One chart with its title, its legend (name, colour and share), and its numbers as a table."""

    name: str
    title: str
    total: str
    note: str
    chart: charts.Chart
    legend: Sequence[tuple[str, str, str]]
    days: Sequence[Any]
    layers: Mapping[str, Sequence[float]]
    decimals: int


@dataclass(frozen=True, slots=True)
class SourceList:
    """The sources of one page of the list: those that a search and a badge leave, the worst first.

    ``total`` counts all sources, and ``badges`` what the search alone leaves; a page is numbered from 1.
    """

    total: int
    shown: Sequence[AssessedSource]
    badges: Mapping[str, int]
    words: str
    badge: str
    page: int
    pages: int

    def query(self, **changes: object) -> str:
        """The query of a link that changes some of it."""
        given = {"q": self.words, "state": self.badge, "page": self.page} | changes
        return urlencode({name: value for name, value in given.items() if value not in ("", 1)})


def source_list(assessed: Sequence[AssessedSource], given: Mapping[str, str]) -> SourceList:
    """The sources whose name or provider contains the words of a query, and which have its badge."""
    words, badge, page = given.get("q", "").strip()[:100], given.get("state", ""), given.get("page", "")
    found = [each for each in assessed if all(word in _names(each) for word in words.lower().split())]
    badges = count_badges(found)
    left = [each for each in found if badge in ("", each.health.badge)]
    pages = max(-(-len(left) // LIST_SIZE), 1)
    number = min(int(page), pages) if page.isdecimal() and len(page) < 9 and int(page) else 1
    shown = left[(number - 1) * LIST_SIZE : number * LIST_SIZE]
    return SourceList(len(assessed), shown, badges, words, badge if badge in BADGES else "", number, pages)


def _names(each: AssessedSource) -> str:
    return f"{each.row['source']} {each.row['provider']}".lower()


def card(
    assessed: AssessedSource, runs: Sequence[Any], now: datetime, run_count: int = sync_state.RUNS_ON_CARD
) -> Card:
    """One source's card, with its last ``run_count`` runs."""
    row, source, health = assessed
    recent = runs[-run_count:]
    bars = charts.runs([(run.status, run.received, run_label(run, now)) for run in recent])
    failed = sum(run.status in ("failed", "interrupted") for run in recent)
    text = f"{counted(len(recent), 'run')}, {failed or 'none'} failed or interrupted"
    configured = source.requests_per_minute if source else None
    limit = row["rate_per_minute"] or configured
    is_lowered = bool(limit and configured and limit < configured)
    rate = sync_state.requests_per_minute(runs, now)
    return Card(row, health, bars, text, rate, limit, is_lowered)


def run_label(run: Any, now: datetime) -> str:
    """A run in one line."""
    seconds = ((run.finished_at or now) - run.started_at).total_seconds()
    counts = f"{run.received:,} received, {run.inserted:,} new, {run.updated:,} changed"
    return f"{run.kind} {run.status}, {ago(run.started_at, now)}, {duration(seconds)}: {counts}"


def headline(assessed: Sequence[AssessedSource], now: datetime) -> Headline:
    """What is wrong with the source that is worst off, and how many others have problems; or that all are well."""
    configured = [each for each in assessed if each.health.level != OFF]
    if not configured:
        return Headline(UNSURE, "No source is configured yet.")
    detail, worst, count = _detail(configured, now), configured[0].health, len(configured)
    alike = [each for each in configured if each.health.badge == worst.badge]
    if worst.level == GOOD:
        whole = "The only source is" if count == 1 else f"All {_spelled(count)} sources are"
        return Headline(GOOD, f"{whole} up to date and complete.", detail)
    if len(alike) == count > 1 and worst.badge in OF_ALL:
        return Headline(worst.level, OF_ALL[worst.badge], detail)
    is_bad = worst.level in (BAD, WARNING)
    others = sum(each.health.level in ((BAD, WARNING) if is_bad else (UNSURE,)) for each in configured) - 1
    if is_bad and count > MOST_CARDS and others:
        return Headline(worst.level, f"{others + 1:,} of {count:,} sources need attention.", detail)
    text = f"{worst.headline[:1].upper()}{worst.headline[1:]}"
    return Headline(worst.level, f"{text}{_and_others(others, is_bad)}.", detail)


def _and_others(count: int, is_bad: bool) -> str:
    if not count:
        return ""
    sources = f"{_spelled(count)} other {'source' if count == 1 else 'sources'}"
    if is_bad:
        return f", and {sources} {'needs' if count == 1 else 'need'} attention"
    return f", and {sources} {'is' if count == 1 else 'are'} not known to be complete"


def _detail(assessed: Sequence[AssessedSource], now: datetime) -> str:
    newest = max((each.row["newest_call_at"] for each in assessed if each.row["newest_call_at"]), default=None)
    calls, open_calls, quarantined = (
        sum(each.row[name] for each in assessed) for name in ("calls", "open_calls", "quarantined")
    )
    if not newest:
        return "No call is stored yet."
    waiting = f"{counted(quarantined, 'record')} in quarantine" if quarantined else "nothing in quarantine"
    return (
        f"{counted(calls, 'call')} stored, the newest {ago(newest, now)}; {amount(open_calls)} still open, {waiting}."
    )


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
    totals: DailyTotals,
    name: str,
    unit: str,
    layers: Mapping[str, Sequence[float]],
    colours: Mapping[str, str],
) -> Plot:
    sums = {layer: sum(numbers) for layer, numbers in layers.items()}
    whole = sum(sums.values())
    legend = [(label(layer), colours[layer], share(part, whole)) for layer, part in sums.items()]
    is_split = len(layers) > 1 or name == "outcomes"
    chart = charts.stacked(totals.days, layers, colours, unit, is_split=is_split)
    total, note = amount(whole), ""
    if name == "outcomes":
        total, note = f"{share(totals.answered, whole)} answered", f"{amount(totals.answered)} of {amount(whole)} calls"
    legend = legend if is_split else []
    return Plot(name, name.capitalize(), total, note, chart, legend, totals.days, layers, 0)


def _cost_plot(totals: DailyTotals, unit: str, numbers: Sequence[float]) -> Plot:
    chart = charts.stacked(totals.days, {unit: numbers}, {unit: "cost"}, unit.partition(" of ")[0], 2)
    per_minute = totals.costs_per_minute.get(unit)
    note = "" if per_minute is None else f"{amount(per_minute, 2 if per_minute >= 1 else 4)} per minute"
    name = f"cost-{unit.replace(' ', '-')}"
    return Plot(name, f"Cost, {unit}", amount(sum(numbers), 2), note, chart, [], totals.days, {"cost": numbers}, 2)
