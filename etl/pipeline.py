"""The main loop: what a run reads of each stream of a source, newest calls first.

Start here. :func:`sync` and :func:`backfill` are what the commands do; the daemon splits a sync into :func:`sync_head`
and :func:`sync_backlog`, which run side by side. All of them come down to :func:`read_head` and :func:`read_history`,
and these to :func:`~etl.sync.window.read_window`: the whole way of one window from the provider to the warehouse.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeVar

from sqlalchemy import Connection

from etl.client.errors import SourceError, SourcePaused, SourceUnavailable
from etl.intervals import subtract
from etl.model import DateFilter, Window
from etl.paging import PaginationLoop, ResumePoint, SortOrder, positions
from etl.runtime.logs import event
from etl.state import lookbacks, streams
from etl.state.lease import Priority
from etl.state.streams import StreamState
from etl.sync import completeness
from etl.sync.checkpoint import OVERLAP, history_start
from etl.sync.run import SourceRun
from etl.sync.transcripts import fetch_transcripts
from etl.sync.window import ScanKind, load_state, read_window, was_fully_scanned_within

log = logging.getLogger("etl.pipeline")
T = TypeVar("T")

OLDEST_LOOKBACK = timedelta(days=30)
UNSORTED_MIN_INTERVAL = timedelta(hours=1)


def sync(run: SourceRun) -> None:
    """Catch up with every stream of a source, then with transcripts that take a request of their own."""
    lookback_starts = _each_stream(run, sync_stream)
    with run.at_priority(Priority.LOOKBACK):
        fetch_transcripts(run, _earliest(lookback_starts))


def sync_head(run: SourceRun) -> bool:
    """Do the short part of a sync: the newest calls of every stream, and the newest transcripts → is more left?"""
    heads = _each_stream(run, _sync_head_of)
    with run.at_priority(Priority.LOOKBACK):
        is_left = fetch_transcripts(run, _earliest(start for start, _ in heads), batches=1)
    return is_left or any(has_history for _, has_history in heads)


def sync_backlog(run: SourceRun) -> None:
    """Do the rest of a sync: initial syncs, older windows that are not stored yet, and every transcript."""
    with run.at_priority(Priority.BACKFILL):
        _each_stream(run, lambda run, stream: read_history(run, stream, _history_window(run, stream)))
        fetch_transcripts(run)


def backfill(run: SourceRun, window: Window, *, again: bool = False) -> None:
    """Read what coverage lacks of a window of history, or all of it ``again``, then the transcripts."""
    with run.at_priority(Priority.BACKFILL):
        _each_stream(run, lambda run, stream: read_history(run, stream, window, again=again))
        fetch_transcripts(run)


def days(run: SourceRun, first: date, end: date | None) -> Window:
    """Days of the source's time zone, the last one exclusive → a window of instants; without an end, up to now."""
    zone, now = run.source.timezone, run.deps.clock.now()
    start = datetime.combine(first, time(), zone).astimezone(UTC)
    return Window(start, min(datetime.combine(end, time(), zone).astimezone(UTC), now) if end else now)


def _each_stream(run: SourceRun, read: Callable[[SourceRun, StreamState], T]) -> list[T]:
    """Read one stream after the other; an error of one does not keep the others from being read."""
    results = []
    for partition in run.partitions:
        try:
            results.append(read(run, load_state(run, partition)))
        except (SourceError, PaginationLoop) as error:
            if isinstance(error, SourcePaused) or (isinstance(error, SourceUnavailable) and error.status is None):
                raise  # it concerns the whole source
            message = str(error) if isinstance(error, SourceError) else f"{run.source.name}: {error}"
            run.recorder.fail(message)
            event(log, "stream_failed", level=logging.WARNING, source=run.source.name, error=message)
    return results


def sync_stream(run: SourceRun, stream: StreamState) -> datetime | None:
    """Read a stream's newest calls, then what is not stored of older ones → where its lookback began, if due."""
    if _scanned_recently(run, stream):
        return None
    after, lookback_start = read_head(run, stream)
    with run.at_priority(Priority.BACKFILL):
        after = read_history(run, after, _history_window(run, stream))
    if stream.watermark:
        _compare_total(run, after, lookback_start)
    return lookback_start


def _sync_head_of(run: SourceRun, stream: StreamState) -> tuple[datetime | None, bool]:
    """Read a stream's newest calls → where its lookback began, and whether older calls are left to read."""
    stream, lookback_start = read_head(run, stream)
    _compare_total(run, stream, lookback_start)
    return lookback_start, _has_history(run, load_state(run, stream.partition))


def read_head(run: SourceRun, stream: StreamState) -> tuple[StreamState, datetime | None]:
    """Read a stream from its newest call back to what is stored, or as far as a lookback is due.

    Nothing is read of a stream without a watermark: its initial sync is history. Returns the state after it, and where
    the lookback began.
    """
    top, now = stream.watermark, run.deps.clock.now()
    if top is None or _scanned_recently(run, stream) or _is_being_read_whole(run, stream):
        return stream, None
    start, lookback_start = run.state.run(_head_start, run, stream.partition, min(top, now))
    window = Window(max(start, _read_so_far(stream) or history_start(run.source)), now)
    kind, priority = (ScanKind.LOOKBACK, Priority.LOOKBACK) if lookback_start else (ScanKind.HEAD, Priority.HEAD)
    with run.at_priority(priority):
        return read_window(run, stream, window, kind), lookback_start


def read_history(run: SourceRun, stream: StreamState, wanted: Window, *, again: bool = False) -> StreamState:
    """Resume scans from their checkpoints, then read what is not stored of a window, newest first → the state after."""
    for checkpoint in stream.checkpoints:
        stream = read_window(run, stream, checkpoint.window, place=checkpoint.resume_point)
    for window in missing_windows(stream, wanted, again=again):
        place = None if again else resume_point_below(run, stream, window)
        stream = read_window(run, stream, window, place=place)
    return stream


def missing_windows(stream: StreamState, wanted: Window, *, again: bool = False) -> Sequence[Window]:
    """The parts of a window that are to be read, newest first: those not stored, or ``again`` all of it."""
    return (wanted,) if again else subtract(wanted, stream.coverage)[::-1]


def resume_point_below(run: SourceRun, stream: StreamState, window: Window) -> ResumePoint | None:
    """Where a stream without a filter is entered for an older window: at the last of the rows stored above it."""
    is_below = any(covered.start <= window.end <= covered.end for covered in stream.coverage)
    if run.provider.date_filter is not DateFilter.NONE or stream.sort_order is not SortOrder.DESC or not is_below:
        return None
    above = run.state.run(streams.count_stored, stream, window.end)
    size = stream.page_size or run.provider.page_size
    position = positions.last(run.provider.paging, above, size)
    if position == positions.first(run.provider.paging):
        return None
    return ResumePoint(position, size, window.end, SortOrder.DESC, oldest=window.end)


def _history_window(run: SourceRun, stream: StreamState) -> Window:
    """The part of a stream that is history: up to its newest stored call, or up to now where there is none."""
    now = run.deps.clock.now()
    return Window(history_start(run.source), min(stream.watermark or now, now))


def _has_history(run: SourceRun, stream: StreamState) -> bool:
    """Whether a stream has older calls to read: it was never read, or not all up to its newest stored call."""
    missing = stream.watermark is None or stream.checkpoints or subtract(_history_window(run, stream), stream.coverage)
    return bool(missing) and not _scanned_recently(run, stream)


def _compare_total(run: SourceRun, stream: StreamState, lookback_start: datetime | None) -> None:
    """Compare a stream's whole total after a lookback, or in a manual run where it gave one last time."""
    if lookback_start or (run.is_manual and stream.remote_count is not None):
        completeness.check_total(run, stream, Window(history_start(run.source), run.deps.clock.now()))


def _head_start(
    connection: Connection, run: SourceRun, partition: str, top: datetime
) -> tuple[datetime, datetime | None]:
    """How far back the head is read, and where the widest lookback that is due begins.

    The head reaches back over the overlap, the lookback, and the oldest call that is still open.
    """
    now = run.deps.clock.now()
    lookback = lookbacks.due_lookback(connection, run.source, partition, now)
    widest = max((s.window for s in run.source.lookbacks), default=OVERLAP)
    lookback_start = now - lookback.window if lookback else None
    starts = [top - OVERLAP, lookback_start]
    if run.is_manual or (lookback and lookback.window == widest):
        since = now - (OLDEST_LOOKBACK if lookback and lookback.window == widest else widest)
        oldest_open = lookbacks.oldest_open_call(connection, run.source.name, since)
        starts.append(oldest_open - timedelta(seconds=1) if oldest_open else None)
    return min(start for start in starts if start), lookback_start


def _earliest(times: Iterable[datetime | None]) -> datetime | None:
    return min((at for at in times if at), default=None)


def _read_so_far(stream: StreamState) -> datetime | None:
    """How far back the newest scan came before it was cut off: the rest of it is read by resuming it."""
    place = stream.checkpoints[0].resume_point if stream.checkpoints else None
    if place is None or place.oldest is None or place.newest is None:
        return None
    is_joined = any(covered.start <= place.newest <= covered.end for covered in stream.coverage)  # by a newer head
    if place.newest != stream.watermark and not is_joined:
        return None
    return place.oldest + timedelta(seconds=1)


def _scanned_recently(run: SourceRun, stream: StreamState) -> bool:
    """Whether a stream is not due: without sort order and filter it is read whole, at most once an hour."""
    return stream.sort_order is SortOrder.UNSORTED and was_fully_scanned_within(run, stream, UNSORTED_MIN_INTERVAL)


def _is_being_read_whole(run: SourceRun, stream: StreamState) -> bool:
    """Whether the backlog scans the whole unsorted stream alongside: it sees what is new as well."""
    unfiltered = run.provider.date_filter is DateFilter.NONE
    return (
        unfiltered and not run.is_manual and any(c.resume_point.order is SortOrder.UNSORTED for c in stream.checkpoints)
    )
