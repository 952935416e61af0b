"""What was read before and one page → the facts of that page, as one frozen value."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from etl.paging import PageView, positions

if TYPE_CHECKING:
    from etl.paging.memory import ScanMemory


@dataclass(frozen=True, slots=True)
class Observation:
    """One page against what was read before it: the same facts for both directions."""

    position: int
    page: PageView
    ids: frozenset[str]
    new_ids: frozenset[str]  # that no remembered page showed
    overlaps: bool  # it shares a row with the pages that were read in one piece before it
    size: int  # how many rows positions count a page as, by now
    size_before: int  # the same before this page; 0 where no page was read
    is_size_known: bool
    size_changed: bool  # positions count in pages of another size than on the page before
    total_change: int  # by how many rows the total is higher than before
    oldest_before: datetime | None  # the oldest row that was read before this page
    rows_left: int | None  # how many rows follow behind this page by its total, if it has one
    is_short: bool  # it is empty or shorter than its size, although rows follow behind it by the total
    after: int  # the position of the page after it
    last: int  # the position of the last page, by its total


def observe(memory: "ScanMemory", page: PageView, position: int) -> Observation:
    """The facts of a page."""
    ids = frozenset(row.call_id for row in page.rows)
    new_ids = ids.difference(*memory.pages)
    overlaps = any(ids & read for read in list(memory.pages)[len(memory.pages) - memory.joinable :])
    size, is_size_known = _page_size(memory, page, position, overlaps)
    total, before = page.total, memory.profile.total
    left = total - positions.row(memory.goal.paging, position, size) - page.count if total is not None else None
    return Observation(
        position,
        page,
        ids,
        new_ids,
        overlaps,
        size,
        memory.profile.size,
        is_size_known,
        memory.profile.is_size_known and size != memory.profile.size,
        total - before if total is not None and before is not None else 0,
        memory.oldest,
        left,
        (left or 0) > 0 and (page.count < size or not page.rows),
        positions.after(memory.goal.paging, position, page.count),
        positions.last(memory.goal.paging, total, size or memory.goal.size),
    )


def _page_size(memory: "ScanMemory", page: PageView, position: int, overlaps: bool) -> tuple[int, bool]:
    """How many rows positions count a page as, and whether that is known for certain."""
    goal, size, was_known = memory.goal, memory.profile.size, memory.profile.is_size_known
    asked = page.size or goal.size
    is_stated, rows_before = page.stated_size(goal.size) > 0, positions.row(goal.paging, position, asked)
    if is_stated or not size:
        size = page.size_shown(goal.size, rows_before)
    elif not (overlaps and was_known):
        size = max(size, page.count)
    is_first_of_many = position == positions.first(goal.paging) and page.count != page.total
    is_full = is_first_of_many or page.count == memory.profile.size
    return size, was_known or is_stated or (bool(page.count) and is_full)
