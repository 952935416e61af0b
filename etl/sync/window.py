"""One window of one stream → its calls in the warehouse, batch by batch, and the coverage that they give.

:func:`read_window` is the whole way from the provider to the warehouse: a scan says which page it wants, the page is
requested, its records become a batch, and a batch one transaction.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from enum import Enum

from sqlalchemy import Connection

from etl.client.api_client import Response
from etl.client.errors import RequestRefused, SourceError, SourceUnavailable
from etl.loader.batch import Batch, ReceivedRecord
from etl.model import DateFilter, Page, Provider, Window
from etl.paging import (
    NextPage,
    OffsetLimitReached,
    PageView,
    PaginationLoop,
    ResumePoint,
    RowView,
    Scan,
    ScanGoal,
    ScanResult,
    SortOrder,
)
from etl.paging.scan import scan
from etl.runtime.clock import Stopped
from etl.state import streams
from etl.state.streams import StreamState
from etl.sync import completeness
from etl.sync.checkpoint import BEGINNING, OVERLAP, CoverageRecorder
from etl.sync.load import load, receive
from etl.sync.pager import Pager
from etl.sync.prefetch import Prefetcher
from etl.sync.run import SourceRun

SMALLER_PAGES = (100, 50, 10)
REFUSED = (400, 422)  # how providers refuse a size or a position
UNSORTED_AT_LEAST = timedelta(days=1)


class ScanKind(Enum):
    """Why a window is read: for what is new, for late changes too, or for what is not stored yet."""

    HEAD = "head"  # not read at all while its total says that nothing is new, and only down to what is stored
    LOOKBACK = "lookback"  # read again in any case
    HISTORY = "history"


class PageSizeRefused(Exception):
    """The provider refuses the first request of a scan; a smaller page may be accepted."""

    def __init__(self, refused: RequestRefused) -> None:
        super().__init__(str(refused))
        self.refused = refused


def load_state(run: SourceRun, partition: str) -> StreamState:
    return run.state.run(streams.load_stream, run.source.name, partition)


def was_fully_scanned_within(run: SourceRun, stream: StreamState, span: timedelta) -> bool:
    """Whether a list without a filter was scanned completely within a span; a manual run scans it in any case."""
    if run.is_manual or stream.full_scan_at is None or run.provider.date_filter is not DateFilter.NONE:
        return False
    return timedelta(0) <= run.deps.clock.now() - stream.full_scan_at < span


def read_window(
    run: SourceRun,
    stream: StreamState,
    window: Window,
    kind: ScanKind = ScanKind.HISTORY,
    place: ResumePoint | None = None,
) -> StreamState:
    """Scan one window of a stream, load what it lists, and record what is stored now → the stream's state after it."""
    provider = run.provider
    unfiltered = provider.date_filter is DateFilter.NONE
    first = stream.watermark is None
    reads_head = unfiltered or run.deps.clock.now() - window.end < OVERLAP
    goal = ScanGoal(
        window,
        provider.paging,
        provider.date_filter,
        place.size if place else stream.page_size or provider.page_size,
        order=stream.sort_order,
        stop_at_known_row=kind is not ScanKind.HISTORY,
        to_end=run.source.since is None and window.start <= BEGINNING,
        local_count=stream.local_count if unfiltered else None,
        unchanged_total=run.state.run(_total_if_unchanged, run, stream, window) if kind is ScanKind.HEAD else None,
        skip_if_total=stream.remote_count if was_fully_scanned_within(run, stream, UNSORTED_AT_LEAST) else None,
        resume_from=place,
    )
    coverage, outcome, has_foreign_rows = _scan_at_accepted_size(run, stream, goal)
    stream = replace(stream, is_filter_ignored=stream.is_filter_ignored or has_foreign_rows)
    run.state.run(coverage.note, outcome, stream.is_filter_ignored)
    if isinstance(flaw := coverage.unreadable.flaw, SourceError):
        hint = "the others are loaded, and the next run asks for it again"
        raise SourceUnavailable(flaw.source, f"one call of a page cannot be read: {flaw.problem}", hint, flaw.status)
    took_pages = outcome.order is not SortOrder.UNSORTED and (outcome.distinct_rows or 0) > coverage.goal.size
    if first and reads_head and outcome.newest and (outcome.changed_during_scan or took_pages):
        # what arrived meanwhile lies above where the scan began
        head = Window(outcome.newest - OVERLAP, run.deps.clock.now())
        return read_window(run, _state_after(run, stream), head, ScanKind.HEAD)
    return _state_after(run, stream)


def _state_after(run: SourceRun, stream: StreamState) -> StreamState:
    """What is stored about a stream by now, and what this run has found out about it."""
    return replace(load_state(run, stream.partition), is_filter_ignored=stream.is_filter_ignored)


def _total_if_unchanged(connection: Connection, run: SourceRun, stream: StreamState, head: Window) -> int | None:
    """The total of a list's newest rows if nothing in them is new or may change; ``None`` where that is not known."""
    unfiltered = run.provider.date_filter is DateFilter.NONE  # its total is one of all calls
    if run.provider.date_filter is DateFilter.DAYS or (unfiltered and stream.remote_count != stream.local_count):
        return None  # days are counted in an unknown time zone; or not all that is listed is stored
    stored = streams.count_if_all_final(connection, stream, head.start.replace(microsecond=0))  # as it is requested
    return stream.remote_count if unfiltered and stored is not None else stored


def _scan_at_accepted_size(
    run: SourceRun, stream: StreamState, goal: ScanGoal
) -> tuple[CoverageRecorder, ScanResult, bool]:
    """Scan with the largest page size that the provider accepts."""
    for size in (size for size in SMALLER_PAGES if size < goal.size):
        try:
            return _scan(run, stream, goal)
        except PageSizeRefused:
            goal = replace(goal, size=size)
    try:
        return _scan(run, stream, goal)
    except PageSizeRefused as error:
        raise error.refused from None


def _scan(run: SourceRun, stream: StreamState, goal: ScanGoal) -> tuple[CoverageRecorder, ScanResult, bool]:
    """Scan a stream and load it, the next page requested while one is loaded."""
    coverage = CoverageRecorder(run, stream, goal, run.deps.clock.now())
    pager = Pager(run.client, run.provider, run.source, stream.partition)

    def request(step: NextPage) -> Response[Page]:
        return pager.page(step.window, step.position, goal.size)

    executor = run.deps.prefetch_executor() if run.deps.prefetch_executor else None
    with Prefetcher(request, goal, executor) as pages:
        return coverage, *_load(coverage, pages)


def _load(coverage: CoverageRecorder, pages: Prefetcher) -> tuple[ScanResult, bool]:
    """Ask for what the scan wants, commit every thousand rows or ten seconds → its result, and if it saw foreign rows.

    Rows are foreign where the provider ignored the filter by partition.
    """
    run, stream, goal, clock = coverage.run, coverage.stream, coverage.goal, coverage.run.deps.clock
    limits = run.deps.batch_limits
    steps = scan(goal)
    step = next(steps)
    outcome: ScanResult | None = None
    batch, began, first_seq, rows = Batch(), clock.monotonic(), None, 0
    has_foreign_rows = False
    while outcome is None:
        try:
            run.acquire_lease()
            try:
                answer = pages.fetch(step)
            except RequestRefused as refused:
                step = _after_offset_limit(steps, refused, is_first=first_seq is None and not goal.resume_from)
                continue
            first_seq = answer.seq if first_seq is None else first_seq
            arrivals, is_foreign = _receive_page(coverage, answer)
            batch.add_page(arrivals)
            rows, has_foreign_rows = rows + len(arrivals), has_foreign_rows or is_foreign
            step = steps.send(_view(answer.value, arrivals, first_seq))
        except StopIteration as end:
            outcome = end.value
        except (SourceError, PaginationLoop, Stopped):
            if batch.pages:  # what was read is kept
                _commit(coverage, batch, step.resume_point)
            raise
        full = len(batch.received) >= limits.rows or batch.size_bytes >= limits.size_bytes
        if outcome is None and (full or clock.monotonic() - began >= limits.seconds):
            _commit(coverage, batch, step.resume_point)
            run.recorder.report_progress(_name(stream), rows, answer.value.total)
            batch, began = Batch(), clock.monotonic()
    with run.lease.transaction() as connection:
        coverage.finish(connection, load(connection, run, batch).ctx, outcome)
    run.recorder.report_progress(_name(stream), rows, rows)
    return outcome, has_foreign_rows


def _receive_page(coverage: CoverageRecorder, answer: Response[Page]) -> tuple[Sequence[ReceivedRecord], bool]:
    """The records of a page, and whether any is of another partition; counts those outside the window."""
    run, page = coverage.run, answer.value
    records = receive(run, page.records, answer.seq)
    coverage.unreadable.take([record.created_at for record in records if record.created_at], page.unreadable)
    foreign_rows = completeness.count_foreign_rows(run, coverage.stream.partition, records)
    outside = _count_out_of_window(run.provider, coverage.goal.window, records)
    run.recorder.count_out_of_window(outside + foreign_rows)
    return records, foreign_rows > 0


def _commit(coverage: CoverageRecorder, batch: Batch, place: ResumePoint) -> None:
    """One transaction: lease, rows, turns, raw payloads, quarantine, drift, counts, and the point to resume from."""
    with coverage.run.lease.transaction() as connection:
        result = load(connection, coverage.run, batch)
        coverage.save_checkpoint(connection, place, result.ctx.now)


def _after_offset_limit(steps: Scan, refused: RequestRefused, *, is_first: bool) -> NextPage:
    """The page to request in place of a refused one: some providers limit how deep a list may be paged."""
    if refused.status not in REFUSED:
        raise refused
    try:
        return steps.throw(OffsetLimitReached())
    except OffsetLimitReached:
        raise PageSizeRefused(refused) if is_first else refused from None


def _view(page: Page, arrivals: Sequence[ReceivedRecord], first_seq: int) -> PageView:
    rows = [
        RowView(a.call_id or a.digest.hex(), a.created_at, a.stored is not None and a.stored.seq < first_seq)
        for a in arrivals
    ]
    return PageView(rows, page.total, page.size, page.is_last, int(bool(page.unreadable)))


def _count_out_of_window(provider: Provider, window: Window, arrivals: Sequence[ReceivedRecord]) -> int:
    """How many records of a filtered list lie outside the window: an ignored filter shows here."""
    slack = {DateFilter.INSTANTS: timedelta(seconds=1), DateFilter.DAYS: timedelta(days=3)}.get(provider.date_filter)
    if slack is None:
        return 0
    low, high = window.start - slack, window.end + slack
    return sum(record.created_at is not None and not low <= record.created_at <= high for record in arrivals)


def _name(stream: StreamState) -> str:
    return "calls" if not stream.partition else f"calls of …{stream.partition[-2:]}"
