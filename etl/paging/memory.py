"""What a scan remembers of the pages it has read: enough to see what changed, what repeats, and where the list ends."""

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from etl.model import DateFilter, Window
from etl.paging import NextPage, PageView, PaginationLoop, ResumePoint, ScanGoal, ScanResult, SortOrder
from etl.paging.observation import Observation, observe

REMEMBERED_PAGES = 32  # how many pages back a row is recognised as read
MAX_STALE_PAGES = 5  # this many pages in a row without a new row are a loop
WITHOUT_ORDER = (SortOrder.UNSORTED, SortOrder.UNKNOWN)  # to be read more than once: all ids are kept, not the last
MAX_RETREATS = 50  # steps back in one place; after these the total is no longer believed


@dataclass(slots=True)
class ListProfile:
    """What the pages say about the list: its totals, rows and order, and how many rows positions count a page as."""

    first_total: int | None = None
    total: int | None = None  # the latest
    listed_total: int | None = None  # of the window that was asked for, before it was narrowed
    deleted: int = 0  # the sum of all falls of the total
    has_changed: bool = False
    rows: int = 0  # on their first page
    unreadable: int = 0
    has_duplicates: bool = False  # a page showed a row twice
    size: int = 0
    is_size_known: bool = False  # a page came with this many rows; the last page may have fewer
    size_has_changed: bool = False
    order: SortOrder = SortOrder.UNKNOWN
    last_created_at: datetime | None = None  # of the page before, where the scan goes on from it
    dated_page: Observation | None = None  # the last page with a time


@dataclass(slots=True)
class ScanProgress:
    """How far a scan came, how often it turned back, and which page cannot be what it seems."""

    furthest: int = 0
    retreats: int = 0
    jumps: int = 0  # how often the end of the list was looked for
    stale_pages: int = 0  # pages in a row that brought no new row
    short_pages: int = 0  # pages in a row that the total says to be longer
    ends_early: bool = False  # the end of the list was found twice before its total says so
    asked_again: bool = False  # the page was asked for before
    is_second_reading: bool = False
    is_doubtful: bool = False  # one page may have been shown in place of another
    probed: set[int] = field(default_factory=set)  # positions read on the way to the end, which come again


@dataclass(slots=True)
class ReadRange:
    """The pages that were read without a gap up to the end of a list: the lowest, and the list as it was then."""

    bottom: int
    total: int | None = None
    oldest: datetime | None = None
    size: int = 0  # of the lowest page; 0 where nobody knows
    has_pages: bool = False
    reached_goal: bool = False
    joining: PageView | None = None  # the page below it, until it is joined to it


@dataclass(slots=True)
class ScanMemory:
    """All that a scan remembers. :meth:`take` makes a page an observation and adds it."""

    goal: ScanGoal
    order: SortOrder  # as it is believed to be
    resumed: ResumePoint | None = None  # where this pass over the list began
    newest: datetime | None = None
    oldest: datetime | None = None
    window: Window = field(init=False)
    must_join: bool = False  # the scan goes back, or was resumed, until a page joins what was read before
    profile: ListProfile = field(default_factory=ListProfile)
    progress: ScanProgress = field(default_factory=ScanProgress)
    range: ReadRange = field(default_factory=lambda: ReadRange(0))
    pages: deque[frozenset[str]] = field(default_factory=lambda: deque(maxlen=REMEMBERED_PAGES))
    joinable: int = 0  # how many of the last pages were read in one piece with the page to come
    hashes: set[int] = field(default_factory=set)  # of the ids of a list without an order, over several passes
    warnings: list[str] = field(default_factory=list)
    seen: Observation = field(init=False)

    def __post_init__(self) -> None:
        self.window = self.goal.window
        if place := self.goal.resume_from:
            self.newest, self.oldest, self.profile.total = place.newest, place.oldest, place.total
        if self.resumed:
            self.window, self.must_join = replace(self.window, end=self.resumed.end), True

    def request(self, position: int, resume_at: int, oldest: datetime | None, total: int | None) -> NextPage:
        """The page at a position, and the point to resume from once all pages before it are stored."""
        point = ResumePoint(resume_at, self.goal.size, self.window.end, self.order, self.newest, oldest, total)
        return NextPage(self.window, position, point)

    def take(self, page: PageView, position: int) -> Observation:
        """Add a page. Raises :class:`~etl.paging.PaginationLoop` where the list repeats itself."""
        seen, profile, total = observe(self, page, position), self.profile, page.total
        self._guard_against_loops(seen)
        if page.times:
            self.newest = max(self.newest or page.times[0], *page.times)
            self.oldest = min(self.oldest or page.times[0], *page.times)
        profile.rows += len(seen.new_ids)
        profile.unreadable += page.unreadable
        profile.has_duplicates |= len(seen.ids) < len(page.rows)
        profile.size, profile.is_size_known = seen.size, seen.is_size_known
        profile.size_has_changed |= seen.size_changed
        profile.deleted -= min(0, seen.total_change)
        profile.has_changed |= profile.total is not None and total != profile.total
        profile.total = total if total is not None else profile.total
        if not seen.size_before:  # a later page's total says nothing about what vanished before it
            profile.first_total = profile.total
        if self.window.end >= self.goal.window.end:
            profile.listed_total = profile.total
        self.progress.short_pages = self.progress.short_pages * (not page.rows or seen.is_short) + seen.is_short
        self.pages.append(seen.ids)
        self.joinable = min(self.joinable + 1, len(self.pages))
        if self.order in WITHOUT_ORDER:
            self.hashes.update(map(hash, seen.ids))
        self.seen = seen
        return seen

    def _guard_against_loops(self, seen: Observation) -> None:
        stale = self.progress.stale_pages
        is_stale = bool(seen.ids) and not seen.new_ids
        tolerated = 1 if SortOrder.UNSORTED in (self.goal.order, self.profile.order) else 0  # alike by chance
        is_same = is_stale and seen.ids == self.pages[-1] and seen.page.total == self.profile.total
        if is_same and stale >= tolerated and len(self.seen.ids) == len(self.seen.page.rows):
            raise PaginationLoop(f"page at position {seen.position} repeats the page before it")
        self.progress.stale_pages = stale + 1 if is_stale else 0
        if self.progress.stale_pages >= MAX_STALE_PAGES:
            raise PaginationLoop(f"{MAX_STALE_PAGES} pages up to position {seen.position} brought no new call")

    def discard(self) -> None:
        """Leave the page just read out of what was read: the scan comes to its rows another way."""
        self.pages.pop()
        self.joinable -= 1
        self.profile.rows -= len(self.seen.new_ids)

    def discard_torn_page(self) -> None:
        """Discard the page just read, which joins nothing, and count the step back."""
        self.discard()
        self.progress.retreats += 1
        if self.progress.retreats == MAX_RETREATS:
            self.warnings.append("the list or its total fell so often that not every page could be joined to the next")

    def advance(self) -> None:
        """Note a page that joins those before it; beyond the furthest position, steps back count anew."""
        progress = self.progress
        if self.seen.position > progress.furthest:
            progress.furthest, progress.retreats = self.seen.position, 0
        elif progress.retreats:  # the scan was here before, and turned back again behind it
            progress.retreats = min(progress.retreats + MAX_RETREATS // 10, MAX_RETREATS - 1)

    def jump(self) -> None:
        """Go on from elsewhere: pages read before may come again, and are neither a loop nor another order."""
        self.profile.last_created_at = None
        self.progress.stale_pages -= 2

    def narrow(self, *, by_days: bool = False) -> bool:
        """Go on up to the oldest instant seen, where the provider filters by instants (or days, which show rows again)
        and that is any less: the total is another then, and positions count from the beginning of that window."""
        filters = (DateFilter.INSTANTS, DateFilter.DAYS) if by_days else (DateFilter.INSTANTS,)
        if self.goal.date_filter not in filters or self.order is not SortOrder.DESC or self.oldest is None:
            return False
        end = self.oldest.replace(microsecond=0) + timedelta(seconds=1)
        if not self.window.start < end < self.window.end:
            return False
        self.jump()
        self.progress.stale_pages -= self.profile.rows if by_days else 0
        self.window, self.profile.total = Window(self.window.start, end), None
        self.progress.furthest, self.progress.retreats = 0, 0
        return True

    def ask_again(self) -> None:
        """Discard the page just read, and ask for it once more."""
        self.progress.asked_again = True
        if self.seen.is_short:
            self.profile.last_created_at = None
        self.discard()

    def accept(self) -> None:
        """Go on from the page just read; one that was short twice and states no size shows how large pages are now."""
        page = self.seen.page
        if self.progress.asked_again and self.seen.is_short and not page.stated_size(self.goal.size):
            self.profile.size, self.profile.size_has_changed = page.count or self.profile.size, True
        self.progress.asked_again = False

    def restart(self) -> None:
        """Read the list once more from its beginning: pages that repeat are no loop then."""
        self.jump()
        self.progress.is_second_reading, self.progress.is_doubtful = True, False
        self.progress.stale_pages, self.profile.unreadable = -2 * self.profile.rows, 0

    @property
    def row_count(self) -> int:
        """How many distinct rows were met."""
        return len(self.hashes) if self.order in WITHOUT_ORDER else self.profile.rows

    @property
    def missing_count(self) -> int:
        """How many rows that the list had at first, and by its total still has, were not met."""
        is_known = not self.goal.resume_from and (self.profile.size_has_changed or not self.profile.has_changed)
        expected = (self.profile.first_total or 0) - self.profile.deleted
        return max(0, expected - self.row_count - self.profile.unreadable) if is_known else 0

    def result(self, *, reached_end: bool, skipped: bool = False) -> ScanResult:
        """How the scan ends here; with a warning where the list ended with fewer rows than it has."""
        profile, warnings, is_whole = self.profile, self.warnings, reached_end and not self.goal.resume_from
        if reached_end and self.missing_count and not warnings:
            warnings = [f"{self.missing_count} calls that the total counts were on no page"]
        if profile.unreadable:
            warnings = [*warnings, f"{profile.unreadable} calls are listed and could not be shown"]
        return ScanResult(
            profile.order if reached_end and self.order is SortOrder.UNSORTED else self.order,
            self.newest,
            self.oldest,
            profile.listed_total,
            reached_end,
            profile.first_total,
            profile.has_changed,
            skipped,
            tuple(warnings),
            None if self.goal.resume_from else self.row_count,
            self.missing_count if is_whole and profile.total is not None and not profile.has_changed else None,
        )
