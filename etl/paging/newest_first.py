"""A scan from the newest, or the first, page on."""

from dataclasses import dataclass, replace
from datetime import datetime

from etl.model import Window
from etl.paging import positions
from etl.paging.decisions import FORWARD, Situation, decide, narrowed_window
from etl.paging.memory import RowCounts, ScanMemory, Totals
from etl.paging.observation import Observation, observe
from etl.paging.order import detect_order
from etl.paging.scan import (
    NextPage,
    OffsetLimitReached,
    ResumePoint,
    Scan,
    ScanGoal,
    ScanResult,
    SortOrder,
    SortOrderChanged,
)

MAX_PASSES = 20  # how often a list without an order is read that keeps changing


def newest_first(goal: ScanGoal, order: SortOrder) -> Scan:
    """Read on from the newest, or the first, page.

    A list without an order that changed meanwhile is read again, until a pass finds it unchanged, or as many rows were
    met as it had when the pass began.
    """
    forward = ForwardScan(goal, ScanMemory(goal), order)
    result = yield from forward.run()
    passes, memory = 1, forward.memory
    while _may_have_missed(order, result, memory) and passes < MAX_PASSES:
        memory = ScanMemory(
            goal, rows=RowCounts(hashes=memory.rows.hashes), totals=Totals(deleted=memory.totals.deleted)
        )
        passes += 1
        result = yield from ForwardScan(replace(goal, resume_from=None), memory, SortOrder.UNSORTED).run()
        if result.first_total is None or memory.row_count - memory.totals.deleted >= result.first_total:
            break
    if passes > 1 and memory.totals.has_changed and len(memory.rows.hashes) != result.total:
        result = replace(result, warnings=(*result.warnings, "the list has no order and moved while it was read"))
    return result


def _may_have_missed(order: SortOrder, result: ScanResult, memory: ScanMemory) -> bool:
    is_unsorted = SortOrder.UNSORTED in (order, result.order)
    return is_unsorted and result.reached_end and memory.totals.has_changed


@dataclass(slots=True)
class ForwardScan:
    """One pass over a list: where it is, and what it remembers."""

    goal: ScanGoal
    memory: ScanMemory
    order: SortOrder

    def run(self) -> Scan:
        """Read page after page, and do what the table of decisions says."""
        goal, memory, window = self.goal, self.memory, self.goal.window
        position, is_looking_back = positions.first(goal.paging), goal.resume_from is not None
        if goal.resume_from:
            position, window = goal.resume_from.position, replace(window, end=goal.resume_from.end)
        while True:
            oldest, size = memory.oldest, memory.size.rows
            try:
                page = yield NextPage(window, position, self._resume_point(position, window))
            except OffsetLimitReached:
                window, position = self._below_offset_limit(window, position, oldest)
                continue
            seen = observe(memory, page, position)
            self._take(seen)
            situation = Situation(goal, memory, seen, self.order, is_looking_back)
            if situation.is_torn and not situation.can_retreat:
                memory.retreat()
            decision = decide(FORWARD, situation)
            if decision == "scan_as_unsorted":
                raise SortOrderChanged(SortOrder.UNSORTED, page)
            if decision == "retreat":
                window, position, is_looking_back = self._retreat(situation, window, oldest, size)
                continue
            if decision == "ask_for_the_page_again":
                memory.ask_again()
                continue
            is_looking_back = False
            result = self._finish(decision, situation)
            if result is not None:
                return result
            window, position = self._go_on(decision, situation, window, size)

    def _resume_point(self, position: int, window: Window) -> ResumePoint:
        memory, is_unsorted = self.memory, self.order is SortOrder.UNSORTED
        total = None if is_unsorted and memory.totals.has_changed else memory.totals.latest
        return ResumePoint(position, self.goal.size, window.end, self.order, memory.newest, memory.oldest, total)

    def _take(self, seen: Observation) -> None:
        """Remember a page, and check the order that it shows."""
        self.memory.take(seen)
        self.memory.totals.has_changed |= seen.overlaps
        self.order = check_order(self.order, self.memory, seen)
        self.memory.is_ordered = self.order is SortOrder.DESC

    def _below_offset_limit(self, window: Window, position: int, oldest: datetime | None) -> tuple[Window, int]:
        """Where to go on below a position that the provider refuses; raises where there is no such way."""
        narrowed = narrowed_window(self.goal, window, self.order, oldest)
        if narrowed is None or position == positions.first(self.goal.paging):
            raise OffsetLimitReached
        self.memory.narrow()
        return narrowed, positions.first(self.goal.paging)

    def _retreat(
        self, situation: Situation, window: Window, oldest: datetime | None, size: int
    ) -> tuple[Window, int, bool]:
        """Rows may lie between this page and those before it: go back to what was read, and on from there."""
        memory, paging, position = self.memory, self.goal.paging, situation.seen.position
        memory.retreat()
        memory.oldest = oldest
        narrowed = narrowed_window(self.goal, window, self.order, oldest) if situation.may_have_skipped else None
        if narrowed:
            memory.narrow()
            return narrowed, positions.first(paging), False
        memory.jump()
        same_row = positions.at(paging, positions.row(paging, position, size), memory.size.rows)
        if situation.is_of_another_size and same_row < position:
            return window, same_row, True
        return window, positions.before(paging, position, memory.size.rows or self.goal.size), True

    def _finish(self, decision: str, situation: Situation) -> ScanResult | None:
        """The result of the scan where it ends with this page; a page that joins is progress."""
        memory, seen = self.memory, situation.seen
        is_doubtful = situation.is_doubtful
        memory.advance_to(seen.position)
        memory.recovery.is_doubtful = is_doubtful
        if decision == "stop_at_known_rows":
            return memory.result(self.order, reached_end=False)
        if decision == "skip_unchanged":
            return memory.result(self.order, reached_end=False, skipped=True)
        if decision in ("read_again", "finish") and situation.ends_against_total and not situation.has_reached_start:
            rows = positions.row(self.goal.paging, seen.position, memory.size.rows)
            memory.warnings.append(f"the total says {seen.page.total}, the list ended after {rows} rows")
        if decision != "finish":
            return None
        memory.warn_if_incomplete()
        found = memory.evidence.order if self.order is SortOrder.UNSORTED else self.order
        return memory.result(found, reached_end=True)

    def _go_on(self, decision: str, situation: Situation, window: Window, size: int) -> tuple[Window, int]:
        """The window and the position of the next page."""
        memory, seen, paging = self.memory, situation.seen, self.goal.paging
        if decision == "read_again":
            memory.restart()
            return window, positions.first(paging)
        if decision == "ask_for_a_short_page_again":
            memory.ask_again()
            memory.evidence.last_created_at = None
            return window, seen.position
        memory.accept(is_short_again=seen.is_short and memory.recovery.asked_again)
        no_total = seen.page.total is None  # a deletion would not be seen; from the last instant on nothing is skipped
        narrowed = narrowed_window(self.goal, window, self.order, memory.oldest) if no_total else None
        if narrowed:
            memory.narrow()
            return narrowed, positions.first(paging)
        rows = memory.size.rows
        passed = seen.page.count or seen.page.size or rows or self.goal.size
        if seen.overlaps and size:  # a page may begin with rows of the one before it beside all of its own
            passed = min(passed, size)
        same_row = positions.at(paging, positions.row(paging, seen.position, size or rows), rows)
        return window, max(positions.after(paging, seen.position, passed), same_row)


def check_order(order: SortOrder, memory: ScanMemory, seen: Observation) -> SortOrder:
    """The order as it stands after a page; raises where the page contradicts what was believed."""
    evidence, page = memory.evidence, seen.page
    rows = [row for row in page.rows if row.created_at is not None]
    fresh = [row.created_at for row in rows if row.call_id in seen.new_ids]
    shown = detect_order(seen.times)
    if seen.times:
        last = evidence.last_created_at
        newest = max((at for at in fresh if at is not None), default=None)
        if last is not None and newest is not None and newest > last and shown is not SortOrder.ASC:
            shown = SortOrder.UNSORTED  # rows that were pushed down may repeat, but new ones lie below the last
        evidence.last_created_at = seen.times[-1]
    evidence.order = shown if evidence.order is SortOrder.UNKNOWN else evidence.order
    if shown is not SortOrder.UNKNOWN and shown is not evidence.order:
        evidence.order = SortOrder.UNSORTED
    if order is SortOrder.UNKNOWN:
        if evidence.order is SortOrder.ASC:
            raise SortOrderChanged(SortOrder.ASC, page)
        return evidence.order
    if order is SortOrder.DESC and evidence.order not in (SortOrder.DESC, SortOrder.UNKNOWN):
        raise SortOrderChanged(evidence.order, page)
    return order
