"""A scan from the last page up to the first, for lists that begin with their oldest row."""

from collections.abc import Generator
from dataclasses import dataclass

from etl.paging import positions
from etl.paging.decisions import (
    FIND_END,
    LOOK_ABOVE,
    MAX_JUMPS,
    READ_DOWN,
    ReadBlock,
    Situation,
    decide,
    reached_start,
)
from etl.paging.memory import ScanMemory
from etl.paging.observation import Observation, observe
from etl.paging.order import detect_order
from etl.paging.scan import NextPage, PageView, ResumePoint, Scan, ScanGoal, SortOrder, SortOrderChanged

PageScan = Generator[NextPage, PageView, Observation]


def oldest_first(goal: ScanGoal) -> Scan:
    """Read from the last page up to the first: behind the reader nothing moves, whatever arrives or is deleted.

    A row that shows up late lands among those that are still to be read, and pushes one of them to where the reader has
    been: where the total rose and no row repeats, the pages above are read until one joins.
    """
    memory = ScanMemory(goal, is_ordered=True)
    backward = BackwardScan(goal, memory, ReadBlock(0))
    if goal.resume_from and goal.resume_from.oldest:
        bottom = positions.after(goal.paging, goal.resume_from.position, goal.size)
        backward.block = ReadBlock(bottom, goal.resume_from.total, goal.resume_from.oldest)
    else:
        yield from backward.find_end(goal.local_count)
    yield from backward.read_down()
    if memory.recovery.is_doubtful or (memory.missing_count and not backward.block.reached_goal):
        memory.restart()
        yield from backward.find_end(memory.totals.latest)
        yield from backward.read_down()
        memory.warn_if_incomplete()
    return memory.result(SortOrder.ASC, reached_end=not backward.block.reached_goal)


@dataclass(slots=True)
class BackwardScan:
    """A list read backwards: what was read in one piece up to its end, and what is remembered."""

    goal: ScanGoal
    memory: ScanMemory
    block: ReadBlock

    def find_end(self, expected_count: int | None) -> Generator[NextPage, PageView, None]:
        """Find the last page: where the total says, which is a hint, and from there on to the end."""
        goal, memory, paging = self.goal, self.memory, self.goal.paging
        position, jumps, has_block = positions.last(paging, expected_count, goal.size), 0, False
        while True:
            self.block = self.block if has_block else ReadBlock(position)
            seen = yield from self._read(position)
            jumps += 1
            situation = Situation(goal, memory, seen, SortOrder.ASC, block=self.block, has_block=has_block, jumps=jumps)
            decision, by_total = decide(FIND_END, situation), situation.last_by_total
            if self._asks_again(decision, seen):
                continue
            if decision == "end_before_this_page":
                self.block = self.block if has_block else ReadBlock(position, seen.page.total)
                return
            if decision == "look_further_up":
                memory.jump()
                position = self._further_up(situation)
                continue
            self._extend(seen, is_new=not has_block or seen.size_changed or (seen.fall > 0 and not seen.overlaps))
            has_block = True
            if decision == "end_on_this_page":
                return
            if decision == "jump_to_end":
                memory.jump()
                has_block = False
            position = by_total if decision == "jump_to_end" else situation.after

    def _further_up(self, situation: Situation) -> int:
        """Where to look for the end of a list that has become shorter."""
        position, by_total = situation.seen.position, situation.last_by_total
        half = max(positions.first(self.goal.paging), position // 2)
        return by_total if by_total < position and situation.jumps < MAX_JUMPS else half

    def _extend(self, seen: Observation, *, is_new: bool) -> None:
        """Add a page on the way to the end; where it may not join what was read before, the block begins with it."""
        if is_new:
            self.block = ReadBlock(seen.position)
            self.block.take(self.goal, seen)
            is_cut = (seen.page.size or self.goal.size) < self.goal.size
            self.block.size = self.block.size if is_cut else 0  # the last page may be short
            self.memory.joinable = 1
        self.block.reached_goal = self.block.reached_goal or reached_start(self.goal, seen.page)

    def read_down(self) -> Generator[NextPage, PageView, None]:
        """Read on from the block down to the first page, or to where the goal wants to come."""
        goal, memory = self.goal, self.memory
        while not self.block.reached_goal and self.block.bottom > positions.first(goal.paging):
            position = positions.before(goal.paging, self.block.bottom, memory.size.rows or goal.size)
            memory.jump()  # positions only become smaller: pages that repeat are no loop
            seen = yield from self._read(position)
            self._note_same_page_twice(seen)
            decision = decide(READ_DOWN, Situation(goal, memory, seen, SortOrder.ASC, block=self.block))
            if self._asks_again(decision, seen):
                continue
            if decision != "look_above" or (yield from self._look_above(seen)):
                self.block.take(goal, seen)

    def _look_above(self, lowest: Observation) -> Generator[NextPage, PageView, bool]:
        """Read on from a page towards the end until one joins what was read before; whether the list kept still."""
        goal, memory = self.goal, self.memory
        memory.pages.pop()
        memory.joinable -= 1
        position, received = lowest.position, lowest.page.count
        while True:
            memory.jump()
            position = positions.after(goal.paging, position, received)
            seen = yield from self._read(position)
            situation = Situation(goal, memory, seen, SortOrder.ASC, block=self.block, lowest=lowest.page)
            if situation.is_torn_above and not situation.can_retreat:
                memory.retreat()
            decision = decide(LOOK_ABOVE, situation)
            if decision == "list_changed":
                memory.retreat()
                return False
            if self._asks_again(decision, seen):
                position = positions.before(goal.paging, position, received)
                continue
            if decision == "joined":
                memory.pages.append(lowest.ids)
                memory.joinable += 1
                return True
            received = seen.page.count

    def _read(self, position: int) -> PageScan:
        """Ask for a page and remember it; a scan that is cut off goes on below the block."""
        goal, memory, block = self.goal, self.memory, self.block
        below = positions.before(goal.paging, block.bottom, memory.size.rows or goal.size) if block.oldest else position
        page = yield NextPage(
            goal.window,
            position,
            ResumePoint(below, goal.size, goal.window.end, SortOrder.ASC, memory.newest, block.oldest, block.total),
        )
        seen = observe(memory, page, position)
        memory.take(seen)
        if block.total is not None and page.total is not None:
            block.total -= seen.rise  # a rise is one, even where the total falls again at once
        shown = detect_order(seen.times)
        if contradicts_order(memory, seen):
            shown = SortOrder.UNSORTED  # each page is in order, but they are not in order among each other
        if page.total is None or shown not in (SortOrder.ASC, SortOrder.UNKNOWN):
            raise SortOrderChanged(SortOrder.UNSORTED if page.total is None else shown, page)
        return seen

    def _asks_again(self, decision: str, seen: Observation) -> bool:
        """Whether a page is asked for once more; else it is accepted as it is."""
        if decision == "ask_for_a_short_page_again":
            self.memory.ask_again()
            self.memory.evidence.last_created_at = None
            return True
        self.memory.accept(is_short_again=seen.is_short and self.memory.recovery.asked_again)
        return False

    def _note_same_page_twice(self, seen: Observation) -> None:
        """Note that a page shows what the one before it showed although nothing moved: one of them was another."""
        memory = self.memory
        may_have_shifted = Situation(self.goal, memory, seen, SortOrder.ASC).may_have_shifted
        is_explained = may_have_shifted or seen.fall > 0 or memory.recovery.is_second_reading
        is_same = len(memory.pages) > 1 and bool(memory.pages[-1]) and memory.pages[-1] == memory.pages[-2]
        memory.recovery.is_doubtful = memory.recovery.is_doubtful or (is_same and not is_explained)


def contradicts_order(memory: ScanMemory, seen: Observation) -> bool:
    """Whether a page of a list that begins with its oldest row is not in order with the page read before it."""
    if not seen.times:
        return False
    oldest, newest = min(seen.times), max(seen.times)
    earlier, memory.evidence.span = memory.evidence.span, (seen.position, oldest, newest)
    if earlier is None or earlier[0] == seen.position or seen.overlaps:
        return False
    return oldest < earlier[2] if seen.position > earlier[0] else newest > earlier[1]
