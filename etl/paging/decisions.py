"""The facts of a page → what a scan does next: tables of decisions, of which the first that applies is taken.

A decision is a method: its name, when it applies, and in its docstring when → then, from which the documentation's
tables are made. The last one of each table always applies.
"""

from collections.abc import Callable, Sequence

from etl.model import Paging
from etl.paging import PageView, SortOrder, positions
from etl.paging.memory import MAX_RETREATS, ScanMemory

SHORT_PAGES = 3  # after this many short or empty pages in a row an empty one is the end, whatever the total says
MAX_JUMPS = 3  # how often the end is looked for where the total says that it is
Decision = Callable[["ScanState"], bool]


class ScanState(ScanMemory):
    """What a scan remembers, and what follows from the page last read."""

    def ask_for_a_short_page_again(self) -> bool:
        """A page is empty or short although the total says that rows follow → ask once more."""
        return self.seen.is_short and not self.progress.asked_again and self.progress.short_pages < 2

    def next_page(self) -> bool:
        """None of the above → ask for the page after it."""
        return True

    # Newest first, or without an order

    def scan_as_unsorted(self) -> bool:
        """A scan of a list without an order was cut off, and the total is another since → read it from its start."""
        resumed = self.resumed if self.order is SortOrder.UNSORTED and self.must_join else None
        return resumed is not None and (resumed.total or -1) != self.seen.page.total

    def retreat(self) -> bool:
        """The total fell, the page size changed, or the scan was resumed, and no row repeats → go back until a page
        repeats a row, and on from there; where the provider filters by instants, go on from the last instant seen."""
        return self.is_torn() and self.progress.retreats < MAX_RETREATS

    def ask_for_the_page_again(self) -> bool:
        """Every row was read before, and nothing arrived that could have pushed it here → ask once more: it may be
        another page than the one requested."""
        return self.is_unexplained_repeat() and self.progress.stale_pages == 1 and not self.progress.asked_again

    def stop_at_known_rows(self) -> bool:
        """The page reaches below the window, or down to rows that are stored → stop: the rest is stored."""
        return self.has_reached_start() and not self.progress.is_doubtful

    def skip_unchanged(self) -> bool:
        """A list without an order has the total that it had when it was last read, and the goal allows to skip it →
        stop: nothing is read."""
        is_unsorted, total = self.order is SortOrder.UNSORTED, self.goal.skip_if_total
        return is_unsorted and total is not None and total == self.seen.page.total

    def read_again(self) -> bool:
        """The list ends with fewer rows than its total and did not show its end twice, or a page was doubtful → read it
        once more from its start."""
        is_first_reading = self.order is SortOrder.DESC and not self.progress.is_second_reading
        is_short = self.missing_count > 0 and self.progress.short_pages < 2
        return is_first_reading and (is_short or self.progress.is_doubtful) and self.finish()

    def finish(self) -> bool:
        """The provider says that this is the end, the page is empty, or it is short and the total agrees → the scan is
        complete; rows that are still missing become a warning."""
        return self.has_reached_start() or self.is_end()

    # Oldest first

    def end_before_this_page(self) -> bool:
        """The page is empty, and the one before it was read → the end is found."""
        return not self.seen.page.rows and (self.range.has_pages or self.is_first())

    def look_further_up(self) -> bool:
        """The page is empty, and nothing was read yet → look where the total says the end is, or at half way."""
        return not self.seen.page.rows

    def end_on_this_page(self) -> bool:
        """The list ends here, or the page shows rows newer than the window → the end is found."""
        return self.is_end() or any(at > self.goal.window.end for at in self.seen.page.times)

    def jump_to_end(self) -> bool:
        """The total says that the end is more than a page away → ask for the last page by the total."""
        return self.seen.after < self.seen.last and self.progress.jumps < MAX_JUMPS

    def overlaps(self) -> bool:
        """The page repeats a row of what was read → go on to the page below."""
        if self.seen.overlaps or not self.resumed:
            return self.seen.overlaps
        rows, oldest = self.seen.page.rows, self.resumed.oldest  # or of what was read before the scan was cut off
        if self.order is SortOrder.UNSORTED:
            return any(row.is_stored for row in rows)
        times = [(row.created_at, row.is_stored) for row in rows if row.created_at]
        return oldest is not None and any(at > oldest or (at == oldest and stored) for at, stored in times)

    def adjoins(self) -> bool:
        """The total has not risen, and the page is full → go on to the page below."""
        goal, above, page = self.goal, self.range, self.seen.page
        if above.total is not None and (page.total or 0) > above.total:
            return False  # what came late has pushed a row to behind the reader
        if self.resumed and not above.has_pages:
            return False  # nothing of this scan is read yet
        if goal.paging is Paging.ROWS:
            return self.seen.after >= above.bottom
        return not page.rows or page.full_size(goal.size) == (above.size or goal.size)

    def look_above(self) -> bool:
        """A row that showed up late may have pushed another to where the reader has been → ask for the pages above
        until one repeats a row."""
        return True

    def list_changed(self) -> bool:
        """The total fell, or the page has another size → ask for the page below once more."""
        return self.is_torn_above() and self.progress.retreats < MAX_RETREATS

    def joined(self) -> bool:
        """The page repeats a row of what was read, or the list ends → go on to the page below."""
        return self.overlaps() or not self.seen.page.rows

    # The facts that they share

    def is_first(self) -> bool:
        """Whether this is the first page of the list."""
        return self.seen.position <= positions.first(self.goal.paging)

    def may_have_skipped(self) -> bool:
        """Whether deletions may have pulled rows past the reader: the total fell, and no row repeats."""
        return self.order is not SortOrder.UNSORTED and self.seen.total_change < 0 and not self.seen.overlaps

    def is_of_another_size(self) -> bool:
        """Whether the position counts in pages of another size than those before, and no row repeats."""
        return self.seen.size_changed and not self.seen.overlaps

    def is_torn(self) -> bool:
        """Whether rows may lie between this page and those before it."""
        suspects = self.must_join or self.may_have_skipped() or self.is_of_another_size()
        return suspects and not self.is_first() and not self.overlaps()

    def may_have_shifted(self) -> bool:
        """Whether rows may have come to another page than they were on; a row shown twice takes one place only."""
        return self.seen.total_change > 0 or self.seen.size_changed or self.profile.has_duplicates

    def is_unexplained_repeat(self) -> bool:
        """Whether every row was read before, although none arrived that could have pushed it here."""
        return not self.is_first() and self.progress.stale_pages >= 1 and not self.may_have_shifted()

    def is_page_of_elsewhere(self) -> bool:
        """Whether a list read backwards shows only rows that it showed elsewhere: one page came in place of another."""
        is_probed = self.seen.position in self.progress.probed or self.progress.is_second_reading
        is_explained = is_probed or (self.seen.overlaps and self.may_have_shifted())
        return bool(self.seen.ids) and not self.seen.new_ids and not is_explained

    def is_same_page_twice(self) -> bool:
        """Whether a list read backwards shows, unmoved, the same page twice: one of them came in place of another."""
        is_explained = self.may_have_shifted() or self.seen.total_change < 0 or self.progress.is_second_reading
        return not is_explained and len(self.pages) > 1 and self.pages[-2] == self.pages[-1] != frozenset()

    def has_reached_start(self) -> bool:
        """Whether a list that begins with its newest row was read down to where the goal wants to come."""
        return self.order is SortOrder.DESC and self.reached_goal()

    def is_end(self) -> bool:
        """Whether the list ends with this page: the provider says so, it is empty, or it is short and the total
        agrees. A total by itself ends nothing."""
        seen, page = self.seen, self.seen.page
        if page.is_last is True or not page.rows:
            return (seen.rows_left or 0) <= 0 or self.progress.short_pages >= SHORT_PAGES
        if self.resumed and not self.profile.is_size_known and not self.is_first():
            return False  # what the positions count is not known yet
        full = self.profile.size if len(self.pages) > 1 else page.size or self.goal.size
        return page.count < full and seen.rows_left == 0 and page.is_last is not False

    def refused(self, position: int) -> PageView | None:
        """What a page that the provider refuses amounts to: an empty one behind the end; ``None`` before it."""
        paging, total, size = self.goal.paging, self.profile.total, self.profile.size or self.goal.size
        follows = bool(self.pages) and self.seen.page.is_last is False
        is_behind = positions.is_behind_end(paging, position, size, total, follows=follows)
        return PageView((), total) if is_behind and position > positions.first(paging) else None

    def is_torn_above(self) -> bool:
        """Whether what came after the page to be joined may have been pulled to before it: the total fell, or pages
        have another size by now, as far as they say or show; the last one may be short."""
        goal, page, joining = self.goal, self.seen.page, self.range.joining
        if joining is None:
            return False
        size = joining.full_size(goal.size)
        is_last = positions.row(goal.paging, self.seen.position, size) + page.count == page.total
        is_alike = goal.paging is Paging.ROWS or not page.rows or is_last or page.full_size(goal.size) == size
        return self.seen.total_change < 0 or not is_alike

    def reached_goal(self) -> bool:
        """Whether a page of an ordered list reaches below the window, to a stored row where the goal asks for one; or
        all of it is stored and final, so that the scan has to reach no further."""
        goal, page = self.goal, self.seen.page
        if goal.to_end:
            return False
        is_unchanged = goal.unchanged_total is not None and page.total == goal.unchanged_total
        if is_unchanged and page.rows and all(row.is_stored for row in page.rows):
            return True
        below = [row for row in page.rows if row.created_at is not None and row.created_at < goal.window.start]
        return any(row.is_stored for row in below) if goal.stop_at_known_row else bool(below)

    FORWARD = (scan_as_unsorted, retreat, ask_for_the_page_again, stop_at_known_rows, skip_unchanged, read_again,
               finish, ask_for_a_short_page_again, next_page)  # fmt: skip
    FIND_END = (ask_for_a_short_page_again, end_before_this_page, look_further_up, end_on_this_page, jump_to_end,
                next_page)  # fmt: skip
    READ_DOWN = (ask_for_a_short_page_again, overlaps, adjoins, look_above)
    LOOK_ABOVE = (list_changed, ask_for_a_short_page_again, joined, next_page)


def decide(table: Sequence[Decision], state: ScanState) -> str:
    """The name of the first decision that applies."""
    return next(decision.__name__ for decision in table if decision(state))
