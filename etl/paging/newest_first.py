"""A scan from the newest, or the first, page on."""

from dataclasses import replace

from etl.paging import OffsetLimitReached, Scan, ScanGoal, SortOrder, SortOrderChanged, positions
from etl.paging.decisions import ScanState, decide
from etl.paging.memory import ListProfile

MAX_PASSES = 20  # how often a list without an order is read that keeps changing


def newest_first(goal: ScanGoal, order: SortOrder) -> Scan:
    """Read on from the newest, or the first, page. A list without an order that changed meanwhile is read again, until
    a pass finds it unchanged, or as many rows were met as it had when the pass began; one that has no total either, and
    so shows no deletion, until a pass meets no new row."""
    state, passes, met = ScanState(goal, order, goal.resume_from), 1, 0
    result = yield from _read_on(state)
    while passes < MAX_PASSES and result.reached_end and SortOrder.UNSORTED in (order, result.order):
        is_counted = result.first_total is not None
        if not (result.changed_during_scan if is_counted else len(state.hashes) > met):
            break
        profile, met = ListProfile(deleted=state.profile.deleted), len(state.hashes)
        state, passes = ScanState(goal, SortOrder.UNSORTED, profile=profile, hashes=state.hashes), passes + 1
        result = yield from _read_on(state)
        if result.first_total is not None and state.row_count - state.profile.deleted >= result.first_total:
            break
    if passes > 1 and result.changed_during_scan and len(state.hashes) != result.total:
        result = replace(result, warnings=(*result.warnings, "the list has no order and moved while it was read"))
    return result


def _read_on(state: ScanState) -> Scan:
    """One pass over a list: read page after page, and do what the table of decisions says."""
    first, profile = positions.first(state.goal.paging), state.profile
    position = state.resumed.position if state.resumed else first
    while True:
        total = None if state.order is SortOrder.UNSORTED and profile.has_changed else profile.total
        try:
            page = yield state.request(position, position, state.oldest, total)
        except OffsetLimitReached:
            if (behind := state.refused(position)) is None:
                if position == first or not state.narrow(by_days=True):
                    raise
                position = first
                continue
            page = behind
        seen, progress = state.take(page, position), state.progress
        profile.has_changed |= seen.overlaps
        _check_order(state)
        if state.is_torn():
            state.discard_torn_page()
        is_asked_for_again = progress.asked_again and not progress.is_second_reading
        progress.is_doubtful |= state.is_unexplained_repeat() and is_asked_for_again
        decision = decide(state.FORWARD, state)
        if decision in ("stop_at_known_rows", "skip_unchanged", "finish"):
            return state.result(reached_end=decision == "finish", skipped=decision == "skip_unchanged")
        state.must_join = decision == "retreat"
        position = _next_position(decision, state)


def _next_position(decision: str, state: ScanState) -> int:
    """What a decision does, and where it goes on."""
    if decision == "scan_as_unsorted":
        raise SortOrderChanged(SortOrder.UNSORTED, state.seen.page.total)
    if decision == "retreat":
        return _back(state)
    state.advance()
    if decision in ("ask_for_the_page_again", "ask_for_a_short_page_again"):
        state.ask_again()
        return state.seen.position
    if decision == "read_again":
        state.restart()
        return positions.first(state.goal.paging)
    state.accept()
    return _on(state)


def _back(state: ScanState) -> int:
    """The position where the page just read, which joins nothing, or else the page before it is shown by now."""
    goal, seen, size = state.goal, state.seen, state.profile.size
    state.oldest = seen.oldest_before
    if state.may_have_skipped() and state.narrow():
        return positions.first(goal.paging)
    state.jump()
    same_row = positions.at(goal.paging, positions.row(goal.paging, seen.position, seen.size_before), size)
    if state.is_of_another_size() and same_row < seen.position:
        return same_row
    return positions.before(goal.paging, seen.position, size or goal.size)


def _on(state: ScanState) -> int:
    """The position of the page that follows, in pages as large as they are by now."""
    goal, seen, size = state.goal, state.seen, state.profile.size
    if seen.page.total is None and state.narrow():  # a deletion would not be seen: from the last instant none matters
        return positions.first(goal.paging)
    passed = seen.page.count or seen.page.size or size or goal.size
    if seen.overlaps and seen.size_before:  # a page may begin with rows of the one before it beside all of its own
        passed = min(passed, seen.size_before)
    row = positions.row(goal.paging, seen.position, seen.size_before or size)
    return max(positions.after(goal.paging, seen.position, passed), positions.at(goal.paging, row, size))


def _check_order(state: ScanState) -> None:
    """Take in the order that a page shows; raises where it contradicts what was believed."""
    seen, profile = state.seen, state.profile
    shown, last = seen.page.order, profile.last_created_at
    fresh = [row.created_at for row in seen.page.rows if row.created_at and row.call_id in seen.new_ids]
    if last and fresh and max(fresh) > last and shown is not SortOrder.ASC:
        shown = SortOrder.UNSORTED  # rows that were pushed down may repeat, but new ones lie below the last
    profile.last_created_at = seen.page.times[-1] if seen.page.times else last
    if shown is not SortOrder.UNKNOWN:
        profile.order = shown if profile.order in (SortOrder.UNKNOWN, shown) else SortOrder.UNSORTED
    is_contradicted = state.order is SortOrder.DESC and profile.order is SortOrder.UNSORTED
    if is_contradicted or (profile.order is SortOrder.ASC and state.order is not SortOrder.UNSORTED):
        raise SortOrderChanged(profile.order, seen.page.total)
    state.order = profile.order if state.order is SortOrder.UNKNOWN else state.order
