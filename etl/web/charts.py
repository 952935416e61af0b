"""Numbers → the shapes of a plot: across in percent, so that it fits any screen, and down in pixels (pure)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from etl.model import Window
from etl.state.daily_checks import DayStatus
from etl.web.formatting import day, of_time, short

HEIGHT, TOP = 150.0, 8.0  # of a plot of days, and of the room above it for half of the topmost label
RUNS_HEIGHT, BASE = 40.0, 30.0  # of the plot of runs, and of its base line: what failed hangs below it
NARROWEST = 0.6  # percent: a gap of an hour in a year is still to be seen


@dataclass(frozen=True, slots=True)
class Part:
    """One rectangle of a bar; ``kind`` is the class that colours it."""

    y: float
    height: float
    kind: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: where it stands, what it is made of, and what it says to those who cannot see it."""

    x: float
    width: float
    parts: tuple[Part, ...]
    said: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A line across with its label, or a label below."""

    at: float
    label: str
    anchor: str = "start"


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars side by side over marks; ``said`` is the whole of it in a sentence."""

    bars: tuple[Bar, ...]
    lines: tuple[Mark, ...]
    labels: tuple[Mark, ...]
    height: float
    said: str


def stacked(days: Sequence[date], layers: Mapping[str, Sequence[float]], kinds: Mapping[str, str], what: str) -> Chart:
    """Days side by side, layers on top of each other; ``layers`` holds one number per day and name."""
    totals = [sum(numbers) for numbers in zip(*layers.values(), strict=True)] if layers else [0.0] * len(days)
    top = nice(max(totals, default=0))
    slot = 100 / max(len(days), 1)
    bars = tuple(
        Bar(place * slot, slot, _stack(place, layers, kinds, top), _said(each, place, layers, totals[place], what))
        for place, each in enumerate(days)
    )
    lines = tuple(Mark(_down(value, top), short(value)) for value in (top, top / 2, 0))
    return Chart(bars, lines, _days(days), TOP + HEIGHT, f"{what} per day: {sum(totals):,.0f} in {len(days)} days")


def nice(most: float) -> float:
    """The least round number that is not below, and whose half is as round."""
    if most <= 0:
        return 1
    size = 10.0 ** math.floor(math.log10(most))
    return next(size * step for step in (1, 2, 3, 4, 6, 8, 10) if size * step >= most * 0.999999)


def _stack(place: int, layers: Mapping[str, Sequence[float]], kinds: Mapping[str, str], top: float) -> tuple[Part, ...]:
    parts, below = [], 0.0
    for name, numbers in layers.items():
        if numbers[place] > 0:
            above = below + numbers[place]
            parts.append(Part(_down(above, top), _down(below, top) - _down(above, top), kinds[name]))
            below = above
    return tuple(parts)


def _down(value: float, top: float) -> float:
    return round(TOP + HEIGHT - value / top * HEIGHT, 2)


def _said(each: date, place: int, layers: Mapping[str, Sequence[float]], total: float, what: str) -> str:
    parts = [f"{name} {numbers[place]:,.4g}" for name, numbers in layers.items() if numbers[place]]
    split = f" ({', '.join(parts)})" if len(parts) > 1 else f" ({parts[0].rpartition(' ')[0]})" if parts else ""
    return f"{each:%a} {each.day} {each:%b}: {total:,.10g} {what}{split}"


def _days(days: Sequence[date]) -> tuple[Mark, ...]:
    if not days:
        return ()
    middle = len(days) // 2
    marks = [Mark(0, f"{days[0].day} {days[0]:%b}"), Mark(100, f"{days[-1].day} {days[-1]:%b}", "end")]
    if len(days) > 2:
        marks.insert(1, Mark((middle + 0.5) * 100 / len(days), f"{days[middle].day} {days[middle]:%b}", "middle"))
    return tuple(marks)


def runs(statuses: Sequence[tuple[str, float, str]], room: int) -> tuple[Bar, ...]:
    """One bar per run, the newest at the right: its status, how much it did (0 or more), and what it says.

    A run that did its work stands on the base line, one that failed hangs below it.
    """
    slot = 100 / room
    most = max((size for _, size, _ in statuses), default=0)
    first = room - len(statuses)
    return tuple(
        Bar((first + place) * slot, slot * 0.72, (_run(status, size, most),), said)
        for place, (status, size, said) in enumerate(statuses)
    )


def _run(status: str, size: float, most: float) -> Part:
    if status in ("failed", "interrupted"):
        return Part(BASE + 1, RUNS_HEIGHT - BASE - 1, status)
    high = 4 + (BASE - 6) * (math.log1p(size) / math.log1p(most) if most else 0)
    return Part(round(BASE - high, 2), round(high, 2), status)


@dataclass(frozen=True, slots=True)
class ChartSpan:
    """A piece of a timeline, in percent; ``kind`` is held, gap, or another verdict."""

    x: float
    width: float
    kind: str
    said: str


def timeline(span: Window, held: Sequence[Window], lacking: Sequence[Window]) -> tuple[ChartSpan, ...]:
    """What is held of a span, and on top of it what is not, never too narrow to be seen."""
    whole = span.end - span.start
    pieces = [(window, "held") for window in held] + [(window, "incomplete") for window in lacking]
    return tuple(_stretch(span, window, kind, whole) for window, kind in pieces if window.end > span.start)


def _stretch(span: Window, window: Window, kind: str, whole: timedelta) -> ChartSpan:
    left = of_time(window.start - span.start, whole)
    right = of_time(window.end - span.start, whole)
    width = max(right - left, NARROWEST)
    said = f"{'held' if kind == 'held' else 'not held'}: {_at(window.start)} to {_at(window.end)}"
    return ChartSpan(round(min(left, 100 - width), 3), round(width, 3), kind, said)


def days(span: Window, verdicts: Iterable[DayStatus], zone: tzinfo) -> tuple[ChartSpan, ...]:
    """What was found of each day; neighbours with the same verdict and nothing missing are one piece.

    The days are those of the source's time zone.
    """
    runs: list[tuple[date, date, DayStatus]] = []
    for each in sorted(verdicts, key=lambda verdict: verdict.day):
        last = runs[-1] if runs else None
        is_same = last and (each.status, each.reason) == (last[2].status, last[2].reason) and not each.missing_count
        if last and is_same and each.day - last[1] == timedelta(days=1):
            runs[-1] = (last[0], each.day, each)
        else:
            runs.append((each.day, each.day, each))
    return tuple(_proved(span, first, last, verdict, zone) for first, last, verdict in runs)


def _proved(span: Window, first: date, last: date, verdict: DayStatus, zone: tzinfo) -> ChartSpan:
    start, end = (datetime.combine(day, time(), zone).astimezone(UTC) for day in (first, last + timedelta(days=1)))
    piece = _stretch(span, Window(start, end), verdict.status, span.end - span.start)
    reason = f": {verdict.reason}" if verdict.reason else ""
    return replace(piece, said=f"{first}{f' to {last}' if last > first else ''}: {verdict.status}{reason}")


def months(span: Window) -> tuple[Mark, ...]:
    """The ends of a timeline and, between them, as many days as there is room for."""
    whole = span.end - span.start
    marks = [Mark(0, day(span.start))]
    marks += [Mark(part * 100, day(span.start + whole * part), "middle") for part in (1 / 3, 2 / 3)]
    return (*marks, Mark(100, "now", "end"))


def _at(value: datetime) -> str:
    return f"{value.day} {value:%b %Y %H:%M}"
