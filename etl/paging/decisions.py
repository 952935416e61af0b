"""The facts of a page → what a scan does next: tables of named decisions, of which the first that applies is taken."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from etl.model import DateFilter, Paging, Window
from etl.paging import positions
from etl.paging.memory import MAX_RETREATS, ScanMemory
from etl.paging.observation import Observation
from etl.paging.scan import PageView, ResumePoint, ScanGoal, SortOrder

EMPTY_PAGES = 3  # this many empty pages in a row are the end, whatever the total says
MAX_JUMPS = 3  # how often the end is looked for where the total says that it is


@dataclass(slots=True)
class ReadBlock:
    """The pages that were read in one piece up to the end of a list: the lowest of them, and the list as it was then.

    ``size`` is how many rows that page had where it was full; 0 where nobody knows.
    """

    bottom: int
    total: int | None = None
    oldest: datetime | None = None
    size: int = 0
    reached_goal: bool = False

    def take(self, goal: ScanGoal, seen: Observation) -> None:
        """Extend the block down to a page that joins it."""
        self.bottom, self.total, self.size = seen.position, seen.page.total, page_size_of(goal, seen.page)
        self.oldest = min(seen.times, default=self.oldest)
        self.reached_goal = reached_start(goal, seen.page)


@dataclass(frozen=True, slots=True)
class Situation:
    """A page as observed, with what the scan knew when it came: the questions that the decisions ask."""

    goal: ScanGoal
    memory: ScanMemory
    seen: Observation
    order: SortOrder
    is_looking_back: bool = False  # a resumed scan, until a page joins what was read before it was cut off
    block: ReadBlock = field(default_factory=lambda: ReadBlock(0))
    has_block: bool = False
    jumps: int = 0
    lowest: PageView | None = None  # the page that is to be joined to the block

    @property
    def is_first(self) -> bool:
        return self.seen.position <= positions.first(self.goal.paging)

    @property
    def changed_while_cut_off(self) -> bool:
        """Whether the position of a resumed scan means nothing any more: the list has no order and changed."""
        resumed = self.goal.resume_from
        is_unsorted = self.order is SortOrder.UNSORTED and self.is_looking_back
        return is_unsorted and resumed is not None and (resumed.total or -1) != self.seen.page.total

    @property
    def may_have_skipped(self) -> bool:
        """Whether deletions may have pulled rows past the reader: the total fell, and no row repeats."""
        return self.order is not SortOrder.UNSORTED and self.seen.fall > 0 and not self.seen.overlaps

    @property
    def is_of_another_size(self) -> bool:
        """Whether the position counts in pages of another size than those before, and no row repeats."""
        return self.seen.size_changed and not self.seen.overlaps

    @property
    def is_torn(self) -> bool:
        """Whether rows may lie between this page and those before it."""
        resumed = self.goal.resume_from
        joins = self.seen.overlaps or (resumed is not None and joins_resume_point(resumed, self.order, self.seen.page))
        suspects = self.is_looking_back or self.may_have_skipped or self.is_of_another_size
        return not self.is_first and not joins and suspects

    @property
    def can_retreat(self) -> bool:
        return self.memory.progress.retreats + 1 < MAX_RETREATS

    @property
    def may_have_shifted(self) -> bool:
        """Whether rows may have come to another page than they were on; a row shown twice takes one place only."""
        return self.seen.rise > 0 or self.seen.size_changed or self.memory.rows.have_repeated_on_a_page

    @property
    def is_unexplained_repeat(self) -> bool:
        """Whether every row was read before, although none arrived that could have pushed it here."""
        return not self.is_first and self.memory.progress.stale_pages >= 1 and not self.may_have_shifted

    @property
    def is_doubtful(self) -> bool:
        """Whether this page or one before it was perhaps shown in place of another."""
        recovery = self.memory.recovery
        was_asked_again = recovery.asked_again and not recovery.is_second_reading
        return recovery.is_doubtful or (self.is_unexplained_repeat and was_asked_again)

    @property
    def has_reached_start(self) -> bool:
        return self.order is SortOrder.DESC and reached_start(self.goal, self.seen.page)

    @property
    def is_as_long_as_before(self) -> bool:
        goal, total = self.goal, self.seen.page.total
        is_unsorted = self.order is SortOrder.UNSORTED
        return is_unsorted and goal.skip_if_total_unchanged and total is not None and total == goal.remote_count

    @property
    def ends_against_total(self) -> bool:
        """Whether empty pages end the list, although the total says that rows follow."""
        says_end = self.seen.page.is_last is True or not self.seen.page.rows
        return says_end and self.seen.contradicts_total and self.memory.progress.empty_pages >= EMPTY_PAGES

    @property
    def is_end(self) -> bool:
        """Whether the list ends with this page: the provider says so, it is empty, or it is short and the total agrees.

        A total by itself ends nothing.
        """
        seen, page = self.seen, self.seen.page
        if page.is_last is True or not page.rows:
            return not seen.contradicts_total or self.ends_against_total
        if self.goal.resume_from and not self.memory.size.is_known and seen.rows_before:
            return False  # what the positions count is not known yet
        full = self.memory.size.rows if len(self.memory.pages) > 1 else page.size or self.goal.size
        return page.count < full and seen.confirms_total and page.is_last is not False

    @property
    def must_read_again(self) -> bool:
        """Whether an ordered list ended with fewer rows than it has, or with a page in place of another."""
        is_first_reading = self.order is SortOrder.DESC and not self.memory.recovery.is_second_reading
        return is_first_reading and (self.memory.missing_count > 0 or self.is_doubtful)

    @property
    def is_suspiciously_short(self) -> bool:
        return self.seen.is_short and not self.memory.recovery.asked_again

    @property
    def last_by_total(self) -> int:
        return positions.last(self.goal.paging, self.seen.page.total, self.memory.size.rows or self.goal.size)

    @property
    def after(self) -> int:
        return positions.after(self.goal.paging, self.seen.position, self.seen.page.count)

    @property
    def reaches_past_window(self) -> bool:
        """Whether the page shows what came after the scan began: that is left to the next."""
        return any(at > self.goal.window.end for at in self.seen.times)

    @property
    def reaches_resume_point(self) -> bool:
        """Whether the page shows a row as new as what was read before the scan was cut off."""
        oldest = self.goal.resume_from.oldest if self.goal.resume_from else None
        return oldest is not None and any(at >= oldest for at in self.seen.times)

    @property
    def adjoins_block(self) -> bool:
        """Whether nothing can lie between the page and the block, as far as totals and sizes tell."""
        goal, block, page = self.goal, self.block, self.seen.page
        if block.total is not None and (page.total or 0) > block.total:
            return False  # what came late has pushed a row to behind the reader
        if goal.resume_from and block.oldest == goal.resume_from.oldest:
            return False  # nothing of this scan is read yet
        if goal.paging is Paging.ROWS:
            return self.after >= block.bottom
        return not page.rows or page_size_of(goal, page) == (block.size or goal.size)

    @property
    def is_torn_above(self) -> bool:
        """Whether what came after the lowest page may have been pulled to before it."""
        return self.seen.fall > 0 or not self.is_alike

    @property
    def is_alike(self) -> bool:
        """Whether the page counts in the same size as the lowest, as far as they say or show; the last may be short."""
        goal, page = self.goal, self.seen.page
        size = page_size_of(goal, self.lowest or page)
        is_end = positions.row(goal.paging, self.seen.position, size) + page.count == page.total
        return goal.paging is Paging.ROWS or not page.rows or is_end or page_size_of(goal, page) == size


@dataclass(frozen=True, slots=True)
class Decision:
    """One row of a table: its name, when it applies, and both in a sentence for the documentation."""

    name: str
    applies: Callable[[Situation], bool]
    when: str
    then: str


def decide(table: Sequence[Decision], situation: Situation) -> str:
    """The name of the first decision that applies; the last one of each table always does."""
    return next(row.name for row in table if row.applies(situation))


ASK_FOR_A_SHORT_PAGE_AGAIN = Decision(
    "ask_for_a_short_page_again",
    lambda s: s.is_suspiciously_short,
    "a page is empty or short although the total says that rows follow",
    "ask once more",
)

FORWARD = (
    Decision(
        "scan_as_unsorted",
        lambda s: s.changed_while_cut_off,
        "a scan of a list without an order was cut off, and the total is another since",
        "read it from its beginning",
    ),
    Decision(
        "retreat",
        lambda s: s.is_torn and s.can_retreat,
        "the total fell, the page size changed, or the scan was resumed, and no row repeats",
        "go back until a page repeats a row, and on from there; where the provider filters by instants, go on from the "
        "last instant seen",
    ),
    Decision(
        "ask_for_the_page_again",
        lambda s: s.is_unexplained_repeat and s.memory.progress.stale_pages == 1 and not s.memory.recovery.asked_again,
        "every row was read before, and nothing arrived that could have pushed it here",
        "ask once more: it may be another page than the one requested",
    ),
    Decision(
        "stop_at_known_rows",
        lambda s: s.has_reached_start and not s.is_doubtful,
        "the page reaches below the window, or down to rows that are stored",
        "stop: the rest is stored",
    ),
    Decision(
        "skip_unchanged",
        lambda s: s.is_as_long_as_before,
        "a list without an order has the total that it had when it was last read, and the goal allows to skip it",
        "stop: nothing is read",
    ),
    Decision(
        "read_again",
        lambda s: (s.has_reached_start or s.is_end) and s.must_read_again,
        "the list ends with fewer rows than its total, or a page was doubtful",
        "read it once more from its beginning",
    ),
    Decision(
        "finish",
        lambda s: s.has_reached_start or s.is_end,
        "the provider says that this is the end, the page is empty, or it is short and the total agrees",
        "the scan is complete; rows that are still missing become a warning",
    ),
    ASK_FOR_A_SHORT_PAGE_AGAIN,
    Decision("next_page", lambda s: True, "none of the above", "ask for the page after it"),
)

FIND_END = (
    ASK_FOR_A_SHORT_PAGE_AGAIN,
    Decision(
        "end_before_this_page",
        lambda s: not s.seen.page.rows and (s.has_block or s.is_first),
        "the page is empty, and the one before it was read",
        "the end is found",
    ),
    Decision(
        "look_further_up",
        lambda s: not s.seen.page.rows,
        "the page is empty, and nothing was read yet",
        "look where the total says that the end is, or at half the position",
    ),
    Decision(
        "end_on_this_page",
        lambda s: s.reaches_past_window or s.is_end,
        "the list ends here, or the page shows rows newer than the window",
        "the end is found",
    ),
    Decision(
        "jump_to_end",
        lambda s: s.after < s.last_by_total and s.jumps < MAX_JUMPS,
        "the total says that the end is more than a page away",
        "ask for the last page by the total",
    ),
    Decision("towards_end", lambda s: True, "none of the above", "ask for the page after it"),
)

READ_DOWN = (
    ASK_FOR_A_SHORT_PAGE_AGAIN,
    Decision(
        "overlaps",
        lambda s: s.seen.overlaps or s.reaches_resume_point,
        "the page repeats a row of what was read",
        "go on to the page below",
    ),
    Decision(
        "adjoins",
        lambda s: s.adjoins_block,
        "the total has not risen, and the page is full",
        "go on to the page below",
    ),
    Decision(
        "look_above",
        lambda s: True,
        "a row that showed up late may have pushed another to where the reader has been",
        "ask for the pages above until one repeats a row",
    ),
)

LOOK_ABOVE = (
    Decision(
        "list_changed",
        lambda s: s.is_torn_above and s.can_retreat,
        "the total fell, or the page has another size",
        "ask for the page below once more",
    ),
    ASK_FOR_A_SHORT_PAGE_AGAIN,
    Decision(
        "joined",
        lambda s: s.seen.overlaps or not s.seen.page.rows or s.reaches_resume_point,
        "the page repeats a row of what was read, or the list ends",
        "go on to the page below",
    ),
    Decision("further_above", lambda s: True, "none of the above", "ask for the page above it"),
)

TABLES = {
    "Newest first, or without an order": FORWARD,
    "Oldest first: find the end": FIND_END,
    "Oldest first: read down from the end": READ_DOWN,
    "Oldest first: look above a page that joins nothing": LOOK_ABOVE,
}


def page_size_of(goal: ScanGoal, page: PageView) -> int:
    """How many rows a full page has by what this one says or shows; 0 where it leaves that open."""
    is_stated = page.size is not None and page.size < goal.size
    return page.size or 0 if is_stated else page.count


def joins_resume_point(point: ResumePoint, order: SortOrder, page: PageView) -> bool:
    """Whether a page shows a row that was read before the scan was cut off."""
    if order is SortOrder.UNSORTED or point.oldest is None:
        return any(row.is_stored for row in page.rows)
    times = [(row.created_at, row.is_stored) for row in page.rows if row.created_at is not None]
    return any(at > point.oldest or (at == point.oldest and is_stored) for at, is_stored in times)


def reached_start(goal: ScanGoal, page: PageView) -> bool:
    """Whether a page of an ordered list reaches below the window, to a stored row where the goal asks for one; or all
    of it is stored and final, so that the scan has to reach no further."""
    if goal.to_end:
        return False
    is_unchanged = goal.unchanged_total is not None and page.total == goal.unchanged_total
    if is_unchanged and page.rows and all(row.is_stored for row in page.rows):
        return True
    below = [row for row in page.rows if row.created_at is not None and row.created_at < goal.window.start]
    return any(row.is_stored for row in below) if goal.stop_at_known_row else bool(below)


def narrowed_window(goal: ScanGoal, window: Window, order: SortOrder, oldest: datetime | None) -> Window | None:
    """The window up to the oldest instant seen, where the provider filters by instants and that is any less."""
    if goal.date_filter is not DateFilter.INSTANTS or order is not SortOrder.DESC or oldest is None:
        return None
    end = oldest.replace(microsecond=0) + timedelta(seconds=1)
    return Window(window.start, end) if window.start < end < window.end else None
