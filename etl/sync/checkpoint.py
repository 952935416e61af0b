"""What a scan read and found → what is stored about its stream: checkpoint, coverage, completeness, lookbacks."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from etl.intervals import UnreadableRanges, subtract
from etl.loader.batch import WriteContext
from etl.model import DateFilter, Source, Window
from etl.paging import ResumePoint, ScanGoal, ScanResult, SortOrder
from etl.state import last_seen, lookbacks, streams
from etl.state.streams import StreamState
from etl.sync.completeness import Reason, RemoteCount, compare_counts
from etl.sync.run import SourceRun

BEGINNING = datetime(2015, 1, 1, tzinfo=UTC)  # before any of the four providers
OVERLAP = timedelta(minutes=15)
LATEST_ARRIVAL = timedelta(days=1)  # how late a call may be listed, or how wrong a clock may be


def history_start(source: Source) -> datetime:
    """The start of a source's history, as far as it is to be read."""
    return source.since or BEGINNING


@dataclass(frozen=True, slots=True)
class CoverageRecorder:
    """Stores what one scan has achieved, in the transactions of its data and after them."""

    run: SourceRun
    stream: StreamState
    goal: ScanGoal
    began_at: datetime
    unreadable: UnreadableRanges = field(default_factory=UnreadableRanges)

    def save_checkpoint(self, connection: Connection, point: ResumePoint, now: datetime) -> None:
        """Store where to resume; after a record that cannot be read, the last checkpoint before it stays."""
        goal, began_at = self.goal, self.began_at
        if self.unreadable.spans:
            return
        streams.save_checkpoint(connection, self.stream, goal.window, point, now)
        if not goal.resume_from and goal.window.end >= began_at - OVERLAP:  # a resumed scan reads the rest of it
            self._mark_lookback_done(connection, began_at)

    def finish(self, connection: Connection, ctx: WriteContext, outcome: ScanResult) -> None:
        """Store, in the last transaction of a scan, the coverage that it adds, and mark the calls that are delisted."""
        streams.finish_checkpoint(connection, self.stream, self.goal.window, self._certain(outcome, ctx.now))
        if outcome.is_certified and self.stream.watermark is not None:
            self._mark_delisted(connection, ctx, outcome)

    def _mark_delisted(self, connection: Connection, ctx: WriteContext, outcome: ScanResult) -> None:
        """Mark the calls that a complete scan did not see; the oldest, which left together, are past the retention."""
        stream, window, whole = self.stream, self.goal.window, self._is_whole
        start = max(window.start, outcome.oldest) if whole and outcome.oldest else window.start
        gone = last_seen.mark_delisted(connection, ctx, stream.partition, Window(start, window.end), self.began_at)
        if whole and outcome.oldest:
            left = streams.count_stored(connection, stream, datetime.min.replace(tzinfo=UTC), before=outcome.oldest)
            streams.save_stream(connection, stream, remote_oldest_at=outcome.oldest if left else None)
        if gone:
            self.run.recorder.note(f"{gone} calls are no longer listed by the provider; they are marked as delisted")

    @property
    def _is_whole(self) -> bool:
        """Whether the window reaches back to the start of the source's history."""
        return self.goal.window.start <= history_start(self.run.source)

    def _certain(self, outcome: ScanResult, now: datetime) -> Sequence[Window]:
        """The coverage of the scan: up to its newest row, by the provider's clock and not by ours.

        The span around a record that cannot be read is left out; in an unsorted list that may be anywhere.
        """
        window = self.goal.window
        if outcome.skipped or (self.unreadable.spans and outcome.order is SortOrder.UNSORTED):
            return ()
        is_past = window.end <= now - LATEST_ARRIVAL or any(
            window.end <= covered.end for covered in self.stream.coverage
        )
        end = window.end if is_past else min(outcome.newest or window.start, now)
        return subtract(Window(window.start, max(end, window.start)), self.unreadable.spans)

    def note(self, connection: Connection, outcome: ScanResult, is_filter_ignored: bool) -> None:
        """Store what the scan found out about the stream, and its completeness where the total counts all of it."""
        run, goal, now = self.run, self.goal, self.run.deps.clock.now()
        whole, unfiltered = outcome.reached_end and self._is_whole, goal.date_filter is DateFilter.NONE
        values: dict[str, object] = {} if outcome.order is SortOrder.UNKNOWN else {"sort_order": outcome.order.value}
        stream = replace(
            streams.load_stream(connection, run.source.name, self.stream.partition), is_filter_ignored=is_filter_ignored
        )
        if stream.checkpoints:
            values |= {"completeness": "unknown", "reason": Reason.BEING_READ.value}
        elif whole or unfiltered:
            remote = RemoteCount(outcome.total, outcome.first_total, outcome.warnings)
            values |= compare_counts(connection, run, stream, goal.window.start, remote)
        elif outcome.warnings and stream.completeness != "incomplete":
            values |= {"completeness": "unknown", "reason": "; ".join(outcome.warnings)}
        if whole or (outcome.reached_end and unfiltered and not goal.resume_from):
            values["full_scan_at"] = now
        if goal.size != run.provider.page_size:
            values["page_size"] = goal.size
        streams.save_stream(connection, stream, **values)
        if goal.window.end >= now - OVERLAP and not outcome.skipped:
            self._mark_lookback_done(connection, now)

    def _mark_lookback_done(self, connection: Connection, at: datetime) -> None:
        """Store that the newest calls were read back to the start of the window."""
        lookbacks.mark_done(connection, self.run.source, self.stream.partition, at - self.goal.window.start, at)
