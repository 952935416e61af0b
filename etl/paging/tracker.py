"""What a walk remembers of the pages it has read: enough to see what moved, what repeats, and where the list ends."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from etl.paging import positions
from etl.paging.scan import PageView, PaginationLoop, ScanGoal, ScanResult, SortOrder

REMEMBERED_PAGES = 32  # how many pages back an id is recognised as read in this walk
STALE_PAGES = 5  # so many pages in a row that bring no new id are a loop
STEPS_BACK = 50  # so many steps back before the walk comes further, and the total is no longer believed
EMPTY_PAGES = 3  # so many empty pages in a row are the end, whatever the total says


@dataclass(slots=True)
class PageTracker:
    """What a walk remembers of the pages it has read."""

    goal: ScanGoal
    is_ordered: bool = False  # a list in order is read once, however long: no id is kept but the last pages'
    newest: datetime | None = None
    oldest: datetime | None = None
    total: int | None = None
    first_total: int | None = None
    listed: int | None = None  # the total of the window asked for, before it was narrowed
    is_narrowed: bool = False
    size: int = 0
    pages: deque[frozenset[str]] = field(default_factory=lambda: deque(maxlen=REMEMBERED_PAGES))
    met: set[int] = field(default_factory=set)  # hashes of the ids of a list without order, over several passes
    count: int = 0  # of the rows that were shown for the first time
    unshown: int = 0  # rows that the provider could not show
    joinable: int = 0  # so many of the last pages were read in one piece with the page to come
    stale: int = 0
    backs: int = 0
    furthest: int = 0
    empty: int = 0
    fresh: frozenset[str] = frozenset()  # what the last page showed for the first time
    twins: bool = False  # the last page showed a call twice
    had_twins: bool = False
    is_size_sure: bool = False  # a page came with as many rows; the last page may have fewer
    repeats: bool = False  # so does a call that a page before showed
    is_uneven: bool = False  # a page had another size than those before
    resized: bool = False  # positions count in pages of another size than on the page before
    fell: bool = False
    rose: bool = False
    falls: int = 0  # by so many rows
    asked_again: bool = False
    is_anew: bool = False  # the list is read once more from its beginning
    is_strange: bool = False  # a page was perhaps shown in place of another
    moved: bool = False
    found: SortOrder = SortOrder.UNKNOWN
    last: datetime | None = None
    span: tuple[int, datetime, datetime] | None = None  # a page's position, its oldest and its newest row
    doubts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.goal.resume_from:
            self.newest, self.oldest = self.goal.resume_from.newest, self.goal.resume_from.oldest
            self.total = self.goal.resume_from.total
            self.is_narrowed = self.goal.resume_from.end < self.goal.window.end

    def read(self, seen: PageView, position: int) -> bool:
        """Take a page in; whether it shares a row with the pages read before. Raises :class:`PaginationLoop`."""
        ids = frozenset(row.call_id for row in seen.rows)
        self.fresh = ids.difference(*self.pages)
        repeats = len(self.fresh) < len(ids)
        if repeats and self.joinable < len(self.pages):  # with pages that do not count here, perhaps
            repeats = any(ids & page for page in list(self.pages)[len(self.pages) - self.joinable :])
        self._guard_against_loops(ids, seen, position)
        self.count += len(self.fresh)
        self.unshown += seen.unreadable
        times = [row.created_at for row in seen.rows if row.created_at is not None]
        if times:
            self.newest = max(times) if self.newest is None else max(self.newest, *times)
            self.oldest = min(times) if self.oldest is None else min(self.oldest, *times)
        self.repeats = repeats
        self._take_size(seen, position)
        self.fell = seen.total is not None and self.total is not None and seen.total < self.total
        self.rose = seen.total is not None and self.total is not None and seen.total > self.total
        self.falls += (self.total or 0) - (seen.total or 0) if self.fell else 0
        self.moved = self.moved or (self.total is not None and seen.total != self.total)
        self.total = seen.total if seen.total is not None else self.total
        self.first_total = self.total if self.first_total is None else self.first_total
        self.listed = self.listed if self.is_narrowed else self.total
        self.empty = 0 if seen.rows else self.empty + 1
        self.twins = len(ids) < len(seen.rows)
        self.had_twins = self.had_twins or self.twins
        self.pages.append(ids)
        self.joinable = min(self.joinable + 1, len(self.pages))
        if not self.is_ordered:
            self.met.update(map(hash, ids))
        return repeats

    def _take_size(self, seen: PageView, position: int) -> None:
        """How many rows the positions count a page as: a server may give fewer than it is asked for, and not say so."""
        asked, size, was_sure = seen.size or self.goal.size, self.size, self.is_size_sure
        is_said = bool(seen.size) and (asked < self.goal.size or seen.count == asked)
        is_end = positions.row(self.goal.paging, position, asked) + seen.count == seen.total
        if is_said:
            self.size = asked
        elif not size:
            self.size = asked if is_end else seen.count
        elif not (self.repeats and was_sure):
            self.size = max(size, seen.count)
        is_first_of_many = position == positions.first(self.goal.paging) and not is_end
        self.is_size_sure = was_sure or is_said or (bool(seen.count) and (is_first_of_many or seen.count == size))
        self.resized = was_sure and self.size != size
        self.is_uneven = self.is_uneven or self.resized

    def _guard_against_loops(self, ids: frozenset[str], seen: PageView, position: int) -> None:
        known = bool(ids) and not self.fresh
        tolerated = (
            1 if SortOrder.UNSORTED in (self.goal.order, self.found) else 0
        )  # small pages may be alike by chance
        if known and self.stale >= tolerated and not self.twins and ids == self.pages[-1] and seen.total == self.total:
            raise PaginationLoop(f"page at position {position} repeats the page before it")
        self.stale = self.stale + 1 if known else 0
        if self.stale >= STALE_PAGES:
            raise PaginationLoop(f"{STALE_PAGES} pages up to position {position} brought no new call")

    def contradicts(self, position: int, times: Sequence[datetime]) -> bool:
        """Whether a page of a list that begins with its oldest row is not in order with the page read before it."""
        earlier, self.span = self.span, (position, min(times), max(times))
        if earlier is None or earlier[0] == position:
            return False
        return min(times) < earlier[2] if position > earlier[0] else max(times) > earlier[1]

    def step_back(self) -> bool:
        """Forget the page just read, which joins nothing; whether it is worth going back for what lies before it."""
        self.forget_page()
        self.backs += 1
        if self.backs == STEPS_BACK:
            self.doubts.append("the list or its total fell so often that not every page could be joined to the next")
        return self.backs < STEPS_BACK

    def came_to(self, position: int) -> None:
        """A page was joined to those before it; beyond the furthest so far, going back counts anew."""
        if position > self.furthest:
            self.furthest, self.backs = position, 0
        elif self.backs:  # it has been here before, and turned back again behind it
            self.backs = min(self.backs + STEPS_BACK // 10, STEPS_BACK - 1)

    def turn(self, *, forget_total: bool) -> None:
        """Go on from elsewhere: pages read before may come again, and are no loop and no other order."""
        self.last, self.stale = None, self.stale - 2
        if forget_total:
            self.total, self.is_narrowed = None, True
            self.furthest, self.backs = 0, 0  # positions count in a narrower window from here on

    def lacks_rows(self, seen: PageView, rows_before: int) -> bool:
        """Whether a page in the middle is empty or shorter than its size, and was not asked for twice yet."""
        is_short = seen.count < self.size or not seen.rows
        is_middle = seen.total is not None and rows_before + seen.count < seen.total
        is_again = self.asked_again
        self.asked_again = is_short and is_middle and not is_again
        if self.asked_again:
            self.forget_page()
            self.last = None
        elif is_again and is_short and is_middle:
            self.size, self.is_uneven = seen.count or self.size, True  # this is how many rows a page has by now
        return self.asked_again

    def is_another_page(self) -> bool:
        """Whether a page shows nothing but calls that were read before, although none arrived to push them there: it is
        perhaps another page than was asked for, and was not asked for twice yet."""
        is_odd = self.stale >= 1 and not self._has_shifted
        self.is_strange = self.is_strange or (is_odd and self.asked_again and not self.is_anew)
        asks_again = is_odd and self.stale == 1 and not self.asked_again
        if asks_again:
            self.asked_again = True
            self.forget_page()
        return asks_again

    def doubt_page(self) -> None:
        """Note that a page shows what the one before it showed although nothing moved: one of them was another."""
        is_explained = self._has_shifted or self.fell or self.is_anew
        is_same = len(self.pages) > 1 and bool(self.pages[-1]) and self.pages[-1] == self.pages[-2]
        self.is_strange = self.is_strange or (is_same and not is_explained)

    @property
    def _has_shifted(self) -> bool:
        """Whether rows may have come to another page than they were on; a call shown twice takes one place only."""
        return self.rose or self.resized or self.had_twins

    def forget_page(self) -> None:
        """Leave the page just read out of what was read: the walk comes to its rows another way."""
        self.pages.pop()
        self.joinable -= 1
        self.count -= len(self.fresh)

    def ended(self, seen: PageView, rows_before: int) -> bool:
        """Whether the list ends with this page: the provider's explicit end, or an empty or short page, unless the
        total says that more is to come; a total by itself ends nothing."""
        confirmed = seen.total is not None and rows_before + seen.count == seen.total
        contradicted = seen.total is not None and rows_before + seen.count < seen.total
        if seen.is_last is True or not seen.rows:
            if contradicted and self.empty >= EMPTY_PAGES:
                self.doubts.append(f"the total says {seen.total}, the list ended after {rows_before} rows")
                return True
            return not contradicted
        if self.goal.resume_from and not self.is_size_sure and rows_before:
            return False  # what the positions count is not known yet
        full = self.size if len(self.pages) > 1 else seen.size or self.goal.size
        return seen.count < full and confirmed and seen.is_last is not False

    @property
    def lacks(self) -> int:
        """How many calls of those that the list had at first, and by its total still has, were not met."""
        met = self.count if self.is_ordered else len(self.met)
        is_known = not self.goal.resume_from and (self.is_uneven or not self.moved)
        return max(0, (self.first_total or 0) - self.falls - met - self.unshown) if is_known else 0

    def begin_anew(self) -> None:
        """Read the list once more from its beginning: that pages repeat is no loop then."""
        self.turn(forget_total=False)
        self.is_anew, self.is_strange = True, False
        self.stale, self.unshown = -2 * self.count, 0

    def doubt_lacking(self) -> None:
        """Say that the list ended with fewer calls than it has."""
        if self.lacks and not self.doubts:
            self.doubts.append(f"{self.lacks} calls that the total counts were on no page")

    def outcome(self, order: SortOrder, *, ended: bool) -> ScanResult:
        """How the walk ends here."""
        met = None if self.goal.resume_from else self.count if self.is_ordered else len(self.met)
        unshown = (f"{self.unshown} calls are listed and could not be shown",) if self.unshown else ()
        return ScanResult(
            order,
            self.newest,
            self.oldest,
            self.listed,
            ended,
            self.first_total,
            self.moved,
            warnings=(*self.doubts, *unshown),
            distinct_rows=met,
        )


def detect_order(times: Sequence[datetime]) -> SortOrder:
    """The order of one page's creation times; all equal, or fewer than two, tell nothing."""
    if len(times) < 2 or min(times) == max(times):
        return SortOrder.UNKNOWN
    if all(a >= b for a, b in pairwise(times)):
        return SortOrder.DESC
    if all(a <= b for a, b in pairwise(times)):
        return SortOrder.ASC
    return SortOrder.UNSORTED


def reached_start(goal: ScanGoal, seen: PageView) -> bool:
    """Whether a sorted page reaches below the window, to a row held before where the goal asks to join one; or has to
    reach no further, for all is held there and still."""
    if goal.to_end:
        return False
    if (
        goal.unchanged_total is not None
        and seen.total == goal.unchanged_total
        and seen.rows
        and all(row.is_stored for row in seen.rows)
    ):
        return True
    below = [row for row in seen.rows if row.created_at is not None and row.created_at < goal.window.start]
    return any(row.is_stored for row in below) if goal.stop_at_known_row else bool(below)
