"""A walk from the newest, or the first, page on."""

from dataclasses import replace
from datetime import datetime, timedelta

from etl.model import DateFilter, Window
from etl.paging import positions
from etl.paging.scan import (
    NextPage,
    OffsetLimitReached,
    PageView,
    ResumePoint,
    Scan,
    ScanGoal,
    SortOrder,
    SortOrderChanged,
)
from etl.paging.tracker import PageTracker, detect_order, reached_start

PASSES = 20  # so often a list is read that has no order and does not stand still


def newest_first(goal: ScanGoal, order: SortOrder) -> Scan:
    """From the newest, or the first, page on; a list without an order that moved meanwhile is read again, until a pass
    finds it still, or as many calls were met as it had when the pass began."""
    course = PageTracker(goal)
    outcome = yield from _descend(goal, order, course)
    passes = 1
    while SortOrder.UNSORTED in (order, outcome.order) and outcome.reached_end and course.moved and passes < PASSES:
        course, passes = PageTracker(goal, met=course.met, falls=course.falls), passes + 1
        outcome = yield from _descend(replace(goal, resume_from=None), SortOrder.UNSORTED, course)
        if outcome.first_total is None or len(course.met) - course.falls >= outcome.first_total:
            break
    if passes > 1 and course.moved and len(course.met) != outcome.total:
        outcome = replace(outcome, warnings=(*outcome.warnings, "the list has no order and moved while it was read"))
    return outcome


def _descend(goal: ScanGoal, order: SortOrder, course: PageTracker) -> Scan:
    first, window, position = positions.first(goal.paging), goal.window, positions.first(goal.paging)
    looking_back = goal.resume_from is not None  # until a page joins what was read before
    if goal.resume_from:
        position, window = goal.resume_from.position, replace(goal.window, end=goal.resume_from.end)
    while True:
        total = None if order is SortOrder.UNSORTED and course.moved else course.total
        place = ResumePoint(position, goal.size, window.end, order, course.newest, course.oldest, total)
        before, size = course.oldest, course.size
        try:
            seen = yield NextPage(window, position, place)
        except OffsetLimitReached:
            nearer = _narrowed(goal, window, order, before)
            if nearer is None or position == first:
                raise
            window, position = nearer, first
            course.turn(forget_total=True)
            continue
        repeats = course.read(seen, position)
        course.moved = course.moved or repeats
        order = _checked(order, course, seen)
        course.is_ordered = order is SortOrder.DESC
        if (
            goal.resume_from
            and looking_back
            and order is SortOrder.UNSORTED
            and (goal.resume_from.total or -1) != seen.total
        ):
            raise SortOrderChanged(
                SortOrder.UNSORTED, seen
            )  # it moved: the place that it was cut off at means nothing any more
        joined = repeats or (goal.resume_from is not None and _joins(goal.resume_from, order, seen))
        skipped = order is not SortOrder.UNSORTED and course.fell and not repeats
        outgrown = course.resized and not repeats
        if position > first and not joined and (looking_back or skipped or outgrown) and course.step_back():
            # rows above were deleted and pulled unread ones past this page, or its position counts in other pages than
            # those before: back to what was read, and on from there
            narrowed = _narrowed(goal, window, order, before) if skipped else None
            nearer_row = positions.at(goal.paging, positions.row(goal.paging, position, size), course.size)
            back = positions.before(goal.paging, position, course.size or goal.size)
            position = first if narrowed else nearer_row if outgrown and nearer_row < position else back
            window, looking_back, course.oldest = narrowed or window, narrowed is None, before
            course.turn(forget_total=narrowed is not None)
            continue
        if position > first and course.is_another_page():  # perhaps for this once
            continue
        looking_back, rows_before = False, positions.row(goal.paging, position, course.size)
        course.came_to(position)
        is_down = order is SortOrder.DESC and reached_start(goal, seen)
        if is_down and not course.is_strange:
            return course.outcome(order, ended=False)
        if (
            order is SortOrder.UNSORTED
            and goal.skip_if_total_unchanged
            and seen.total is not None
            and seen.total == goal.remote_count
        ):
            return replace(course.outcome(order, ended=False), skipped=True)
        if is_down or course.ended(seen, rows_before):
            if order is SortOrder.DESC and not course.is_anew and (course.lacks or course.is_strange):
                position = first  # pages may have become larger on the way, or one come in place of another
                course.begin_anew()
                continue
            course.doubt_lacking()
            return course.outcome(course.found if order is SortOrder.UNSORTED else order, ended=True)
        if course.lacks_rows(seen, rows_before):  # perhaps for this once
            continue
        narrowed = _narrowed(goal, window, order, course.oldest) if seen.total is None else None
        if narrowed:  # without a total a deletion would not be seen; from the last instant on nothing is skipped
            window, position = narrowed, first
            course.turn(forget_total=True)
        else:
            passed = seen.count or seen.size or course.size or goal.size
            if repeats and size:  # a page may begin with rows of the one before it beside all of its own
                passed = min(passed, size)
            rows_read = positions.row(goal.paging, position, size or course.size)
            upper = positions.at(goal.paging, rows_read, course.size)  # where pages have just become smaller
            position = max(positions.after(goal.paging, position, passed), upper)


def _joins(place: ResumePoint, order: SortOrder, seen: PageView) -> bool:
    """Whether a page shows a row that was read before the walk was cut off."""
    if order is SortOrder.UNSORTED or place.oldest is None:
        return any(row.is_stored for row in seen.rows)
    times = [(row.created_at, row.is_stored) for row in seen.rows if row.created_at is not None]
    return any(at > place.oldest or (at == place.oldest and held) for at, held in times)


def _checked(order: SortOrder, course: PageTracker, seen: PageView) -> SortOrder:
    """The order as it stands after this page; raises where a page contradicts what was believed."""
    times = [row.created_at for row in seen.rows if row.created_at is not None]
    fresh = [row.created_at for row in seen.rows if row.created_at is not None and row.call_id in course.fresh]
    shown = detect_order(times)
    if times:
        if course.last is not None and fresh and max(fresh) > course.last and shown is not SortOrder.ASC:
            shown = SortOrder.UNSORTED  # rows that were pushed down may come again, but new ones lie below the last
        course.last = times[-1]
    course.found = shown if course.found is SortOrder.UNKNOWN else course.found
    if shown is not SortOrder.UNKNOWN and shown is not course.found:
        course.found = SortOrder.UNSORTED
    if order is SortOrder.UNKNOWN:
        if course.found is SortOrder.ASC:
            raise SortOrderChanged(SortOrder.ASC, seen)
        return course.found
    if order is SortOrder.DESC and course.found not in (SortOrder.DESC, SortOrder.UNKNOWN):
        raise SortOrderChanged(course.found, seen)
    return order


def _narrowed(goal: ScanGoal, window: Window, order: SortOrder, oldest: datetime | None) -> Window | None:
    """The window up to the last instant seen, where the provider can be asked for instants and that is any less."""
    if goal.date_filter is not DateFilter.INSTANTS or order is not SortOrder.DESC or oldest is None:
        return None
    end = oldest.replace(microsecond=0) + timedelta(seconds=1)
    return replace(window, end=end) if window.start < end < window.end else None
