"""Numbers → the shapes of a chart: horizontally in percent, so that it fits any screen, vertically in pixels (pure)."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from etl.model import Window
from etl.state.daily_checks import DayStatus
from etl.web.formatting import amount, label, short, short_date

HEIGHT, TOP = 150.0, 8.0  # of a chart of days, and of the space above it for half of the topmost axis label
RUNS_HEIGHT, BASELINE = 40.0, 30.0  # of the chart of runs, and of its base line: failed runs hang below it
MIN_RUN_SLOTS = 16  # a bar is no wider than a sixteenth of the chart
MIN_WIDTH_PERCENT = 0.6  # a gap of an hour in a year stays visible


@dataclass(frozen=True, slots=True)
class Part:
    """One rectangle of a bar; ``kind`` is the CSS class that colours it."""

    y: float
    height: float
    kind: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; ``label`` is its tooltip, and its text for a screen reader."""

    x: float
    width: float
    parts: tuple[Part, ...]
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A grid line or an axis label."""

    at: float
    label: str
    anchor: str = "start"


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars over grid lines; ``label`` describes the whole chart in one sentence."""

    bars: tuple[Bar, ...]
    lines: tuple[Mark, ...]
    labels: tuple[Mark, ...]
    height: float
    label: str


def stacked(
    days: Sequence[date],
    layers: Mapping[str, Sequence[float]],
    kinds: Mapping[str, str],
    unit: str,
    decimals: int = 0,
    *,
    is_split: bool = False,
) -> Chart:
    """One bar per day, its layers on top of each other; ``layers`` has one number per day for each name.

    ``unit`` follows a number: a plural word or a sign. Where ``is_split``, a day's label has the number of each layer.
    """
    totals = [sum(numbers) for numbers in zip(*layers.values(), strict=True)] if layers else [0.0] * len(days)
    top = nice(max(totals, default=0))
    width = 100 / max(len(days), 1)
    bars = []
    for index, day in enumerate(days):
        values = {name: numbers[index] for name, numbers in layers.items() if numbers[index] > 0}
        text = _day_label(day, values if is_split else {}, totals[index], unit, decimals)
        bars.append(Bar(round(index * width, 3), round(width, 3), _stack(values, kinds, top), text))
    lines = tuple(Mark(_y(value, top), short(value)) for value in (top, top / 2, 0))
    description = f"{amount(sum(totals), decimals)} {unit} in {len(days)} days"
    return Chart(tuple(bars), lines, _day_marks(days), TOP + HEIGHT, description)


def nice(most: float) -> float:
    """The smallest round number that is not below ``most`` and whose half is round too."""
    if most <= 0:
        return 1
    size = 10.0 ** math.floor(math.log10(most))
    return next(size * step for step in (1, 2, 3, 4, 6, 8, 10) if size * step >= most * 0.999999)


def _stack(values: Mapping[str, float], kinds: Mapping[str, str], top: float) -> tuple[Part, ...]:
    parts, lower = [], 0.0
    for name, value in values.items():
        upper = lower + value
        parts.append(Part(_y(upper, top), _y(lower, top) - _y(upper, top), kinds[name]))
        lower = upper
    return tuple(parts)


def _y(value: float, top: float) -> float:
    return round(TOP + HEIGHT - value / top * HEIGHT, 2)


def _day_label(day: date, values: Mapping[str, float], total: float, unit: str, decimals: int) -> str:
    shown = amount(total, decimals)
    text = f"{day:%a} {day.day} {day:%b}: {shown} {unit.removesuffix('s') if shown == '1' else unit}"
    parts = ", ".join(f"{label(name)} {amount(value, decimals)}" for name, value in values.items())
    return f"{text} ({parts})" if parts else text


def _day_marks(days: Sequence[date]) -> tuple[Mark, ...]:
    if not days:
        return ()
    middle = len(days) // 2
    marks = [Mark(0, f"{days[0].day} {days[0]:%b}"), Mark(100, f"{days[-1].day} {days[-1]:%b}", "end")]
    if len(days) > 2:
        marks.insert(1, Mark((middle + 0.5) * 100 / len(days), f"{days[middle].day} {days[middle]:%b}", "middle"))
    return tuple(marks)


def runs(statuses: Sequence[tuple[str, float, str]]) -> tuple[Bar, ...]:
    """One bar per run, the newest at the right, from its status, its size (0 or more) and its label.

    A run that succeeded stands on the base line, one that failed hangs below it. Few runs begin at the left.
    """
    width = 100 / max(len(statuses), MIN_RUN_SLOTS)
    largest = max((size for _, size, _ in statuses), default=0)
    return tuple(
        Bar(round(index * width, 3), round(width * 0.72, 3), (_run(status, size, largest),), text)
        for index, (status, size, text) in enumerate(statuses)
    )


def _run(status: str, size: float, largest: float) -> Part:
    if status in ("failed", "interrupted"):
        return Part(BASELINE + 1, RUNS_HEIGHT - BASELINE - 1, status)
    height = 4 + (BASELINE - 6) * (math.log1p(size) / math.log1p(largest) if largest else 0)
    return Part(round(BASELINE - height, 2), round(height, 2), status)


@dataclass(frozen=True, slots=True)
class ChartSpan:
    """A piece of a timeline, in percent; ``kind`` is stored, incomplete or another status of a day."""

    x: float
    width: float
    kind: str
    label: str


def timeline(span: Window, covered: Sequence[Window], gaps: Sequence[Window]) -> tuple[ChartSpan, ...]:
    """What of a span is stored, and on top of it the gaps, never too narrow to be seen."""
    pieces = [(window, "stored", "stored") for window in covered]
    pieces += [(window, "incomplete", "gap") for window in gaps]
    return tuple(
        _piece(span, window, kind, f"{name}: {_short_time(window.start)} to {_short_time(window.end)}")
        for window, kind, name in pieces
        if window.end > span.start
    )


def _piece(span: Window, window: Window, kind: str, text: str) -> ChartSpan:
    length = span.end - span.start
    left, right = (_percent(at - span.start, length) for at in (window.start, window.end))
    width = max(right - left, MIN_WIDTH_PERCENT)
    return ChartSpan(round(min(left, 100 - width), 3), round(width, 3), kind, text)


def _percent(part: timedelta, whole: timedelta) -> float:
    return min(max(part / whole * 100, 0.0), 100.0) if whole else 0.0


def days(span: Window, checks: Iterable[DayStatus], zone: tzinfo) -> tuple[ChartSpan, ...]:
    """The result of `etl verify` for each day; consecutive days with the same result and no missing call are one piece.

    The days are those of the source's time zone.
    """
    pieces: list[tuple[date, date, DayStatus]] = []
    for check in sorted(checks, key=lambda check: check.day):
        last = pieces[-1] if pieces else None
        is_same = last and (check.status, check.reason) == (last[2].status, last[2].reason) and not check.missing_count
        if last and is_same and check.day - last[1] == timedelta(days=1):
            pieces[-1] = (last[0], check.day, check)
        else:
            pieces.append((check.day, check.day, check))
    return tuple(_checked_days(span, first, last, check, zone) for first, last, check in pieces)


def _checked_days(span: Window, first: date, last: date, check: DayStatus, zone: tzinfo) -> ChartSpan:
    start, end = (datetime.combine(day, time(), zone).astimezone(UTC) for day in (first, last + timedelta(days=1)))
    when = f"{first} to {last}" if last > first else f"{first}"
    reason = f": {check.reason.replace('`', '')}" if check.reason else ""
    return _piece(span, Window(start, end), check.status, f"{when}: {label(check.status)}{reason}")


def axis_marks(span: Window) -> tuple[Mark, ...]:
    """The axis labels of a timeline: its ends, and two dates between them."""
    length = span.end - span.start
    marks = [Mark(0, short_date(span.start))]
    marks += [Mark(part * 100, short_date(span.start + length * part), "middle") for part in (1 / 3, 2 / 3)]
    return (*marks, Mark(100, "now", "end"))


def _short_time(value: datetime) -> str:
    return f"{short_date(value)} {value:%H:%M}"
