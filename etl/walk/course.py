"""What a walk remembers of the pages it has read: enough to see what moved, what repeats, and where the list ends."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from etl.walk.words import EndlessList, Goal, Order, Outcome, Seen

REMEMBERED_PAGES = 32  # how many pages back an id is recognised as read in this walk
STALE_PAGES = 5  # so many pages in a row that bring no new id are a loop
STEPS_BACK = 50  # so many steps back before the walk comes further, and the total is no longer believed
EMPTY_PAGES = 3  # so many empty pages in a row are the end, whatever the total says


@dataclass(slots=True)
class Course:
    """What a walk remembers of the pages it has read."""

    goal: Goal
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
    stale: int = 0
    backs: int = 0
    furthest: int = 0
    empty: int = 0
    fresh: frozenset[str] = frozenset()  # what the last page showed for the first time
    twins: bool = False  # the last page showed a call twice
    fell: bool = False
    asked_again: bool = False
    moved: bool = False
    found: Order = Order.UNKNOWN
    last: datetime | None = None
    doubts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.goal.place:
            self.newest, self.oldest = self.goal.place.newest, self.goal.place.oldest
            self.total = self.goal.place.total
            self.is_narrowed = self.goal.place.end < self.goal.window.end

    def read(self, seen: Seen, position: int) -> bool:
        """Take a page in; whether it shares a row with the pages read before. Raises :class:`EndlessList`."""
        ids = frozenset(row.call_id for row in seen.rows)
        self.fresh = ids.difference(*self.pages)
        repeats = len(self.fresh) < len(ids)
        self._guard_against_loops(ids, seen, position)
        self.count += len(self.fresh)
        times = [row.created_at for row in seen.rows if row.created_at is not None]
        if times:
            self.newest = max(times) if self.newest is None else max(self.newest, *times)
            self.oldest = min(times) if self.oldest is None else min(self.oldest, *times)
        self.size = max(self.size, seen.count)
        self.fell = seen.total is not None and self.total is not None and seen.total < self.total
        self.moved = self.moved or (self.total is not None and seen.total != self.total)
        self.total = seen.total if seen.total is not None else self.total
        self.first_total = self.total if self.first_total is None else self.first_total
        self.listed = self.listed if self.is_narrowed else self.total
        self.empty = 0 if seen.rows else self.empty + 1
        self.twins = len(ids) < len(seen.rows)
        self.pages.append(ids)
        if not self.is_ordered:
            self.met.update(map(hash, ids))
        return repeats

    def _guard_against_loops(self, ids: frozenset[str], seen: Seen, position: int) -> None:
        known = bool(ids) and not self.fresh
        if known and self.stale >= 0 and not self.twins and ids == self.pages[-1] and seen.total == self.total:
            raise EndlessList(f"page at position {position} repeats the page before it")
        self.stale = self.stale + 1 if known else 0
        if self.stale >= STALE_PAGES:
            raise EndlessList(f"{STALE_PAGES} pages up to position {position} brought no new call")

    def step_back(self) -> bool:
        """Forget the page just read, which joins nothing; whether it is worth going back for what lies before it."""
        self._forget_page()
        self.backs += 1
        if self.backs == STEPS_BACK:
            self.doubts.append("the list or its total fell so often that not every page could be joined to the next")
        return self.backs < STEPS_BACK

    def came_to(self, position: int) -> None:
        """A page was joined to those before it; beyond the furthest so far, going back counts anew."""
        if position > self.furthest:
            self.furthest, self.backs = position, 0

    def turn(self, *, forget_total: bool) -> None:
        """Go on from elsewhere: pages read before may come again, and are no loop and no other order."""
        self.last, self.stale = None, self.stale - 2
        if forget_total:
            self.total, self.is_narrowed = None, True

    def lacks_rows(self, seen: Seen, rows_before: int) -> bool:
        """Whether a page in the middle is empty or shorter than its size, and was not asked for twice yet."""
        is_short = seen.count < self.size or not seen.rows
        is_middle = seen.total is not None and rows_before + seen.count < seen.total
        self.asked_again = is_short and is_middle and not self.asked_again
        if self.asked_again:
            self._forget_page()
            self.last = None
        return self.asked_again

    def _forget_page(self) -> None:
        self.pages.pop()
        self.count -= len(self.fresh)

    def ended(self, seen: Seen, rows_before: int) -> bool:
        """Whether the list ends with this page: the provider's explicit end, or an empty or short page, unless the
        total says that more is to come; a total by itself ends nothing."""
        confirmed = seen.total is not None and rows_before + seen.count >= seen.total
        contradicted = seen.total is not None and not confirmed
        if seen.is_last is True or not seen.rows:
            if contradicted and self.empty >= EMPTY_PAGES:
                self.doubts.append(f"the total says {seen.total}, the list ended after {rows_before} rows")
                return True
            return not contradicted
        full = self.size if len(self.pages) > 1 else seen.size or self.goal.size
        return seen.count < full and confirmed and seen.is_last is not False

    def outcome(self, order: Order, *, ended: bool) -> Outcome:
        """How the walk ends here."""
        met = None if self.goal.place else self.count if self.is_ordered else len(self.met)
        return Outcome(
            order,
            self.newest,
            self.oldest,
            self.listed,
            ended,
            self.first_total,
            self.moved,
            doubts=tuple(self.doubts),
            met=met,
        )


def order_of(times: Sequence[datetime]) -> Order:
    """The order of one page's creation times; all equal, or fewer than two, tell nothing."""
    if len(times) < 2 or min(times) == max(times):
        return Order.UNKNOWN
    if all(a >= b for a, b in pairwise(times)):
        return Order.NEWEST
    if all(a <= b for a, b in pairwise(times)):
        return Order.OLDEST
    return Order.UNSORTED


def reaches_down(goal: Goal, seen: Seen) -> bool:
    """Whether a sorted page reaches below the window, to a row held before where the goal asks to join one."""
    if goal.whole:
        return False
    below = [row for row in seen.rows if row.created_at is not None and row.created_at < goal.window.start]
    return any(row.held for row in below) if goal.joins else bool(below)
