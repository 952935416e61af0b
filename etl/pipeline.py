"""The main loop: what a run reads of each stream of a source, newest calls first. Start here.

:func:`sync` and :func:`backfill` are what the commands do. The daemon splits a sync into its head and a backfill of the
rest, which run side by side. All of them come down to :func:`read_head` and :func:`read_history`, which ask
:mod:`etl.sync.due` what is to be read, and :func:`~etl.sync.window.read_window` to read it: the whole way of one window
from the provider to the warehouse.
"""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from etl.client.errors import AccessRefused, SourceError, refusal_of_all
from etl.intervals import subtract
from etl.model import Window
from etl.paging import PaginationLoop
from etl.state.lease import Priority
from etl.state.streams import StreamState
from etl.sync import due
from etl.sync.checkpoint import AHEAD, history_start
from etl.sync.completeness import check_total
from etl.sync.report_zone import change_report_zone
from etl.sync.run import SourceRun
from etl.sync.transcripts import fetch_transcripts
from etl.sync.window import ScanKind, load_state, read_window

T = TypeVar("T")


def sync(run: SourceRun, *, head_only: bool = False) -> bool:
    """Catch up with every stream of a source, then with transcripts that take a request of their own.

    ``head_only`` reads the newest calls and transcripts → whether more is left to read.
    """
    is_recounting = change_report_zone(run, slices=1 if head_only else -1)
    found = _each_stream(run, lambda run, stream: sync_stream(run, stream, head_only=head_only))
    with run.at_priority(Priority.LOOKBACK):
        lookback_start = min((start for start, _ in found if start), default=None)
        is_left = fetch_transcripts(run, lookback_start, batches=1 if head_only else None)
    return is_left or is_recounting or any(has_history for _, has_history in found)


def backfill(run: SourceRun, window: Window | None = None, *, again: bool = False) -> None:
    """Read what is not covered of a window, or ``again`` all of it, then every transcript.

    Without a window it is the rest of a sync: initial syncs, and older windows that are not stored yet.
    """

    def read(run: SourceRun, stream: StreamState) -> None:
        wanted = due.history_window(run, stream) if window is None else window
        read_history(run, stream, wanted, again=again)

    with run.at_priority(Priority.BACKFILL):
        change_report_zone(run)
        _each_stream(run, read)
        fetch_transcripts(run)


def sync_stream(run: SourceRun, stream: StreamState, *, head_only: bool = False) -> tuple[datetime | None, bool]:
    """Read a stream's newest calls, then older ones that are missing → where its lookback began, and if more is left.

    Its total is compared with what is stored after a lookback, or in a manual run if it gave one last time.
    """
    if due.was_scanned_recently(run, stream):
        return None, False
    after, lookback_start = read_head(run, stream)
    if not head_only:
        with run.at_priority(Priority.BACKFILL):
            after = read_history(run, after, due.history_window(run, stream))
    if stream.watermark and (lookback_start or (run.is_manual and after.remote_count is not None)):
        check_total(run, after, Window(history_start(run.source), run.deps.clock.now() + AHEAD))
    return lookback_start, head_only and due.has_history(run, after)


def read_head(run: SourceRun, stream: StreamState) -> tuple[StreamState, datetime | None]:
    """Read a stream from now back to what is stored, or to the start of a lookback → its state, and that start.

    A stream without a watermark has no head: its initial sync is history.
    """
    top = stream.watermark
    if top is None or due.is_scanned_by_backlog(run, stream):
        return stream, None
    window, lookback_start = due.head_window(run, stream, top)
    with run.at_priority(Priority.LOOKBACK if lookback_start else Priority.HEAD):
        kind = ScanKind.LOOKBACK if lookback_start else ScanKind.HEAD
        return read_window(run, stream, window, kind), lookback_start


def read_history(run: SourceRun, stream: StreamState, wanted: Window, *, again: bool = False) -> StreamState:
    """Resume scans that were cut off, then read what is missing of a window, newest first → the stream's state."""
    for checkpoint in stream.checkpoints:
        stream = read_window(run, stream, checkpoint.window, place=checkpoint.resume_point)
    for window in (wanted,) if again else subtract(wanted, stream.coverage)[::-1]:
        place = None if again else due.resume_point_below(run, stream, window)
        stream = read_window(run, stream, window, place=place)
    return stream


def _each_stream(run: SourceRun, read: Callable[[SourceRun, StreamState], T]) -> list[T]:
    """Read one stream after the other; an error of one does not keep the others from being read."""
    results, errors = list[T](), list[Exception | None]()
    for partition in run.partitions:
        try:
            results.append(read(run, load_state(run, partition)))
            errors.append(None)
        except (SourceError, PaginationLoop) as error:
            if isinstance(error, SourceError) and error.concerns_source:
                raise
            errors.append(error)
            if not isinstance(error, AccessRefused):
                run.fail("stream_failed", error)
    if refused := refusal_of_all(errors):
        raise refused  # the source's own, which pauses it
    for failed in errors:
        if isinstance(failed, AccessRefused):
            run.fail("stream_failed", failed)
    return results
