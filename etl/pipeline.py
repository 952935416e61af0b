"""The loop: what a run reads of each list of a source, newest first, and in which order.

Read this first. :func:`sync` and :func:`backfill` are what a run does, and of a sync the daemon does :func:`sync_head` and
:func:`sync_backlog` beside each other. They come down to :func:`read_head` and :func:`read_history`, and these to
:func:`~etl.sync.window.read_window`, which is the whole way from the provider to the warehouse.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta

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
from etl.sync.window import load_state, read_window, was_fully_scanned_within

log = logging.getLogger("etl.pipeline")

OLDEST_LOOKBACK = timedelta(days=30)
UNSORTED_MIN_INTERVAL = timedelta(hours=1)


def sync(run: SourceRun) -> None:
    """Catch up with every list of the source, then with the transcripts that take a request of their own."""
    _each_stream(run, sync_stream)
    with run.at_priority(Priority.LOOKBACK):
        fetch_transcripts(run)


def sync_head(run: SourceRun) -> bool:
    """The part of a sync that is never long: every list's head, and the newest transcripts; whether any is left."""
    left = []

    def read(run: SourceRun, partition: str) -> None:
        read_head(run, load_state(run, partition))
        _compare(run, partition)
        left.append(_has_history(run, partition))

    _each_stream(run, read)
    with run.at_priority(Priority.LOOKBACK):
        return fetch_transcripts(run, batches=1) or any(left)


def sync_backlog(run: SourceRun) -> None:
    """The rest of a sync: first readings, whatever older stretch is not held yet, and every transcript."""
    with run.at_priority(Priority.BACKFILL):
        _each_stream(
            run,
            lambda run, partition: read_history(run, partition, _history_window(run, load_state(run, partition))),
        )
        fetch_transcripts(run)


def backfill(run: SourceRun, window: Window, *, again: bool = False) -> None:
    """Read a window of history, of it only what coverage lacks unless ``again``, then the transcripts of it."""
    with run.at_priority(Priority.BACKFILL):
        _each_stream(run, lambda run, partition: read_history(run, partition, window, again=again))
        fetch_transcripts(run)


def days(run: SourceRun, first: date, end: date | None) -> Window:
    """Days of the source's time zone, the last one exclusive, as a window of instants; without an end up to now."""
    zone = run.source.timezone
    start = datetime.combine(first, time(), zone).astimezone(UTC)
    now = run.deps.clock.now()
    return Window(start, min(datetime.combine(end, time(), zone).astimezone(UTC), now) if end else now)


def _each_stream(run: SourceRun, read: Callable[[SourceRun, str], None]) -> None:
    """One list after the other; one that the provider refuses does not keep the others from being read."""
    for partition in run.partitions:
        try:
            read(run, partition)
        except (SourceError, PaginationLoop) as error:
            if isinstance(error, SourcePaused) or (isinstance(error, SourceUnavailable) and error.status is None):
                raise  # it is the whole source
            name = run.source.name
            said = str(error) if isinstance(error, SourceError) else f"{name}: {error}"
            run.result.error = run.result.error or said
            event(log, "list not read", level=logging.WARNING, source=name, error=said)


def sync_stream(run: SourceRun, partition: str) -> None:
    """Read a list's head, then whatever older stretch is not held yet, newest first."""
    stream = load_state(run, partition)
    if _scanned_recently(run, stream):
        return
    read_head(run, stream)
    with run.at_priority(Priority.BACKFILL):
        read_history(run, partition, _history_window(run, stream))
    if stream.watermark:
        _compare(run, partition)


def read_head(run: SourceRun, stream: StreamState) -> None:
    """Read a list from its newest call as far back as a sweep is due; one that was never read has no head yet."""
    top, now = stream.watermark, run.deps.clock.now()
    if top is None or _scanned_recently(run, stream) or _is_being_read_whole(run, stream):
        return
    back_to = run.state.run(_lookback_start, run, stream.partition, min(top, now), now)
    with run.at_priority(Priority.LOOKBACK if run.lookback_start else Priority.HEAD):
        read_window(
            run, stream, Window(max(back_to, _read_so_far(stream) or history_start(run.source)), now), joins=True
        )


def read_history(run: SourceRun, partition: str, wanted: Window, *, again: bool = False) -> None:
    """Go on with the walks that were cut off, then read what of a window is not held, newest first."""
    stream = load_state(run, partition)
    for cut_off in stream.checkpoints:
        read_window(run, stream, cut_off.window, place=cut_off.resume_point)
        stream = load_state(run, partition)
    for window in missing_windows(stream, wanted, again=again):
        read_window(run, stream, window, place=None if again else resume_point_below(run, stream, window))
        stream = load_state(run, partition)


def missing_windows(stream: StreamState, wanted: Window, *, again: bool = False) -> Sequence[Window]:
    """What of a window is to be read, newest first: what is not held, or ``again`` all of it."""
    return (wanted,) if again else subtract(wanted, stream.coverage)[::-1]


def resume_point_below(run: SourceRun, stream: StreamState, window: Window) -> ResumePoint | None:
    """Where a list that cannot be filtered is entered for an older window: at the last of the rows held above it."""
    is_below = any(held.start <= window.end <= held.end for held in stream.coverage)
    if run.provider.date_filter is not DateFilter.NONE or stream.sort_order is not SortOrder.DESC or not is_below:
        return None
    above = run.state.run(streams.count_stored, stream, window.end)
    size = stream.page_size or run.provider.page_size
    position = positions.last(run.provider.paging, above, size)
    if position == positions.first(run.provider.paging):
        return None
    return ResumePoint(position, size, window.end, SortOrder.DESC, oldest=window.end)


def _history_window(run: SourceRun, stream: StreamState) -> Window:
    """What of a list is history: all up to the newest call that is held, or up to now where none is."""
    now = run.deps.clock.now()
    return Window(history_start(run.source), min(stream.watermark or now, now))


def _has_history(run: SourceRun, partition: str) -> bool:
    """Whether a list was never read, or not all of it up to its newest call."""
    stream = load_state(run, partition)
    lacks = stream.watermark is None or stream.checkpoints or subtract(_history_window(run, stream), stream.coverage)
    return bool(lacks) and not _scanned_recently(run, stream)


def _compare(run: SourceRun, partition: str) -> None:
    """Ask for a list's whole total where somebody waits for it, or a sweep of this run has read far back."""
    if run.is_manual or run.lookback_start:
        whole = Window(history_start(run.source), run.deps.clock.now())
        completeness.check_total(run, load_state(run, partition), whole)


def _lookback_start(connection: Connection, run: SourceRun, partition: str, top: datetime, now: datetime) -> datetime:
    """How far back the head is read: the overlap, the widest sweep that is due, the oldest call that may change."""
    back_to = [top - OVERLAP]
    sweep = lookbacks.due_lookback(connection, run.source, partition, now)
    widest = max((s.window for s in run.source.lookbacks), default=OVERLAP)
    if sweep:
        run.lookback_start = now - sweep.window
        back_to.append(run.lookback_start)
    if run.is_manual or (sweep and sweep.window == widest):
        since = now - (OLDEST_LOOKBACK if sweep and sweep.window == widest else widest)
        unfinished = lookbacks.oldest_open_call(connection, run.source.name, since)
        back_to += [unfinished - timedelta(seconds=1)] if unfinished else []
    return min(back_to)


def _read_so_far(stream: StreamState) -> datetime | None:
    """How far down the newest walk came, where it was cut off: the rest of it is read by going on with it."""
    place = stream.checkpoints[0].resume_point if stream.checkpoints else None
    if place is None or place.oldest is None or place.newest is None:
        return None
    is_joined = any(held.start <= place.newest <= held.end for held in stream.coverage)  # by a head read meanwhile
    if place.newest != stream.watermark and not is_joined:
        return None
    return place.oldest + timedelta(seconds=1)


def _scanned_recently(run: SourceRun, stream: StreamState) -> bool:
    """Whether a list is left alone for now: without order and filter it is read whole, or not at all."""
    return stream.sort_order is SortOrder.UNSORTED and was_fully_scanned_within(run, stream, UNSORTED_MIN_INTERVAL)


def _is_being_read_whole(run: SourceRun, stream: StreamState) -> bool:
    """Whether the schedule's history reads such a list beside us: it meets what is new as well."""
    unfiltered = run.provider.date_filter is DateFilter.NONE
    return (
        unfiltered and not run.is_manual and any(w.resume_point.order is SortOrder.UNSORTED for w in stream.checkpoints)
    )
