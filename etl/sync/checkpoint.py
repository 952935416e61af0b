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

BEGINNING = streams.BEGINNING
OVERLAP = timedelta(minutes=15)
AHEAD = timedelta(hours=14)  # local times of any zone, shown as UTC, are no further ahead: what is newest is asked for
LATEST_ARRIVAL = timedelta(days=1)  # how late a call may be listed, or how wrong a clock may be


def history_start(source: Source) -> datetime:
    """The start of a source's history, as far as it is to be read."""
    return source.since or BEGINNING


@dataclass(slots=True)
class CoverageRecorder:
    """Stores what one scan has achieved, in the transactions of its data and after them."""

    run: SourceRun
    stream: StreamState
    goal: ScanGoal
    began_at: datetime
    unreadable: UnreadableRanges = field(default_factory=UnreadableRanges)
    first_seq: int | None = None  # the number of its first request that was answered

    @property
    def compares_pages(self) -> bool:
        """Whether each page is compared with what is stored: the scan has to know, or knows most of the records."""
        return self.goal.needs_stored or subtract(self.goal.window, self.stream.coverage) != (self.goal.window,)

    def save_checkpoint(self, connection: Connection, point: ResumePoint, now: datetime) -> None:
        """Store where to resume; after a record that cannot be read, the last checkpoint before it stays."""
        if self.unreadable.spans:
            return
        streams.save_checkpoint(connection, self.stream, self.goal.window, point, now)
        if not self.goal.resume_from:  # a resumed scan reads the rest of it
            self._mark_lookback_done(connection, self.began_at)

    def finish(self, connection: Connection, ctx: WriteContext, outcome: ScanResult) -> None:
        """Store, in the last transaction of a scan, the coverage that it adds, and mark the calls that are delisted.

        The oldest calls, where they left together, are past the provider's retention.
        """
        stream, window, oldest = self.stream, self.goal.window, outcome.oldest if self._is_whole else None
        streams.finish_checkpoint(connection, stream, window, self._certain(outcome, ctx.now))
        if not outcome.is_certified or stream.watermark is None:
            return
        listed = Window(max(window.start, oldest or window.start), window.end)
        gone = last_seen.mark_delisted(connection, ctx, stream.partition, listed, self.began_at)
        if oldest:
            left = streams.count_stored(connection, stream, datetime.min.replace(tzinfo=UTC), before=oldest)
            streams.save_stream(connection, stream, remote_oldest_at=oldest if left else None)
        if gone:
            note = f"{gone} calls are no longer listed by the provider; they are marked as delisted"
            self.run.result.notes.append(note)

    @property
    def _is_whole(self) -> bool:
        """Whether the window reaches back to the start of the source's history."""
        return self.goal.window.start <= history_start(self.run.source)

    def _certain(self, outcome: ScanResult, now: datetime) -> Sequence[Window]:
        """The coverage of the scan: up to its newest row, by the provider's clock and not by ours.

        The span around a record that cannot be read is left out; in an unsorted list that may be anywhere.
        """
        window, coverage = self.goal.window, self.stream.coverage
        if outcome.skipped or (self.unreadable.spans and outcome.order is SortOrder.UNSORTED):
            return ()
        is_past = window.end <= self.began_at - LATEST_ARRIVAL and not self.goal.resume_from
        is_past |= any(window.end <= covered.end for covered in coverage)
        end = window.end if is_past else min(outcome.newest or window.start, now)
        return subtract(Window(window.start, max(end, window.start)), self.unreadable.spans)

    def note(self, connection: Connection, outcome: ScanResult) -> None:
        """Store what the scan found out about the stream, and its completeness where the total counts all of it."""
        run, goal, now = self.run, self.goal, self.run.deps.clock.now()
        unfiltered = goal.date_filter is DateFilter.NONE
        is_up_to_now = unfiltered or goal.window.end >= self.began_at - OVERLAP  # its total counts all that is stored
        whole = outcome.reached_end and self._is_whole and is_up_to_now
        values: dict[str, object] = {} if outcome.order is SortOrder.UNKNOWN else {"sort_order": outcome.order.value}
        stream = streams.load_stream(connection, run.source.name, self.stream.partition)
        stream = replace(stream, is_filter_ignored=self.stream.is_filter_ignored)
        if stream.checkpoints:
            values |= {"completeness": "unknown", "reason": Reason.BEING_READ.value}
        elif whole or unfiltered:
            remote = RemoteCount(outcome.total, outcome.first_total, outcome.warnings, outcome.surplus)
            values |= compare_counts(connection, run, stream, goal.window.start, remote)
        elif outcome.warnings and stream.completeness != "incomplete":
            values |= {"completeness": "unknown", "reason": "; ".join(outcome.warnings)}
        if whole or (outcome.reached_end and unfiltered and not goal.resume_from):
            values["full_scan_at"] = now
        if self.stream.page_size:
            values["page_size"] = self.stream.page_size
        streams.save_stream(connection, stream, **values)
        if not outcome.skipped:
            self._mark_lookback_done(connection, now)

    def _mark_lookback_done(self, connection: Connection, at: datetime) -> None:
        """Store that the newest calls were read back to the start of the window, if it has them."""
        window = self.goal.window
        if window.end >= at - OVERLAP:
            lookbacks.mark_done(connection, self.run.source, self.stream.partition, at - window.start, at)
