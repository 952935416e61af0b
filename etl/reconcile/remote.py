"""A list of a provider → its pages by rank, each held against the books as it comes, and loaded if wanted."""

from collections.abc import Hashable, Sequence
from datetime import datetime

from etl.client.api_client import Answer
from etl.client.errors import RequestRefused
from etl.loader.batch import Arrival, Batch
from etl.model import Ask, Page, Window
from etl.paging import Order, order_of, positions
from etl.reconcile.local import HeldCalls, key_of
from etl.reconcile.rank_search import Moved, Row, Slice, TotalLies
from etl.state.streams import ListState
from etl.sync.completeness import OTHERS, is_of_others
from etl.sync.fetch import fetch
from etl.sync.run import Reader
from etl.sync.window import REFUSED

NO_TOTAL = "the provider gives no total"
LISTS_NOTHING = "the provider lists nothing of these days at the moment"


class Unprovable(Exception):
    """The provider's answers do not allow a proof; the text says why."""


class NotSorted(Exception):
    """The list has no order."""


class OutOfReach(Exception):
    """The provider refuses a page so deep in the list."""


class Listing:
    """One list as the provider shows it in a window, and what was found on its pages.

    ``lacking`` are the calls that were seen and not held, with their time; with ``heal`` the page that showed them is
    loaded at once. ``total`` is what the provider said last.
    """

    def __init__(self, reader: Reader, books: ListState, held: HeldCalls, window: Window, *, heal: bool) -> None:
        self.reader, self.books, self.held, self.window, self.heal = reader, books, held, window, heal
        self.order = books.order
        self.size = books.page_size or reader.provider.page_size
        self.total: int | None = None
        self.lacking: dict[Hashable, datetime | None] = {}
        self.oldest_listed: datetime | None = None
        self._asked_size = self.size
        self._said_size: int | None = None

    def at(self, rank: int) -> Slice:
        """The page that shows a rank, 0 being the oldest call; where the list begins if its total is not known yet.

        Raises :class:`~etl.reconcile.rank_search.Moved` where the list turns out to be another than was believed.
        """
        total, believed = self.total, (self.order, self.size)
        row = rank if self.order is Order.OLDEST else 0 if total is None else total - 1 - rank
        before = max(row, 0) // self.size * self.size
        arrivals = self._whole_page(before)
        shown = order_of([each.created_at for each in arrivals if each.created_at is not None])
        if shown is Order.UNSORTED:
            raise NotSorted
        self.order = self.order if shown is Order.UNKNOWN else shown
        is_first_answer = total is None
        if (self.order, self.size) != believed and not (is_first_answer and before == 0):
            raise Moved
        return self._slice(arrivals, before)

    def count(self, window: Window) -> int:
        """How many calls the provider lists in a window: one request for one record."""
        page = self._ask(window, positions.first(self.reader.provider.paging), 1)[0].value
        if page.total is None:
            raise Unprovable(NO_TOTAL)
        return page.total

    def take(self, window: Window, position: int) -> tuple[Page, Sequence[Arrival]]:
        """One page of a window by its position; its records are held against the books, and loaded if wanted."""
        answer, arrivals = self._ask(window, position, self._asked_size)
        return answer.value, arrivals

    def _whole_page(self, before: int) -> list[Arrival]:
        """The distinct records of the page with so many rows before it; one that is too short is asked for twice."""
        for _ in range(2):
            arrivals, total = self._page(before)
            rest = total - before
            if len(arrivals) in (min(self.size, max(rest, 0)), self._said_size):
                break
        if len(arrivals) > max(rest, 0):
            raise TotalLies(f"the provider says that it lists {total} calls, and shows more")
        if len(arrivals) > self.size:
            raise Unprovable("the provider's pages overlap")
        if not arrivals and rest > 0:
            raise TotalLies(f"the provider says that it lists {total} calls, and shows fewer")
        if len(arrivals) < min(self.size, rest):
            self.size = len(arrivals)  # its own page size, whatever was asked for
        return arrivals

    def _page(self, before: int) -> tuple[list[Arrival], int]:
        page, arrivals = self.take(self.window, positions.at(self.reader.provider.paging, before, self.size))
        if page.total is None:
            raise Unprovable(NO_TOTAL)
        self.total, self._said_size = page.total, page.size
        return list({key_of(each): each for each in arrivals}.values()), page.total

    def _slice(self, arrivals: Sequence[Arrival], before: int) -> Slice:
        total = self.total or 0
        is_newest = self.order is not Order.OLDEST
        times = _filled([each.created_at for each in arrivals])
        rows = [
            Row(total - 1 - before - n if is_newest else before + n, at, key_of(each), key_of(each) not in self.lacking)
            for n, (each, at) in enumerate(zip(arrivals, times, strict=True))
            if at is not None
        ]
        return Slice(total, rows[::-1] if is_newest else rows)

    def _ask(self, window: Window, position: int, size: int) -> tuple[Answer[Page], Sequence[Arrival]]:
        reader = self.reader
        reader.take_turn()
        try:
            answer = fetch(reader.client, reader.provider, Ask(reader.source, window, position, size, self.books.phone))
        except RequestRefused as refused:
            if refused.status in REFUSED and self.total is not None:
                raise OutOfReach from None
            raise
        if answer.value.unshown:  # its rank is somebody's, and nobody knows whose
            raise answer.value.unshown
        batch = Batch(reader.provider, reader.source)
        arrivals = batch.take(answer.value, answer.seq)
        self._look(batch, arrivals)
        reader.lease.give_up()
        return answer, arrivals

    def _look(self, batch: Batch, arrivals: Sequence[Arrival]) -> None:
        """Note what is listed and not held, and load it where that is wanted."""
        if any(is_of_others(self.reader, self.books.phone, each) for each in arrivals):
            raise Unprovable(OTHERS)
        lacking = self.held.lacks(arrivals)
        self.lacking |= {key: each.created_at for key, each in lacking.items()}
        if lacking and self.heal:
            batch.held.update(self.reader.held(arrivals))
            with self.reader.lease.transaction() as connection:
                self.reader.load(connection, batch)
            self.held.look_at_quarantine()


def _filled(times: Sequence[datetime | None]) -> list[datetime | None]:
    """Times of rows in order; one that is not known is that of the row before it, or else after it."""
    out: list[datetime | None] = []
    for at in times:
        out.append(at or (out[-1] if out else next((each for each in times if each), None)))
    return out
