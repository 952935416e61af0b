"""A sorted list compared with the warehouse by rank: a binary search that reads few pages.

Pure. The rank of a call is the number of older calls in the list. New calls move rows to other pages and do not change
their ranks. One page shows how many calls are listed before each instant that it spans, and the warehouse counts how
many it has before that instant. Where both counts between two instants are equal, no page between them is read.
"""

from bisect import bisect_left
from collections.abc import Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple, Protocol

INSTANT = timedelta(microseconds=1)
BOTTOM = datetime.min.replace(tzinfo=UTC)  # before any call
MAX_MISSES = 3  # after this many pages in a row without the requested rank, the list has changed


class ListChanged(Exception):
    """Two pages contradict each other: rows that were read have another rank, or the list is not sorted."""


class TotalMismatch(Exception):
    """The pages contradict the total; the message says how."""


class CountsMore(TotalMismatch):
    """The list ends before its total says so."""


class RankedRow(NamedTuple):
    """One listed call: its rank, creation time and key, and whether the warehouse or the quarantine has it."""

    rank: int
    at: datetime
    key: Hashable
    is_stored: bool


@dataclass(frozen=True, slots=True)
class RankedPage:
    """One page: the total that it reports, and its rows, oldest first."""

    total: int
    rows: Sequence[RankedRow]


class LocalCounts(Protocol):
    """The counts of the warehouse, records in quarantine included."""

    @property
    def undated_quarantined(self) -> int:
        """How many records in quarantine have no creation time."""

    def count(self, start: datetime, end: datetime) -> int:
        """How many calls were created from ``start`` (inclusive) to ``end`` (exclusive)."""

    def between(self, start: datetime, end: datetime) -> Mapping[Hashable, datetime]:
        """The same calls, each with its creation time."""


class Segment(NamedTuple):
    """The result for one span of time: compared by id or by count, and the stored calls that are no longer listed.

    ``retained`` counts the stored calls that are older than every listed call: the provider's retention removed them.
    """

    start: datetime
    end: datetime
    by_id: bool
    gone: Mapping[Hashable, datetime] = {}
    retained: int = 0
    warning: str | None = None


Search = Generator[int, RankedPage, list[Segment]]


@dataclass(slots=True)
class RankIndex:
    """The rows read so far, sorted by rank. Raises :class:`ListChanged` where two pages contradict each other."""

    is_whole: bool = True  # rank 0 is the oldest call of the whole list, not only of a window
    total: int = 0
    rows: list[RankedRow] = field(default_factory=list)
    ranks: dict[Hashable, int] = field(default_factory=dict)

    def take(self, page: RankedPage) -> None:
        """Add the rows of a page."""
        self.total = max(page.total, *(row.rank + 1 for row in page.rows[-1:]), 0)
        for row in page.rows:
            if self.ranks.setdefault(row.key, row.rank) != row.rank:
                raise ListChanged
            at = bisect_left(self.rows, row.rank, key=lambda known: known.rank)
            if at < len(self.rows) and self.rows[at].rank == row.rank:
                if self.rows[at].key != row.key:
                    raise ListChanged
                continue
            self.rows.insert(at, row)
            if any(older.at > newer.at for older, newer in pairwise(self.rows[max(at - 1, 0) : at + 2])):
                raise ListChanged

    def around(self, x: datetime) -> tuple[int, int]:
        """The ranks of the newest known row before an instant, and of the oldest known row from it on."""
        at = bisect_left(self.rows, x, key=lambda row: row.at)
        below = self.rows[at - 1].rank if at else -1
        return below, self.rows[at].rank if at < len(self.rows) else self.total

    def between(self, low: int, high: int) -> Sequence[RankedRow]:
        """The known rows from rank ``low`` (inclusive) to ``high`` (exclusive)."""
        start = bisect_left(self.rows, low, key=lambda row: row.rank)
        return self.rows[start : bisect_left(self.rows, high, key=lambda row: row.rank)]

    def unknown(self, low: int, high: int) -> int:
        """The unknown rank nearest to the middle of a range; -1 where all are known."""
        middle, known = (low + high) // 2, {row.rank for row in self.between(low, high)}
        for step in range(high - low + 1):
            for rank in (middle - step, middle + step):
                if low <= rank < high and rank not in known:
                    return rank
        return -1


def search(index: RankIndex, local: LocalCounts, marks: Sequence[datetime]) -> Search:
    """Compare a list with the warehouse between consecutive instants, oldest first.

    Yields the rank of the row that it needs (0 is the oldest call) and is sent the page that contains it; ``-1`` asks
    for the page beyond the oldest. Raises :class:`ListChanged` and :class:`TotalMismatch`.
    """
    levels: dict[datetime, int] = {BOTTOM: 0}
    for x in reversed(marks):
        levels[x] = yield from _level(index, local, levels, x)
    short = levels[marks[-1]] - levels[marks[0]] - local.count(marks[0], marks[-1])
    if 0 < short <= local.undated_quarantined:
        return [Segment(marks[0], marks[-1], by_id=False)]
    out: list[Segment] = []
    for start, end in pairwise(marks):
        out += yield from _settle(index, local, levels, start, end)
    return out


def _level(
    index: RankIndex, local: LocalCounts, levels: Mapping[datetime, int], x: datetime
) -> Generator[int, RankedPage, int]:
    """How many calls are listed before an instant: found where the warehouse expects it, else by binary search."""
    if x in levels:
        return levels[x]
    above = min((mark for mark in levels if mark > x), default=None)
    tries = 0
    while True:
        below, over = index.around(x)
        if over == below + 1 and (index.rows or tries):
            return over
        expected = levels[above] - local.count(x, above) if above else local.count(BOTTOM, x)
        wanted = expected if tries < 2 else (below + over) // 2
        limit = over - 1 if tries or index.rows else wanted
        index.take((yield max(below + 1, min(wanted, limit))))
        tries += 1
        if tries > 64 + index.total.bit_length():
            raise ListChanged


def _settle(
    index: RankIndex, local: LocalCounts, levels: dict[datetime, int], start: datetime, end: datetime
) -> Search:
    """Compare one span; where the counts differ, read the page in its middle and compare both halves, older first."""
    out: list[Segment] = []
    spans = [(start, end)]
    misses = 0
    while spans:
        a, b = spans.pop()
        low, high = levels[a], levels[b]
        if high < low:
            raise ListChanged
        wanted, surplus = index.unknown(low, high), local.count(a, b) - (high - low)
        if wanted < 0:
            out.append((yield from _compared(index, local, levels, a, b)))
            continue
        if surplus == 0:
            out.append(Segment(a, b, by_id=False))
            continue
        is_below_all = index.is_whole and surplus > 0 and low == 0 and not index.between(0, 1)
        wanted = 0 if is_below_all else wanted  # the oldest calls may have expired: the end of the list shows it
        page = yield wanted
        misses = misses + 1 if all(row.rank != wanted for row in page.rows) else 0
        if misses >= MAX_MISSES:
            raise ListChanged
        index.take(page)
        cuts = [x for x in _cuts(page) if a < x < b]
        levels.update((x, _known(index, x)) for x in cuts)
        spans += reversed(list(pairwise([a, *cuts, b])))
    return out


def _cuts(page: RankedPage) -> list[datetime]:
    """The instants whose rank a page shows: just after its oldest row, and at its newest row."""
    if not page.rows or page.rows[0].at == page.rows[-1].at:
        return []
    oldest, newest = page.rows[0].at + INSTANT, page.rows[-1].at
    return sorted({oldest, newest})


def _known(index: RankIndex, x: datetime) -> int:
    below, over = index.around(x)
    if over != below + 1:
        raise ListChanged
    return over


def _compared(
    index: RankIndex, local: LocalCounts, levels: Mapping[datetime, int], a: datetime, b: datetime
) -> Generator[int, RankedPage, Segment]:
    """Compare a span by id, once all of its rows were read."""
    gone = {key: at for key, at in local.between(a, b).items() if key not in index.ranks}
    oldest = next(iter(index.between(0, 1)), None) if index.is_whole else None
    retained = {key for key, at in gone.items() if oldest is not None and levels[a] == 0 and at < oldest.at}
    if retained:  # a total that is too low would look the same: check that the list ends here
        beyond = yield -1
        if any(row.rank < 0 for row in beyond.rows):
            raise TotalMismatch(f"the list goes on beyond the {index.total} calls of its total")
    left = {key: at for key, at in gone.items() if key not in retained}
    return Segment(a, b, by_id=True, gone=left, retained=len(retained))
