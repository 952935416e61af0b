"""A scan from the last page up to the first, for lists that begin with their oldest row."""

from collections.abc import Generator, Sequence

from etl.paging import NextPage, OffsetLimitReached, PageView, Scan, ScanGoal, SortOrder, SortOrderChanged, positions
from etl.paging.decisions import MAX_JUMPS, Decision, ScanState, decide
from etl.paging.memory import ReadRange

MAX_LOOKS = 5  # how often in one place the pages above are looked at, or the end is looked for again


def oldest_first(goal: ScanGoal) -> Scan:
    """Read from the last page up to the first: behind the reader nothing moves, whatever arrives or is deleted.

    A row that shows up late lands among those that are still to be read, and pushes one of them to where the reader has
    been: where the total rose and no row repeats, the pages above are read until one joins.
    """
    state, resumed = ScanState(goal, SortOrder.ASC, goal.resume_from), goal.resume_from
    if resumed and resumed.oldest:
        bottom = positions.after(goal.paging, resumed.position, goal.size)
        state.range = ReadRange(bottom, resumed.total, resumed.oldest)
    else:
        yield from _find_end(state, goal.local_count)
    yield from _read_down(state)
    is_short = state.missing_count and not state.progress.ends_early and not state.range.reached_goal
    if state.progress.is_doubtful or is_short:
        state.restart()
        yield from _find_end(state, state.profile.total)
        yield from _read_down(state)
    return state.result(reached_end=not state.range.reached_goal)


def _find_end(state: ScanState, expected_count: int | None) -> Generator[NextPage, PageView, None]:
    """Find the last page: where the total says, which is a hint, and from there on to the end."""
    paging, progress = state.goal.paging, state.progress
    position = positions.last(paging, expected_count, state.goal.size)
    state.range, progress.jumps = ReadRange(position), 0
    while True:
        if not state.range.has_pages:
            state.range = ReadRange(position)
        decision = yield from _read(state, position, state.FIND_END)
        seen = state.seen
        progress.probed.add(seen.position)
        if decision == "end_before_this_page":
            progress.ends_early = progress.short_pages >= 2
            if seen.total_change < 0 and progress.retreats < MAX_LOOKS:  # what was to be here lies on the page before
                progress.retreats += 1
                position = positions.before(paging, position, state.profile.size or state.goal.size)
                state.range.has_pages = False
                state.jump()
                continue
            state.range = ReadRange(position) if (seen.rows_left or 0) < 0 else state.range  # or may do
            return
        if decision == "look_further_up":
            state.jump()
            if (seen.rows_left or 0) > 0:
                progress.jumps = MAX_JUMPS  # the total is too high: it says no more where the end is
            half = max(positions.first(paging), position // 2)
            position = seen.last if seen.last < position and progress.jumps < MAX_JUMPS else half
            continue
        if not (state.range.has_pages and seen.overlaps):
            _extend(state)  # what vanished may have pulled a row past the reader: the range begins with this page
            state.range.size = seen.page.stated_size(state.goal.size)  # the last page may be short
            state.joinable = 1
        state.range.reached_goal |= state.reached_goal()
        if decision == "end_on_this_page":
            return
        position = seen.after
        if decision == "jump_to_end":
            state.jump()
            position = seen.last
            state.range.has_pages = False


def _read_down(state: ScanState) -> Generator[NextPage, PageView, None]:
    """Read on from the range down to the first page, or to where the goal wants to come."""
    paging = state.goal.paging
    while not state.range.reached_goal and state.range.bottom > positions.first(paging):
        state.jump()  # positions only become smaller: pages that repeat are no loop
        position = positions.before(paging, state.range.bottom, state.profile.size or state.goal.size)
        decision = yield from _read(state, position, state.READ_DOWN)
        state.progress.is_doubtful |= state.is_same_page_twice() or state.is_page_of_elsewhere()
        if decision != "look_above" or (yield from _look_above(state)):
            _extend(state)
            state.progress.retreats = 0


def _look_above(state: ScanState) -> Generator[NextPage, PageView, bool]:
    """Read on from a page towards the end until one joins what was read before, and go on down from that.

    Whether the page is taken as it was: in the end it is arrivals that raise the total with every request.
    """
    lowest, decision = state.seen, "next_page"
    state.range.joining = lowest.page
    while decision == "next_page":
        state.discard()
        state.jump()
        decision = yield from _read(state, state.seen.after, state.LOOK_ABOVE)
    state.range.joining = None
    if decision == "joined":
        _extend(state)
        state.progress.retreats += 1
    if decision != "joined" or state.progress.retreats < MAX_LOOKS:
        return False
    state.seen = lowest
    state.pages.append(lowest.ids)
    state.joinable, state.profile.rows = state.joinable + 1, state.profile.rows + len(lowest.new_ids)
    return True


def _extend(state: ScanState) -> None:
    """Extend the range down to the page just read, which joins it."""
    page, oldest = state.seen.page, min(state.seen.page.times, default=state.range.oldest)
    size, reached_goal = page.full_size(state.goal.size), state.reached_goal()
    state.range = ReadRange(state.seen.position, page.total, oldest, size, has_pages=True, reached_goal=reached_goal)


def _read(state: ScanState, position: int, table: Sequence[Decision]) -> Generator[NextPage, PageView, str]:
    """Ask for a page, and once more where it is short → what follows; a scan cut off here resumes below the range."""
    while True:
        read, size = state.range, state.profile.size or state.goal.size
        below = positions.before(state.goal.paging, read.bottom, size) if read.oldest else position
        try:
            page = yield state.request(position, below, read.oldest, read.total)
        except OffsetLimitReached:
            if (behind := state.refused(position)) is None:
                raise
            page = behind
        seen = state.take(page, position)
        state.progress.jumps += 1
        if read.total is not None and page.total is not None:
            read.total -= max(0, seen.total_change)  # a rise is one, even where the total falls again at once
        shown = SortOrder.UNSORTED if _contradicts_order(state) else page.order
        is_uncounted = page.total is None and bool(page.rows)
        if is_uncounted or shown not in (SortOrder.ASC, SortOrder.UNKNOWN):
            raise SortOrderChanged(SortOrder.UNSORTED if is_uncounted else shown, page.total)
        decision = decide(table, state)
        if decision == "list_changed":
            state.discard_torn_page()
        if decision != "ask_for_a_short_page_again":
            state.accept()
            return decision
        state.ask_again()
        state.jump()


def _contradicts_order(state: ScanState) -> bool:
    """Whether a page of a list that begins with its oldest row is not in order with the page read before it."""
    seen, earlier, times = state.seen, state.profile.dated_page, state.seen.page.times
    state.profile.dated_page = seen if times else earlier
    if earlier is None or not times or earlier.position == seen.position or seen.overlaps:
        return False
    is_above = seen.position > earlier.position
    return min(times) < max(earlier.page.times) if is_above else max(times) > min(earlier.page.times)
