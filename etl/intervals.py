"""What is held of source time, as a list of half-open intervals that do not touch."""

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


def subtract(wanted: Window, held: Iterable[Window]) -> tuple[Window, ...]:
    """The parts of a window that no interval holds, oldest first."""
    parts: list[Window] = []
    start = wanted.start
    for window in coalesce(held):
        if window.end <= start or window.start >= wanted.end:
            continue
        if window.start > start:
            parts.append(Window(start, window.start))
        start = max(start, window.end)
    rest = Window(start, wanted.end)
    return tuple(parts) + ((rest,) if rest else ())


def gaps(held: Iterable[Window]) -> tuple[Window, ...]:
    """What lies between the intervals."""
    return tuple(Window(older.end, newer.start) for older, newer in pairwise(coalesce(held)))


class UnreadableRanges:
    """Where in source time the calls lie that a walk could not read, as far as the pages around them tell."""

    def __init__(self) -> None:
        self.spans: list[Window] = []
        self.flaw: Exception | None = None  # why the last of them could not be read
        self._before: list[datetime] = []
        self._is_open = False

    def take(self, times: Sequence[datetime], flaw: Exception | None) -> None:
        """The creation times of the next page, and why it lacks a call, which was made while those around it were."""
        self.flaw = flaw or self.flaw
        if self._is_open and times:
            self.spans[-1] = _around([self.spans[-1].start, self.spans[-1].end, *times])
        self._is_open = flaw is not None or (self._is_open and not times)
        if flaw is not None and (near := [*self._before, *times]):
            self.spans.append(_around(near))
        self._before = list(times) or self._before


def _around(times: Sequence[datetime]) -> Window:
    return Window(min(times), max(times) + timedelta(microseconds=1))
