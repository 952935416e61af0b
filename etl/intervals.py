"""Sets of instants of source time, as half-open intervals that do not touch."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from etl.model import Window


def coalesce(windows: Iterable[Window]) -> tuple[Window, ...]:
    """The same instants as the fewest intervals, oldest first; those that touch become one."""
    out: list[Window] = []
    for window in sorted((w for w in windows if w), key=lambda w: w.start):
        if out and window.start <= out[-1].end:
            out[-1] = Window(out[-1].start, max(out[-1].end, window.end))
        else:
            out.append(window)
    return tuple(out)


def subtract(wanted: Window, covered: Iterable[Window]) -> tuple[Window, ...]:
    """The parts of a window that no interval covers, oldest first."""
    parts: list[Window] = []
    start = wanted.start
    for window in coalesce(covered):
        if window.end <= start or window.start >= wanted.end:
            continue
        if window.start > start:
            parts.append(Window(start, window.start))
        start = max(start, window.end)
    rest = Window(start, wanted.end)
    return tuple(parts) + ((rest,) if rest else ())


def gaps(covered: Iterable[Window]) -> tuple[Window, ...]:
    """The gaps between intervals, oldest first."""
    return tuple(Window(older.end, newer.start) for older, newer in pairwise(coalesce(covered)))


class UnreadableRanges:
    """The ranges of source time in which calls that a scan could not read must lie, by the pages around them."""

    def __init__(self) -> None:
        self.spans: list[Window] = []
        self.flaw: Exception | None = None  # why the last one could not be read
        self._before: list[datetime] = []
        self._is_open = False

    def take(self, times: Sequence[datetime], flaw: Exception | None) -> None:
        """Adds the creation times of the next page, and the error of a call on it that could not be read."""
        self.flaw = flaw or self.flaw
        if self._is_open and times:
            self.spans[-1] = _around([self.spans[-1].start, self.spans[-1].end, *times])
        self._is_open = flaw is not None or (self._is_open and not times)
        if flaw is not None and (near := [*self._before, *times]):
            self.spans.append(_around(near))
        self._before = list(times) or self._before


def _around(times: Sequence[datetime]) -> Window:
    return Window(min(times), max(times) + timedelta(microseconds=1))
