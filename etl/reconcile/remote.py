"""A list of a provider → its pages by rank, each compared with the warehouse as it comes, and loaded if wanted."""

from collections.abc import Hashable, Sequence
from datetime import datetime

from etl.client.errors import PageRefused
from etl.loader.batch import ReceivedRecord
from etl.model import Window
from etl.paging import PageView, SortOrder, positions
from etl.reconcile.local import LocalCalls, key_of
from etl.reconcile.rank_search import CountsMore, ListChanged, RankedPage, RankedRow, TotalMismatch
from etl.state.streams import StreamState
from etl.sync.completeness import Reason, is_foreign
from etl.sync.load import load, receive
from etl.sync.pager import Pager, page_view, row_views
from etl.sync.run import SourceRun

LISTS_NOTHING = "the provider lists nothing of these days at the moment"


class CannotVerify(Exception):
    """The provider's answers do not allow a proof; the text says why."""


class NoTotal(CannotVerify):
    """The list has no total, so that only single calls can be compared."""

    def __init__(self) -> None:
        super().__init__("the provider gives no total")


class NotSorted(Exception):
    """The list has no order."""


class PositionRefused(Exception):
    """The provider refuses a page so deep in the list."""


class RemoteStream:
    """One list as the provider shows it in a window, and what was found on its pages.

    ``not_stored`` are the calls that were seen and not stored, with their time; with ``heal`` the page that showed them
    is loaded at once. ``total`` is what the provider said last.
    """

    def __init__(self, run: SourceRun, stream: StreamState, local: LocalCalls, window: Window, *, heal: bool) -> None:
        self.run, self.stream, self.local, self.window, self.heal = run, stream, local, window, heal
        self.order = stream.sort_order
        self.size = stream.page_size or run.provider.page_size
        self.total: int | None = None
        self.not_stored: dict[Hashable, datetime | None] = {}
        self.oldest_listed: datetime | None = None
        self.surplus = stream.surplus_count  # by how many calls the total exceeds what is listed
        self._pager = Pager(run.client, run.provider, run.source, stream.partition)
        self._asked_size = self.size

    def at(self, rank: int) -> RankedPage:
        """The page that shows a rank, 0 being the oldest call; where the list begins if its total is not known yet.

        Raises :class:`~etl.reconcile.rank_search.ListChanged` where the list turns out to be another than was believed.
        """
        total, believed = self.total, (self.order, self.size)
        row = rank if self.order is SortOrder.ASC else 0 if total is None else total - 1 - rank
        before = max(row, 0) // self.size * self.size
        view, arrivals = self._whole_page(before)
        if view.order is SortOrder.UNSORTED:
            raise NotSorted
        self.order = self.order if view.order is SortOrder.UNKNOWN else view.order
        is_first_answer = total is None
        if (self.order, self.size) != believed and not (is_first_answer and before == 0):
            raise ListChanged
        return self._slice(arrivals, before)

    def count(self, window: Window) -> int:
        """How many calls the provider lists in a window: one request for one record."""
        view, _ = self.take(window, positions.first(self.run.provider.paging), 1)
        if view.total is None:
            raise NoTotal
        return view.total

    def take(self, window: Window, position: int, size: int = 0) -> tuple[PageView, Sequence[ReceivedRecord]]:
        """One page of a window by its position; its records are compared with the warehouse, and loaded if wanted."""
        run = self.run
        run.acquire_lease()
        try:
            answer = self._pager.page(window, position, size or self._asked_size)
        except PageRefused:
            raise PositionRefused from None
        if answer.value.unreadable:  # its rank is somebody's, and nobody knows whose
            raise answer.value.unreadable
        arrivals = receive(run, answer.value.records, answer.seq)
        self._look(arrivals)
        run.lease.release()
        return page_view(answer.value, row_views(arrivals)), arrivals

    def _whole_page(self, before: int) -> tuple[PageView, list[ReceivedRecord]]:
        """The distinct records of the page with this many rows before it; one that is too short is asked for twice."""
        position = positions.at(self.run.provider.paging, before, self.size)
        for _ in range(2):
            try:
                view, arrivals = self.take(self.window, position)
            except PositionRefused:
                if self.total is None or before < self.total:
                    raise
                view, arrivals = PageView((), self.total), ()  # behind the end, where others show an empty page
            if view.total is None:
                raise NoTotal
            self.total, rest = view.total, max(view.total - before, 0)
            if view.count in (min(self.size, rest), view.size):
                break
        if view.count > rest:
            raise TotalMismatch(f"the provider says that it lists {view.total} calls, and shows more")
        if view.count > self.size:
            raise CannotVerify("the provider's pages overlap")
        if not view.count and rest:
            raise CountsMore(f"the provider says that it lists {view.total} calls, and shows fewer")
        if view.count:
            self.size = min(self.size, view.size_shown(self._asked_size, before))
        return view, list({key_of(record): record for record in arrivals}.values())

    def _slice(self, arrivals: Sequence[ReceivedRecord], before: int) -> RankedPage:
        total = self.total or 0
        is_newest = self.order is not SortOrder.ASC
        times = _filled([record.created_at for record in arrivals])
        rows = [
            RankedRow(
                total - 1 - before - n if is_newest else before + n,
                at,
                key_of(record),
                key_of(record) not in self.not_stored,
            )
            for n, (record, at) in enumerate(zip(arrivals, times, strict=True))
            if at is not None
        ]
        return RankedPage(total, rows[::-1] if is_newest else rows)

    def _look(self, arrivals: Sequence[ReceivedRecord]) -> None:
        """Note what is listed and not stored, and load it where that is wanted."""
        if any(is_foreign(self.run, self.stream.partition, record) for record in arrivals):
            raise CannotVerify(Reason.FOREIGN_CALLS)
        not_stored = self.local.not_stored(arrivals)
        self.not_stored |= {key: record.created_at for key, record in not_stored.items()}
        if not_stored and self.heal:
            self.run.transaction(load, self.run, arrivals)
            self.local.load_quarantine()


def _filled(times: Sequence[datetime | None]) -> list[datetime | None]:
    """Times of rows in order; one that is not known is that of the row before it, or else after it."""
    out: list[datetime | None] = []
    for at in times:
        out.append(at or (out[-1] if out else next((time for time in times if time), None)))
    return out
