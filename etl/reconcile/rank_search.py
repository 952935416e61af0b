"""A sorted list's rows by their rank from its oldest end → where it differs from what is stored, by few pages.

Pure. New calls push rows to other pages and leave their rank alone, so that the sync state can be compared with it:
from one page follows how many calls are listed below each instant that it spans, and the warehouse says how many it has
there. Where two such instants agree on how many calls lie between them, nothing there needs to be read.
"""

from bisect import bisect_left
from collections.abc import Generator, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple, Protocol

INSTANT = timedelta(microseconds=1)
BOTTOM = datetime.min.replace(tzinfo=UTC)  # older than any call: the list's oldest end
LOST_AIMS = 3  # this many pages in a row without the rank that was looked for: the list has changed


class ListChanged(Exception):
    """Two pages contradict each other: the list changed below the rows read, or is not in order."""


class TotalMismatch(Exception):
    """The pages contradict the total; the text says how."""


class RankedRow(NamedTuple):
    """One listed call: how many are older, when it was created, whose it is, and if it is stored or waits."""

    rank: int
    at: datetime
    key: Hashable
    is_stored: bool


@dataclass(frozen=True, slots=True)
class RankedPage:
    """One page: its rows oldest first, and how many calls the whole list has by now."""

    total: int
    rows: Sequence[RankedRow]


class LocalCounts(Protocol):
    """What the warehouse has of the list, records that wait in quarantine counted in."""

    @property
    def undated_quarantined(self) -> int:
        """How many records wait whose time is not known."""

    def count(self, start: datetime, end: datetime) -> int:
        """How many calls were created from ``start`` to before ``end``."""

    def between(self, start: datetime, end: datetime) -> Mapping[Hashable, datetime]:
        """The calls created there, and when."""


class Segment(NamedTuple):
    """A span of source time and what is known of it: whether call by call, and which stored calls are not listed.

    ``retained`` counts those older than all that is listed: they left together, by the provider's retention.
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
    """The rows that were seen, by rank; raises :class:`ListChanged` where they do not fit together."""

    is_whole: bool = True  # rank 0 is the oldest call that is listed at all, not only in a window
    total: int = 0
    rows: list[RankedRow] = field(default_factory=list)
    ranks: dict[Hashable, int] = field(default_factory=dict)

    def take(self, page: RankedPage) -> None:
        """Take a page in."""
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
        """The ranks of the newest row known before an instant, and of the oldest from it on."""
        at = bisect_left(self.rows, x, key=lambda row: row.at)
        below = self.rows[at - 1].rank if at else -1
        return below, self.rows[at].rank if at < len(self.rows) else self.total

    def between(self, low: int, high: int) -> Sequence[RankedRow]:
        """The rows known of some ranks."""
        start = bisect_left(self.rows, low, key=lambda row: row.rank)
        return self.rows[start : bisect_left(self.rows, high, key=lambda row: row.rank)]

    def unknown(self, low: int, high: int) -> int:
        """The rank nearest to the middle that no page has shown; -1 where all are known."""
        middle, known = (low + high) // 2, {row.rank for row in self.between(low, high)}
        for step in range(high - low + 1):
            for rank in (middle - step, middle + step):
                if low <= rank < high and rank not in known:
                    return rank
        return -1


def search(index: RankIndex, local: LocalCounts, marks: Sequence[datetime]) -> Search:
    """Hold a list against the sync state between the first and the last of some instants, each of which is measured.

    Yields the rank of a row that it wants to see, 0 being the oldest, and is sent the page that shows it; ``-1`` asks
    for what lies beyond the oldest. Raises :class:`ListChanged` and :class:`TotalMismatch`.
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
    """How many calls are listed below an instant: looked up where the sync state expect it, then by halves."""
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
    """One span between two measured instants, halved by pages where the counts differ, the older part first."""
    out: list[Segment] = []
    spans = [(start, end)]
    lost = 0
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
        wanted = 0 if is_below_all else wanted  # the oldest calls may have left: that shows at the end of the list
        page = yield wanted
        lost = lost + 1 if all(row.rank != wanted for row in page.rows) else 0
        if lost >= LOST_AIMS:
            raise ListChanged
        index.take(page)
        cuts = [x for x in _cuts(page) if a < x < b]
        levels.update((x, _known(index, x)) for x in cuts)
        spans += reversed(list(pairwise([a, *cuts, b])))
    return out


def _cuts(page: RankedPage) -> list[datetime]:
    """The instants within a page below which it is known how many are listed: above its oldest, below its newest."""
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
    """A span all of whose rows were seen, call by call."""
    gone = {key: at for key, at in local.between(a, b).items() if key not in index.ranks}
    oldest = next(iter(index.between(0, 1)), None) if index.is_whole else None
    retained = {key for key, at in gone.items() if oldest is not None and levels[a] == 0 and at < oldest.at}
    if retained:  # unless the total is too low, and the list goes on
        beyond = yield -1
        if any(row.rank < 0 for row in beyond.rows):
            raise TotalMismatch(f"the list goes on beyond the {index.total} calls of its total")
    left = {key: at for key, at in gone.items() if key not in retained}
    return Segment(a, b, by_id=True, gone=left, retained=len(retained))


def missing(rows: Sequence[RankedRow], start: datetime, end: datetime) -> Iterator[RankedRow]:
    """The rows of a span that are listed and not stored."""
    return (row for row in rows if not row.is_stored and start <= row.at < end)
