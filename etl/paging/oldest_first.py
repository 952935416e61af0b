"""A walk from the last page up to the first, for lists that begin with their oldest row."""

from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import datetime

from etl.model import Paging
from etl.paging import positions
from etl.paging.scan import NextPage, PageView, ResumePoint, Scan, ScanGoal, SortOrder, SortOrderChanged
from etl.paging.tracker import PageTracker, detect_order, reached_start

JUMPS = 3  # so many times the end is looked for where the total says that it is


@dataclass(slots=True)
class ReadBlock:
    """The pages that were read in one piece up to the end: the lowest of them, and the list as it was then.

    ``size`` is how many rows that page had where it was full; 0 where nobody knows.
    """

    bottom: int
    total: int | None = None
    oldest: datetime | None = None
    size: int = 0
    reached: bool = False  # down to where the goal wants to come

    def take(self, goal: ScanGoal, position: int, seen: PageView) -> None:
        """Go down to a page that joins."""
        times = [row.created_at for row in seen.rows if row.created_at is not None]
        self.bottom, self.total, self.size = position, seen.total, _size_of(goal, seen)
        self.oldest = min(times, default=self.oldest)
        self.reached = reached_start(goal, seen)


def oldest_first(goal: ScanGoal) -> Scan:
    """From the last page up to the first: behind the reader nothing moves, whatever arrives at the end or vanishes.

    A call that shows up late lands among the rows that are still to be read and pushes one of them to where the reader
    has been: where the total rose and no row repeats, the pages behind are asked for until one joins.
    """
    course = PageTracker(goal, is_ordered=True)
    if goal.resume_from and goal.resume_from.oldest:
        bottom = positions.after(goal.paging, goal.resume_from.position, goal.size)
        stretch = ReadBlock(bottom, goal.resume_from.total, goal.resume_from.oldest)
    else:
        stretch = yield from _find_end(goal, course)
    yield from _read_down(goal, course, stretch)
    if course.is_strange or (course.lacks and not stretch.reached):  # pages of another size, or one in place of another
        course.begin_anew()
        stretch = yield from _find_end(replace(goal, local_count=course.total), course)
        yield from _read_down(goal, course, stretch)
        course.doubt_lacking()
    return course.outcome(SortOrder.ASC, ended=not stretch.reached)


def _read_down(goal: ScanGoal, course: PageTracker, stretch: ReadBlock) -> Generator[NextPage, PageView, None]:
    while not stretch.reached and stretch.bottom > positions.first(goal.paging):
        yield from _read_below(goal, course, stretch)


def _find_end(goal: ScanGoal, course: PageTracker) -> Generator[NextPage, PageView, ReadBlock]:
    """The last page: where the total says, which is a hint, and from there on to the end."""
    first, position, jumps = positions.first(goal.paging), positions.last(goal.paging, goal.local_count, goal.size), 0
    stretch: ReadBlock | None = None
    while True:
        seen = yield from _page(goal, course, position, stretch or ReadBlock(position))
        size, rows_before = course.size or goal.size, positions.row(goal.paging, position, course.size)
        by_total = positions.last(goal.paging, seen.total, size)
        jumps += 1
        if course.lacks_rows(seen, rows_before):  # perhaps for this once
            continue
        if not seen.rows:
            if stretch or position == first:
                return stretch or ReadBlock(first, seen.total)
            half = max(first, position // 2)
            position = by_total if by_total < position and jumps < JUMPS else half  # it has become shorter
            course.turn(forget_total=False)
            continue
        if stretch is None or course.resized or (course.fell and not course.repeats):
            stretch = ReadBlock(position)  # what was read before may not join this page
            stretch.take(goal, position, seen)
            stretch.size = stretch.size if (seen.size or goal.size) < goal.size else 0  # the last page may be short
            course.joinable = 1
        stretch.reached = stretch.reached or reached_start(goal, seen)
        goes_on = any(row.created_at is not None and row.created_at > goal.window.end for row in seen.rows)
        if goes_on or course.ended(seen, rows_before):  # what came after the walk began is left to the next
            return stretch
        following = positions.after(goal.paging, position, seen.count)
        if following < by_total and jumps < JUMPS:
            position, stretch = by_total, None
            course.turn(forget_total=False)
        else:
            position = following


def _read_below(goal: ScanGoal, course: PageTracker, stretch: ReadBlock) -> Generator[NextPage, PageView, None]:
    """The page below the stretch, and what was pushed from it meanwhile."""
    position = positions.before(goal.paging, stretch.bottom, course.size or goal.size)
    course.turn(forget_total=False)  # positions only become smaller: pages that repeat are no loop
    seen = yield from _page(goal, course, position, stretch)
    course.doubt_page()
    if course.lacks_rows(seen, positions.row(goal.paging, position, course.size)):  # perhaps for this once
        return
    joins = course.repeats or _reaches_up(goal, seen)
    if joins or _is_next(goal, stretch, position, seen) or (yield from _join(goal, course, stretch, position, seen)):
        stretch.take(goal, position, seen)


def _is_next(goal: ScanGoal, stretch: ReadBlock, position: int, seen: PageView) -> bool:
    """Whether nothing can lie between a page and the stretch, as far as totals and sizes tell."""
    if stretch.total is not None and (seen.total or 0) > stretch.total:
        return False  # what came late has pushed something to behind the reader
    if goal.resume_from and stretch.oldest == goal.resume_from.oldest:
        return False  # nothing of this walk is read yet
    if goal.paging is Paging.ROWS:
        return positions.after(goal.paging, position, seen.count) >= stretch.bottom
    return not seen.rows or _size_of(goal, seen) == (stretch.size or goal.size)


def _join(
    goal: ScanGoal, course: PageTracker, stretch: ReadBlock, position: int, low: PageView
) -> Generator[NextPage, PageView, bool]:
    """On from a page towards the end, until a page shows a row that was read before that one, or there is none;
    whether nothing vanished on the way."""
    lowest, received = course.pages.pop(), low.count
    course.joinable -= 1
    while True:
        course.turn(forget_total=False)
        position = positions.after(goal.paging, position, received)
        seen = yield from _page(goal, course, position, stretch)
        if (course.fell or not _is_alike(goal, position, low, seen)) and course.step_back():
            return False  # what came after that page may have been pulled to before it
        if course.lacks_rows(seen, positions.row(goal.paging, position, course.size)):
            position, received = positions.before(goal.paging, position, received), received
            continue
        if course.repeats or not seen.rows or _reaches_up(goal, seen):
            break
        received = seen.count
    course.pages.append(lowest)
    course.joinable += 1
    return True


def _is_alike(goal: ScanGoal, position: int, low: PageView, seen: PageView) -> bool:
    """Whether two pages count in the same size, as far as they say or show; the last page may be short."""
    size = _size_of(goal, low)
    is_end = positions.row(goal.paging, position, size) + seen.count == seen.total
    return goal.paging is Paging.ROWS or not seen.rows or is_end or _size_of(goal, seen) == size


def _size_of(goal: ScanGoal, seen: PageView) -> int:
    """How many rows a full page has by what this one says or shows; 0 where it leaves that open."""
    is_said = seen.size is not None and seen.size < goal.size
    return seen.size or 0 if is_said else seen.count


def _page(
    goal: ScanGoal, course: PageTracker, position: int, stretch: ReadBlock
) -> Generator[NextPage, PageView, PageView]:
    """Ask for a page and take it in; a walk that is cut off goes on below the stretch."""
    below = positions.before(goal.paging, stretch.bottom, course.size or goal.size) if stretch.oldest else position
    place = ResumePoint(below, goal.size, goal.window.end, SortOrder.ASC, course.newest, stretch.oldest, stretch.total)
    had = course.total
    seen = yield NextPage(goal.window, position, place)
    course.read(seen, position)
    if None not in (stretch.total, had, seen.total):  # a rise is one, even where the total falls again at once
        stretch.total = (stretch.total or 0) - max(0, (seen.total or 0) - (had or 0))
    times = [row.created_at for row in seen.rows if row.created_at is not None]
    shown = detect_order(times)
    is_contradicted = bool(times) and course.contradicts(position, times)  # by the page read before, whatever it was
    if is_contradicted and not course.repeats:
        shown = SortOrder.UNSORTED  # each page is in order, but they are not in order among each other
    if seen.total is None or shown not in (SortOrder.ASC, SortOrder.UNKNOWN):
        raise SortOrderChanged(SortOrder.UNSORTED if seen.total is None else shown, seen)
    return seen


def _reaches_up(goal: ScanGoal, seen: PageView) -> bool:
    """Whether a page shows a row as new as what was read before the walk was cut off."""
    oldest = goal.resume_from.oldest if goal.resume_from else None
    return oldest is not None and any(row.created_at >= oldest for row in seen.rows if row.created_at is not None)
