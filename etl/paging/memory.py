"""What a scan remembers of the pages it has read: enough to see what changed, what repeats, and where the list ends."""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from etl.paging.observation import Observation
from etl.paging.scan import PaginationLoop, ScanGoal, ScanResult, SortOrder

REMEMBERED_PAGES = 32  # how many pages back a row is recognised as read
MAX_STALE_PAGES = 5  # this many pages in a row without a new row are a loop
MAX_RETREATS = 50  # steps back in one place; after these the total is no longer believed


@dataclass(slots=True)
class Totals:
    """The totals that the pages reported."""

    first: int | None = None
    latest: int | None = None
    listed: int | None = None  # of the window that was asked for, before it was narrowed
    is_narrowed: bool = False
    deleted: int = 0  # the sum of all falls
    has_changed: bool = False

    def take(self, total: int | None, fall: int) -> None:
        """Take in the total of a page."""
        self.deleted += fall
        self.has_changed = self.has_changed or (self.latest is not None and total != self.latest)
        self.latest = total if total is not None else self.latest
        self.first = self.latest if self.first is None else self.first
        self.listed = self.listed if self.is_narrowed else self.latest


@dataclass(slots=True)
class PageSize:
    """How many rows the positions count a page as; a server may return fewer rows than requested without saying so."""

    rows: int = 0
    is_known: bool = False  # a page came with this many rows; the last page may have fewer
    has_changed: bool = False


@dataclass(slots=True)
class RowCounts:
    """The rows that were shown."""

    new: int = 0  # on their first page
    unreadable: int = 0
    hashes: set[int] = field(default_factory=set)  # of the ids of a list without an order, over several passes
    have_repeated_on_a_page: bool = False


@dataclass(slots=True)
class ScanProgress:
    """How far a scan came, and how often it turned back."""

    furthest: int = 0
    retreats: int = 0
    stale_pages: int = 0  # pages in a row that brought no new row
    empty_pages: int = 0


@dataclass(slots=True)
class OrderEvidence:
    """What the pages say about the order of the list."""

    order: SortOrder = SortOrder.UNKNOWN
    last_created_at: datetime | None = None
    span: tuple[int, datetime, datetime] | None = None  # a page's position, its oldest and its newest row


@dataclass(slots=True)
class Recovery:
    """What a scan did about pages that cannot be what they seem."""

    asked_again: bool = False
    is_second_reading: bool = False
    is_doubtful: bool = False  # one page may have been shown in place of another


@dataclass(slots=True)
class ScanMemory:
    """All that a scan remembers. :func:`~etl.paging.observation.observe` reads it, :meth:`take` adds a page to it."""

    goal: ScanGoal
    is_ordered: bool = False  # an ordered list is read once, however long: only the ids of the last pages are kept
    newest: datetime | None = None
    oldest: datetime | None = None
    totals: Totals = field(default_factory=Totals)
    size: PageSize = field(default_factory=PageSize)
    pages: deque[frozenset[str]] = field(default_factory=lambda: deque(maxlen=REMEMBERED_PAGES))
    joinable: int = 0  # how many of the last pages were read in one piece with the page to come
    rows: RowCounts = field(default_factory=RowCounts)
    progress: ScanProgress = field(default_factory=ScanProgress)
    evidence: OrderEvidence = field(default_factory=OrderEvidence)
    recovery: Recovery = field(default_factory=Recovery)
    warnings: list[str] = field(default_factory=list)
    last: Observation | None = None

    def __post_init__(self) -> None:
        if resumed := self.goal.resume_from:
            self.newest, self.oldest = resumed.newest, resumed.oldest
            self.totals.latest = resumed.total
            self.totals.is_narrowed = resumed.end < self.goal.window.end

    def take(self, seen: Observation) -> None:
        """Add a page. Raises :class:`~etl.paging.scan.PaginationLoop` where the list repeats itself."""
        self._guard_against_loops(seen)
        self.rows.new += len(seen.new_ids)
        self.rows.unreadable += seen.page.unreadable
        self.rows.have_repeated_on_a_page |= seen.has_duplicates
        if seen.times:
            self.newest = max(seen.times) if self.newest is None else max(self.newest, *seen.times)
            self.oldest = min(seen.times) if self.oldest is None else min(self.oldest, *seen.times)
        self.size.rows, self.size.is_known = seen.size, seen.is_size_known
        self.size.has_changed |= seen.size_changed
        self.totals.take(seen.page.total, seen.fall)
        self.progress.empty_pages = 0 if seen.page.rows else self.progress.empty_pages + 1
        self.pages.append(seen.ids)
        self.joinable = min(self.joinable + 1, len(self.pages))
        self.last = seen
        if not self.is_ordered:
            self.rows.hashes.update(map(hash, seen.ids))

    def _guard_against_loops(self, seen: Observation) -> None:
        stale = self.progress.stale_pages
        is_stale = bool(seen.ids) and not seen.new_ids
        tolerated = 1 if SortOrder.UNSORTED in (self.goal.order, self.evidence.order) else 0  # alike by chance
        had_duplicates = self.last is not None and self.last.has_duplicates
        is_same = is_stale and seen.ids == self.pages[-1] and seen.page.total == self.totals.latest
        if is_same and stale >= tolerated and not had_duplicates:
            raise PaginationLoop(f"page at position {seen.position} repeats the page before it")
        self.progress.stale_pages = stale + 1 if is_stale else 0
        if self.progress.stale_pages >= MAX_STALE_PAGES:
            raise PaginationLoop(f"{MAX_STALE_PAGES} pages up to position {seen.position} brought no new call")

    def discard(self) -> None:
        """Leave the page just read out of what was read: the scan comes to its rows another way."""
        self.pages.pop()
        self.joinable -= 1
        self.rows.new -= len(self.last.new_ids) if self.last else 0

    def retreat(self) -> None:
        """Discard the page just read, which joins nothing, and count the step back."""
        self.discard()
        self.progress.retreats += 1
        if self.progress.retreats == MAX_RETREATS:
            self.warnings.append("the list or its total fell so often that not every page could be joined to the next")

    def advance_to(self, position: int) -> None:
        """Note a page that joins those before it; beyond the furthest position, steps back count anew."""
        if position > self.progress.furthest:
            self.progress.furthest, self.progress.retreats = position, 0
        elif self.progress.retreats:  # the scan was here before, and turned back again behind it
            self.progress.retreats = min(self.progress.retreats + MAX_RETREATS // 10, MAX_RETREATS - 1)

    def jump(self) -> None:
        """Go on from elsewhere: pages read before may come again, and are neither a loop nor another order."""
        self.evidence.last_created_at = None
        self.progress.stale_pages -= 2

    def narrow(self) -> None:
        """Go on in a narrower window: its total is another, and its positions count from its own beginning."""
        self.jump()
        self.totals.latest, self.totals.is_narrowed = None, True
        self.progress.furthest, self.progress.retreats = 0, 0

    def ask_again(self) -> None:
        """Discard the page just read, and ask for it once more."""
        self.recovery.asked_again = True
        self.discard()

    def accept(self, *, is_short_again: bool) -> None:
        """Go on from the page just read; one that was short twice says how many rows a page has by now."""
        if is_short_again and self.last:
            self.size.rows, self.size.has_changed = self.last.page.count or self.size.rows, True
        self.recovery.asked_again = False

    def restart(self) -> None:
        """Read the list once more from its beginning: pages that repeat are no loop then."""
        self.jump()
        self.recovery.is_second_reading, self.recovery.is_doubtful = True, False
        self.progress.stale_pages, self.rows.unreadable = -2 * self.rows.new, 0

    @property
    def row_count(self) -> int:
        """How many distinct rows were met."""
        return self.rows.new if self.is_ordered else len(self.rows.hashes)

    @property
    def missing_count(self) -> int:
        """How many rows that the list had at first, and by its total still has, were not met."""
        is_known = not self.goal.resume_from and (self.size.has_changed or not self.totals.has_changed)
        expected = (self.totals.first or 0) - self.totals.deleted
        return max(0, expected - self.row_count - self.rows.unreadable) if is_known else 0

    def warn_if_incomplete(self) -> None:
        """Warn where the list ended with fewer rows than it has."""
        if self.missing_count and not self.warnings:
            self.warnings.append(f"{self.missing_count} calls that the total counts were on no page")

    def result(self, order: SortOrder, *, reached_end: bool, skipped: bool = False) -> ScanResult:
        """How the scan ends here."""
        unreadable = self.rows.unreadable
        unread = (f"{unreadable} calls are listed and could not be shown",) if unreadable else ()
        return ScanResult(
            order,
            self.newest,
            self.oldest,
            self.totals.listed,
            reached_end,
            self.totals.first,
            self.totals.has_changed,
            skipped,
            (*self.warnings, *unread),
            None if self.goal.resume_from else self.row_count,
        )
