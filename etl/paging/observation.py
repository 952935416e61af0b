"""What was read before and one page → the facts of that page, as one frozen value."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from etl.paging import positions
from etl.paging.scan import PageView

if TYPE_CHECKING:
    from etl.paging.memory import ScanMemory


@dataclass(frozen=True, slots=True)
class Observation:
    """One page against what was read before it: the same facts for both directions."""

    position: int
    page: PageView
    ids: frozenset[str]
    new_ids: frozenset[str]  # that no remembered page showed
    times: tuple[datetime, ...]
    overlaps: bool  # it shares a row with the pages that were read in one piece before it
    has_duplicates: bool  # it shows a row twice
    size: int  # how many rows positions count a page as, by now
    is_size_known: bool
    size_changed: bool  # positions count in pages of another size than on the page before
    fall: int  # by how many rows the total is lower than before
    rise: int
    rows_before: int  # how many rows lie before the page, by its position

    @property
    def contradicts_total(self) -> bool:
        """Whether the total says that rows follow behind this page."""
        return self.page.total is not None and self.rows_before + self.page.count < self.page.total

    @property
    def confirms_total(self) -> bool:
        """Whether the rows up to the end of this page are as many as the total says."""
        return self.page.total is not None and self.rows_before + self.page.count == self.page.total

    @property
    def is_short(self) -> bool:
        """Whether a page in the middle of the list is empty, or shorter than its size."""
        return (self.page.count < self.size or not self.page.rows) and self.contradicts_total


def observe(memory: "ScanMemory", page: PageView, position: int) -> Observation:
    """The facts of a page."""
    ids = frozenset(row.call_id for row in page.rows)
    new_ids = ids.difference(*memory.pages)
    in_one_piece = list(memory.pages)[len(memory.pages) - memory.joinable :]
    overlaps = len(new_ids) < len(ids) and any(ids & read for read in in_one_piece)
    size, is_size_known = _page_size(memory, page, position, overlaps)
    total, before = page.total, memory.totals.latest
    change = total - before if total is not None and before is not None else 0
    return Observation(
        position,
        page,
        ids,
        new_ids,
        tuple(row.created_at for row in page.rows if row.created_at is not None),
        overlaps,
        len(ids) < len(page.rows),
        size,
        is_size_known,
        memory.size.is_known and size != memory.size.rows,
        max(0, -change),
        max(0, change),
        positions.row(memory.goal.paging, position, size),
    )


def _page_size(memory: "ScanMemory", page: PageView, position: int, overlaps: bool) -> tuple[int, bool]:
    """How many rows positions count a page as, and whether that is known for certain."""
    goal, size, was_known = memory.goal, memory.size.rows, memory.size.is_known
    asked = page.size or goal.size
    is_stated = bool(page.size) and (asked < goal.size or page.count == asked)
    is_end = positions.row(goal.paging, position, asked) + page.count == page.total
    new = size
    if is_stated:
        new = asked
    elif not size:
        new = asked if is_end else page.count
    elif not (overlaps and was_known):
        new = max(size, page.count)
    is_first_of_many = position == positions.first(goal.paging) and not is_end
    return new, was_known or is_stated or (bool(page.count) and (is_first_of_many or page.count == size))
