"""A window of history → an estimate of the requests, rows and time to load it, from a few requests."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil

from etl.intervals import subtract
from etl.loader.batch import read_received
from etl.model import Call, DateFilter, Window
from etl.paging import PageView, SortOrder, positions
from etl.state import streams
from etl.state.lease import Priority
from etl.state.rate_limit import SHARE
from etl.state.streams import EVER, StreamState
from etl.sync.checkpoint import BEGINNING
from etl.sync.due import resume_point_below
from etl.sync.pager import Pager, page_view, row_views
from etl.sync.run import SourceRun
from etl.sync.transcripts import waiting
from etl.transformer import transform_record

PROBES = 10  # requests for a stream that cannot be filtered by date; one that can needs at most two
SAMPLES = 5  # pages that show how many calls have a transcript to request
CLOSE_ENOUGH = 0.04  # of all pages: precise enough for the position of a boundary
# To transform and load, where the rate limit does not leave time for it anyway.
SECONDS_PER_ROW, SECONDS_PER_TRANSCRIPT = 0.0006, 0.012


@dataclass(frozen=True, slots=True)
class Estimate:
    """What reading one stream takes, without transcripts; ``None`` where the provider gives no total."""

    partition: str
    requests: int | None
    rows: int | None


@dataclass(frozen=True, slots=True)
class BackfillPlan:
    """What a backfill of one source takes."""

    source: str
    streams: Sequence[Estimate]
    transcripts: int
    seconds: float | None

    @property
    def requests(self) -> int | None:
        """All requests; ``None`` where the provider gives no total."""
        found = [stream.requests for stream in self.streams]
        return None if None in found else sum(n or 0 for n in found) + self.transcripts

    @property
    def rows(self) -> int | None:
        """All rows; those in two streams count twice."""
        found = [stream.rows for stream in self.streams]
        return None if None in found else sum(n or 0 for n in found)


def plan(run: SourceRun, window: Window, *, again: bool = False) -> BackfillPlan:
    """Estimate a backfill of the window with few requests; loads nothing."""
    surveys = [_Survey(run, partition) for partition in run.partitions]
    found = [survey.estimate(window, again=again) for survey in surveys]
    new = sum(survey.transcripts for survey in surveys)
    total = BackfillPlan(run.source.name, found, new + waiting(run) if run.provider.transcript else 0, None)
    latency = min((survey.latency for survey in surveys if survey.requests_sent), default=0.0)
    return BackfillPlan(total.source, total.streams, total.transcripts, _seconds(run, total, latency))


def _seconds(run: SourceRun, of: BackfillPlan, latency: float) -> float | None:
    """The time that the rate limit takes, or that responses and loading take where that is more."""
    if of.requests is None or of.rows is None:
        return None
    rate = run.source.requests_per_minute
    at_once = 1 + (ceil(rate / 6) - 1) * SHARE[Priority.BACKFILL]
    paced = max(0.0, of.requests - at_once) * 60 / rate
    loaded = of.rows * SECONDS_PER_ROW + of.transcripts * SECONDS_PER_TRANSCRIPT
    return max(paced, (of.requests - of.transcripts) * latency + loaded)


class _Survey:
    """The few requests that show how much of a stream there is to read."""

    def __init__(self, run: SourceRun, partition: str) -> None:
        self._run, self._partition = run, partition
        with run.deps.db.connect() as connection:
            self._stream: StreamState = streams.load_stream(connection, run.source.name, partition)
        self._size = self._stream.page_size or run.provider.page_size
        self._order = self._stream.sort_order
        self._times: dict[int, Sequence[datetime]] = {}  # of each page that was read, by its number from the newest
        self._calls: list[bool] = []  # of each call that was read, whether its transcript takes a request
        self.requests_sent, self.latency = 0, float("inf")
        self.transcripts = 0

    def estimate(self, window: Window, *, again: bool) -> Estimate:
        """How much of a window there is to read, and what that takes."""
        parts = (window,) if again else subtract(window, self._stream.coverage)[::-1]
        unfinished = [checkpoint.window for checkpoint in self._stream.checkpoints]
        if not parts and not unfinished:
            return Estimate(self._partition, 0, 0)
        is_filtered = self._run.provider.date_filter is not DateFilter.NONE
        rows = (
            self._in_windows([*unfinished, *parts])
            if is_filtered
            else self._down_to([*unfinished, *parts], again=again)
        )
        if rows is None:
            return Estimate(self._partition, None, None)
        paging = self._run.provider.paging
        done = [
            positions.row(paging, checkpoint.resume_point.position, checkpoint.resume_point.size)
            for checkpoint in self._stream.checkpoints
        ]
        done = [*done, *(0 for _ in parts)] if len(rows) == len(unfinished) + len(parts) else [sum(done)]
        rows = [max(0, number - before) for number, before in zip(rows, done, strict=True)]
        requests = sum(max(1, ceil(number / self._size)) for number in rows)
        if self._stream.watermark is None and max(rows) > self._size:  # an initial sync reads the newest page once more
            requests += 1
            rows.append(0 if is_filtered else self._size)
        return Estimate(self._partition, requests, sum(rows))

    def _in_windows(self, windows: Sequence[Window]) -> list[int] | None:
        """The total of each window; of more than two, the total of their span less what is stored between them."""
        if len(windows) <= 2:
            totals = [self._page(window, 0, 1).total for window in windows]
            return None if None in totals else [total or 0 for total in totals]
        whole = Window(min(w.start for w in windows), max(w.end for w in windows))
        total = self._page(whole, 0, 1).total
        if total is None:
            return None
        return [max(0, total - self._stored(whole) + sum(self._stored(window) for window in windows))]

    def _stored(self, window: Window) -> int:
        with self._run.deps.db.connect() as connection:
            return streams.count_stored(connection, self._stream, window.start, before=window.end)

    def _down_to(self, windows: Sequence[Window], *, again: bool) -> list[int] | None:
        """The rows from where each scan starts down to the page with the start of its window."""
        paging = self._run.provider.paging
        total = self._page(windows[0], 0, self._size).total
        if total is None:
            return None
        last = max(0, total - 1) // self._size
        if self._order is SortOrder.ASC:
            self._times[last] = self._times.pop(0, [])
        rows, new = [], 0
        for window in windows:
            place = None if again else resume_point_below(self._run, self._stream, window)
            above = positions.row(paging, place.position, place.size) if place else 0
            boundary = self._boundary(window, last)
            is_oldest = self._order is SortOrder.ASC
            read = total - (last - boundary) * self._size if is_oldest else (boundary + 1) * self._size
            if is_oldest and self._stream.sort_order is SortOrder.UNKNOWN:
                read += self._size  # the scan, too, detects the order from the first page of the list
            read = min(total, round(read))
            rows.append(max(0, read - above))
            new = max(new, read - self._stored_of_read(window, read, boundary))
        if self._run.provider.transcript:
            self.transcripts = round(new * self._transcript_share(windows[0], last))
        return rows

    def _boundary(self, window: Window, last: int) -> float:
        """The page, counted from the newest, with the start of a window; between two where that is precise enough."""
        if window.start <= BEGINNING or self._order is SortOrder.UNSORTED:
            return last
        low, high = 0, last
        most = PROBES - SAMPLES // 2 if self._run.provider.transcript else PROBES
        while high - low > CLOSE_ENOUGH * last and self.requests_sent < most:
            middle = (low + high) // 2
            if min(self._times_of(window, middle, last), default=BEGINNING) < window.start:
                high = middle
            else:
                low = middle + 1
        return (low + high) / 2

    def _stored_of_read(self, window: Window, read: int, boundary: float) -> int:
        """How many of the rows that are read down to a window's start are stored, older rows of its page included."""
        stored = self._stored(Window(window.start, EVER))
        times = self._times.get(int(boundary), ())
        is_below = any(c.start < window.start <= c.end for c in self._stream.coverage)
        return min(read, stored + is_below * sum(time < window.start for time in times))

    def _times_of(self, window: Window, rank: int, last: int) -> Sequence[datetime]:
        """The times of a page, counted from the newest."""
        if rank not in self._times:
            self._page(window, rank if self._order is not SortOrder.ASC else last - rank, self._size, rank)
        return self._times.get(rank, ())

    def _transcript_share(self, window: Window, last: int) -> float:
        """The share of calls with a transcript to request, from a few pages spread over the list."""
        for sample in range(1, SAMPLES):
            if len(self._times) < SAMPLES and self.requests_sent < PROBES:
                self._times_of(window, last * sample // SAMPLES, last)
        return sum(self._calls) / len(self._calls) if self._calls else 0.0

    def _page(self, window: Window, number: int, size: int, rank: int = 0) -> PageView:
        """One page by its number from 0; what it shows of the list is kept, and the times of its rows."""
        run, began = self._run, self._run.deps.clock.monotonic()
        position = positions.at(run.provider.paging, number * size, size)
        run.acquire_lease()
        page = Pager(run.client, run.provider, run.source, self._partition).page(window, position, size).value
        run.lease.release()
        self.requests_sent += 1
        self.latency = min(self.latency, run.deps.clock.monotonic() - began)
        records = [read_received(run.provider, run.source, payload, 0) for payload in page.records]
        view = page_view(page, row_views(records))
        self._times[rank] = view.times
        self._order = view.order if self._order is SortOrder.UNKNOWN else self._order
        if size > 1 and view.count:
            self._size = min(self._size, view.size_shown(size, number * size))
        if run.provider.transcript:
            found = [transform_record(run.provider, record.context) for record in records if record.context]
            self._calls += [_takes_a_request(call) for call in found if isinstance(call, Call)]
        return view


def _takes_a_request(call: Call) -> bool:
    return call.columns["is_final"] is not False and call.columns["answered_at"] is not None and not call.turns
