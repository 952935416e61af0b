"""One window of one stream → its calls in the warehouse, batch by batch, and the coverage that they give.

:func:`read_window` is the whole way from the provider to the warehouse: a scan says which page it wants, the page is
requested, its records become a batch, and a batch one transaction.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from enum import Enum
from itertools import groupby, repeat
from operator import itemgetter

from sqlalchemy import Connection

from etl import paging
from etl.client.api_client import Response
from etl.client.errors import PageRefused, RequestRefused, SourceError, SourceUnavailable
from etl.decode import memory_of
from etl.loader.batch import ReceivedRecord, read_received
from etl.model import DateFilter, Page, Paging, Window
from etl.paging import PageView, PaginationLoop, ResumePoint, RowView, ScanGoal, ScanResult, SortOrder, positions
from etl.paging.scan import scan
from etl.runtime.clock import Stopped
from etl.runtime.logs import event
from etl.state import streams
from etl.state.streams import StreamState
from etl.sync.checkpoint import AHEAD, BEGINNING, OVERLAP, CoverageRecorder
from etl.sync.completeness import is_foreign
from etl.sync.load import load, receive, with_stored
from etl.sync.pager import Pager, page_view, row_views
from etl.sync.run import SourceRun

log = logging.getLogger("etl.sync.window")

SMALLER_PAGES = (100, 50, 10)
REFUSED = (400, 422)  # how providers refuse a size
UNSORTED_AT_LEAST = timedelta(days=1)
SLACK = {DateFilter.INSTANTS: timedelta(seconds=1), DateFilter.DAYS: timedelta(days=3)}  # beyond: an ignored filter


class ScanKind(Enum):
    """Why a window is read: for what is new, for late changes too, or for what is not stored yet."""

    HEAD = "head"  # not read at all while its total says that nothing is new, and only down to what is stored
    LOOKBACK = "lookback"  # read again in any case
    HISTORY = "history"


def load_state(run: SourceRun, partition: str) -> StreamState:
    """What is stored about a stream by now."""
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
    provider, now = run.provider, run.deps.clock.now()
    unfiltered = provider.date_filter is DateFilter.NONE
    size, place = _page_size(run, stream, place)
    goal = ScanGoal(
        window,
        provider.paging,
        provider.date_filter,
        size,
        order=stream.sort_order,
        stop_at_known_row=kind is not ScanKind.HISTORY,
        to_end=run.source.since is None and window.start <= BEGINNING,
        local_count=stream.local_count if unfiltered else None,
        unchanged_total=run.state.run(_total_if_unchanged, run, stream, window) if kind is ScanKind.HEAD else None,
        skip_if_total=stream.remote_count if was_fully_scanned_within(run, stream, UNSORTED_AT_LEAST) else None,
        resume_from=place,
    )
    try:
        coverage, outcome = _scan(run, stream, goal)
    except PageRefused as refused:
        return _read_halves(run, stream, window, kind, refused)
    run.state.run(coverage.note, outcome)
    if isinstance(flaw := coverage.unreadable.flaw, SourceError):
        hint = "the others are loaded, and the next run asks for it again"
        raise SourceUnavailable(flaw.source, f"one call of a page cannot be read: {flaw.problem}", hint, flaw.status)
    after = replace(load_state(run, stream.partition), is_filter_ignored=coverage.stream.is_filter_ignored)
    took_pages = outcome.order is not SortOrder.UNSORTED and (outcome.distinct_rows or 0) > coverage.goal.size
    is_first_head = stream.watermark is None and now - window.end < OVERLAP
    if is_first_head and outcome.newest and (outcome.changed_during_scan or took_pages):
        # what arrived meanwhile lies above where the scan began
        return read_window(run, after, Window(outcome.newest - OVERLAP, run.deps.clock.now() + AHEAD), ScanKind.HEAD)
    return after


def _page_size(run: SourceRun, stream: StreamState, place: ResumePoint | None) -> tuple[int, ResumePoint | None]:
    """The page size, and the place in pages of it: a part of the last one after crashes, of which one may be chance."""
    kind, size, crashes = run.provider.paging, stream.page_size or run.provider.page_size, run.result.crashes
    size = place.size if place else size
    if crashes < 2:
        return size, place
    smaller = next(part for part in range(max(1, size >> (crashes - 1)), 0, -1) if size % part == 0)
    event(log, "pages_made_smaller", source=run.source.name, size=smaller, crashes=crashes)
    if place is None:
        return smaller, None
    row = positions.row(kind, place.position, size)
    if place.order is SortOrder.ASC:  # read from its end: the newest of these rows come first
        row = min(row + size, max(place.total or row + size, row + smaller)) - 1
        row -= smaller - 1 if kind is Paging.ROWS else 0
    return smaller, replace(place, size=smaller, position=positions.at(kind, row, smaller))


def _read_halves(
    run: SourceRun, stream: StreamState, window: Window, kind: ScanKind, refused: PageRefused
) -> StreamState:
    """Read a window whose list cannot be paged to its end as two, the newer first; where none is left, it fails."""
    scans = load_state(run, stream.partition).checkpoints
    point = next((scan.resume_point for scan in scans if scan.window == window), None)
    least = SLACK.get(run.provider.date_filter)
    if least is None or window.end - window.start <= least or (point and point.order is SortOrder.DESC):
        raise refused
    middle = window.start + (window.end - window.start) / 2
    run.state.run(streams.finish_checkpoint, stream, window, ())
    for half in (Window(middle, window.end), Window(window.start, middle)):
        stream = read_window(run, load_state(run, stream.partition), half, kind)
    return stream


def _total_if_unchanged(connection: Connection, run: SourceRun, stream: StreamState, head: Window) -> int | None:
    """The total of a list's newest rows if nothing in them is new or may change; ``None`` where that is not known."""
    unfiltered = run.provider.date_filter is DateFilter.NONE  # its total is one of all calls
    if run.provider.date_filter is DateFilter.DAYS or (unfiltered and stream.remote_count != stream.local_count):
        return None  # days are counted in an unknown time zone; or not all that is listed is stored
    stored = streams.count_if_all_final(connection, stream, head.start.replace(microsecond=0))  # as it is requested
    return stream.remote_count if unfiltered and stored is not None else stored


def _scan(run: SourceRun, stream: StreamState, goal: ScanGoal) -> tuple[CoverageRecorder, ScanResult]:
    """Scan a stream and load it, in pages as large as are accepted."""
    coverage = CoverageRecorder(run, stream, goal, run.deps.clock.now())
    try:
        return coverage, _load(coverage, Pager(run.client, run.provider, run.source, stream.partition))
    except RequestRefused as refused:
        size = next((size for size in SMALLER_PAGES if size < goal.size), None)
        is_first = coverage.first_seq is None and not goal.resume_from
        if size is None or not is_first or refused.status not in REFUSED:
            raise
    return _scan(run, replace(stream, page_size=size), replace(goal, size=size))


def _load(coverage: CoverageRecorder, pager: Pager) -> ScanResult:
    """Ask for what the scan wants, and commit every thousand rows or ten seconds."""
    run, clock, limits = coverage.run, coverage.run.deps.clock, coverage.run.deps.batch_limits
    step = next(steps := scan(coverage.goal))
    outcome: ScanResult | None = None
    name = f"number ending {coverage.stream.partition[-2:]}" if coverage.stream.partition else "calls"
    batch, pages_read, size_bytes, rows, began = list[ReceivedRecord](), 0, 0, 0, clock.monotonic()
    while outcome is None:
        try:
            run.acquire_lease()
            try:
                answer = pager.page(step.window, step.position, coverage.goal.size)
            except PageRefused as refused:
                try:
                    step = steps.throw(paging.OffsetLimitReached())
                except paging.OffsetLimitReached:
                    raise refused from None
                continue
            records, view = _receive_page(coverage, answer)
            batch += records
            size_bytes += sum(memory_of(record.payload) for record in records)
            pages_read, rows = pages_read + 1, rows + len(view.rows)
            step = steps.send(view)
        except StopIteration as end:
            outcome = end.value
        except (SourceError, PaginationLoop, Stopped):
            if pages_read:  # what was read is kept
                _commit(coverage, batch, pages_read, step.resume_point)
            raise
        full = len(batch) >= limits.rows or size_bytes >= limits.size_bytes
        if outcome is None and (full or clock.monotonic() - began >= limits.seconds):
            _commit(coverage, batch, pages_read, step.resume_point)
            run.report_progress(name, rows, answer.value.total)
            batch, pages_read, size_bytes, began = [], 0, 0, clock.monotonic()
    _commit(coverage, batch, pages_read, outcome)
    run.report_progress(name, rows, rows)
    return outcome


def _receive_page(coverage: CoverageRecorder, answer: Response[Page]) -> tuple[Sequence[ReceivedRecord], PageView]:
    """The records of a page, and what the scan sees of them; notes what cannot be read, or was not asked for.

    A page that took several requests may be too large to be held at once: all but the last of them are loaded.
    """
    run, window, page, compares = coverage.run, coverage.goal.window, answer.value, coverage.compares_pages
    first_seq = coverage.first_seq = answer.seq if coverage.first_seq is None else coverage.first_seq
    records, rows, foreign = list[ReceivedRecord](), list[RowView](), 0
    for seq, part in groupby(zip(page.seqs or repeat(answer.seq), page.records, strict=False), itemgetter(0)):
        if records:
            run.transaction(load, run, records if compares else with_stored(run, records), 0)
            run.acquire_lease()
        payloads = [payload for _, payload in part]
        if compares:
            records = receive(run, payloads, seq)
        else:
            records = [read_received(run.provider, run.source, payload, seq) for payload in payloads]
        foreign += sum(is_foreign(run, coverage.stream.partition, record) for record in records)
        rows += row_views(records, first_seq)
    view = page_view(page, rows)
    coverage.unreadable.take(view.times, page.unreadable)
    if slack := SLACK.get(run.provider.date_filter):
        run.result.out_of_window += sum(not window.start - slack <= at <= window.end + slack for at in view.times)
    if foreign:
        run.result.out_of_window += foreign
        coverage.stream = replace(coverage.stream, is_filter_ignored=True)
    return records, view


def _commit(
    coverage: CoverageRecorder, batch: Sequence[ReceivedRecord], pages: int, end: ResumePoint | ScanResult
) -> None:
    """Write a batch in one transaction; what is stored of it is looked up at once, unless its pages were compared."""
    batch = batch if coverage.compares_pages else with_stored(coverage.run, batch)
    coverage.run.transaction(_write, coverage, batch, pages, end)


def _write(
    connection: Connection,
    coverage: CoverageRecorder,
    batch: Sequence[ReceivedRecord],
    pages: int,
    end: ResumePoint | ScanResult,
) -> None:
    """One transaction: lease, rows, raw payloads, quarantine, drift, counts, and where to resume or what is covered."""
    ctx = load(connection, coverage.run, batch, pages)
    if isinstance(end, ScanResult):
        coverage.finish(connection, ctx, end)
    else:
        coverage.save_checkpoint(connection, end, ctx.now)
