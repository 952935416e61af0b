"""What of a stream is due to be read: how far back its head goes, and which windows of its history are missing."""

from datetime import datetime, timedelta

from etl.intervals import subtract
from etl.model import DateFilter, Window
from etl.paging import ResumePoint, SortOrder, positions
from etl.state import lookbacks, streams
from etl.state.streams import StreamState
from etl.sync.checkpoint import AHEAD, OVERLAP, history_start
from etl.sync.run import SourceRun
from etl.sync.window import was_fully_scanned_within

OLDEST_LOOKBACK = timedelta(days=30)
UNSORTED_MIN_INTERVAL = timedelta(hours=1)


def head_window(run: SourceRun, stream: StreamState, top: datetime) -> tuple[Window, datetime | None]:
    """The newest part of a stream that is due, and where the lookback in it begins, if one is due.

    It goes back to the earliest of: the overlap with what is stored, the widest lookback due, the oldest call that is
    still open. A scan of it that was cut off is resumed later: the window ends where that came to.
    """
    now, windows = run.deps.clock.now(), [lookback.window for lookback in run.source.lookbacks]
    lookback = run.state.run(lookbacks.due_lookback, run.source, stream.partition, now)
    lookback_start, is_widest = (now - lookback.window, lookback.window == max(windows)) if lookback else (None, False)
    starts = [min(top, now) - OVERLAP, lookback_start]
    if run.is_manual or is_widest:
        since = now - (OLDEST_LOOKBACK if is_widest else max(windows, default=OVERLAP))
        oldest_open = run.state.run(lookbacks.oldest_open_call, run.source.name, since)
        starts.append(oldest_open - timedelta(seconds=1) if oldest_open else None)
    start = max(min(start for start in starts if start), _scanned_down_to(stream) or history_start(run.source))
    return Window(start, now + AHEAD), lookback_start


def _scanned_down_to(stream: StreamState) -> datetime | None:
    """How far back the newest scan came before it was cut off, if what lies above it is stored."""
    point = stream.checkpoints[0].resume_point if stream.checkpoints else None
    if point is None or point.oldest is None or point.newest is None:
        return None
    is_joined = any(covered.start <= point.newest <= covered.end for covered in stream.coverage)  # by a later head
    return point.oldest + timedelta(seconds=1) if is_joined or point.newest == stream.watermark else None


def history_window(run: SourceRun, stream: StreamState) -> Window:
    """All of a stream up to its newest stored call, or up to now where there is none."""
    now = run.deps.clock.now()
    return Window(history_start(run.source), min(stream.watermark, now) if stream.watermark else now + AHEAD)


def has_history(run: SourceRun, stream: StreamState) -> bool:
    """Whether older calls are left to read."""
    missing = stream.watermark is None or stream.checkpoints or subtract(history_window(run, stream), stream.coverage)
    return bool(missing) and not was_scanned_recently(run, stream)


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


def was_scanned_recently(run: SourceRun, stream: StreamState) -> bool:
    """Whether a stream without sort order and filter, which is read whole or not at all, is not due yet."""
    return stream.sort_order is SortOrder.UNSORTED and was_fully_scanned_within(run, stream, UNSORTED_MIN_INTERVAL)


def is_scanned_by_backlog(run: SourceRun, stream: StreamState) -> bool:
    """Whether the daemon's backlog scans all of such a stream alongside, and sees what is new as well."""
    if run.provider.date_filter is not DateFilter.NONE or run.is_manual:
        return False
    return any(checkpoint.resume_point.order is SortOrder.UNSORTED for checkpoint in stream.checkpoints)
