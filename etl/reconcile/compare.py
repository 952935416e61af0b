"""A list of a provider and the spans that are stored of it → how each segment compares, in the way its order allows."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from etl.model import DateFilter, Window
from etl.paging import SortOrder
from etl.reconcile import count_search, naive_times, rank_search, timezone_probe
from etl.reconcile.count_search import Windows
from etl.reconcile.rank_search import BOTTOM, CountsMore, ListChanged, RankIndex, Segment
from etl.reconcile.remote import LISTS_NOTHING, CannotVerify, NoTotal, NotSorted, PositionRefused, RemoteStream
from etl.sync.checkpoint import history_start

ATTEMPTS = 3  # how often a list that changed meanwhile is compared again
FUTURE = datetime.max.replace(tzinfo=UTC)


@dataclass
class Comparison:
    """One list, the spans that are stored of it, and the instants in each of them to count from and to."""

    remote: RemoteStream
    spans: Sequence[Window]
    marks: Sequence[Sequence[datetime]]
    is_everything: bool
    is_by_day: bool

    @cached_property
    def zone(self) -> timezone_probe.Measured:
        """What speaks against the configured time zone; whether the provider counts its days in it takes two requests.

        Where times have no offset, the setting that fits the days could only move both.
        """
        run = self.remote.run
        with run.deps.db.connect() as connection:
            times = naive_times.measured(connection, run.source)
        if times.warning or self._filters is not DateFilter.DAYS:
            return timezone_probe.Measured(is_sure=False, warning=times.warning)
        days = timezone_probe.measured(self.remote, run.source.timezone, self.spans[-1].end)
        return days._replace(warning=None) if times.has_any else days

    def segments(self) -> list[Segment]:
        """Compare; oldest first within each span. Raises :class:`~etl.reconcile.remote.CannotVerify` and its like."""
        if self.remote.surplus:
            return self._call_by_call()
        try:
            return self._by_counts()
        except NoTotal:
            if not self.is_by_day:
                raise
        except CountsMore:
            pass
        return self._call_by_call()

    def _by_counts(self) -> list[Segment]:
        try:
            if self.remote.order is not SortOrder.UNSORTED:
                return self._by_rank()
        except NotSorted:
            self.remote.order = SortOrder.UNSORTED
        except PositionRefused:
            if self._filters is DateFilter.NONE:
                raise
        return self._without_order()

    def _by_rank(self) -> list[Segment]:
        for _ in range(ATTEMPTS):
            with suppress(ListChanged):
                return self._search()
        raise CannotVerify("the list changed each time that it was compared, or has no order")

    def _search(self) -> list[Segment]:
        remote = self.remote
        index = RankIndex(is_whole=self._filters is DateFilter.NONE or self._is_whole)
        out: list[Segment] = []
        for of_span in reversed(self.marks):
            steps = rank_search.search(index, remote.local, of_span)
            try:
                wanted = next(steps)
                while True:
                    if index.rows:
                        remote.run.report_progress("calls compared", len(index.rows), remote.total)
                    page = remote.at(wanted)
                    if not page.total and remote.local.count(self.spans[0].start, self.spans[-1].end):
                        raise CannotVerify(LISTS_NOTHING)
                    wanted = steps.send(page)
            except StopIteration as end:
                out += end.value
        bottom = index.between(0, 1)
        remote.oldest_listed = bottom[0].at if bottom else None
        return out

    def _without_order(self) -> list[Segment]:
        """By the whole count where all is asked, then by the counts of windows, else call by call."""
        remote = self.remote
        if self._filters is DateFilter.INSTANTS:
            return self._by_windows(count_search.instants(remote))
        if self.is_everything and remote.count(remote.window) == remote.local.count(BOTTOM, FUTURE):
            return [Segment(span.start, span.end, by_id=False) for span in self.spans]
        if self._filters is DateFilter.DAYS and self.zone.is_sure:
            return self._by_windows(count_search.days(remote, remote.run.source.timezone))
        return self._call_by_call()

    def _by_windows(self, windows: Windows) -> list[Segment]:
        marks = [[max(x, self._start) for x in of_span] for of_span in self.marks]
        return count_search.by_windows(self.remote, marks, windows, is_whole=self.spans[0].start == BOTTOM)

    def _call_by_call(self) -> list[Segment]:
        out = []
        for span in self.spans:
            window = self.remote.window if self._filters is DateFilter.NONE else span
            asked = Window(max(window.start, self._start), window.end)
            out.append(count_search.whole_pass(self.remote, asked, span, is_bottom=span.start == BOTTOM))
        return out

    @property
    def _filters(self) -> DateFilter:
        return self.remote.run.provider.date_filter

    @property
    def _start(self) -> datetime:
        return history_start(self.remote.run.source)

    @property
    def _is_whole(self) -> bool:
        return self.remote.window.start <= self._start
