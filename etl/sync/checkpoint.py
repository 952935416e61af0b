"""What a walk read and found out → what the books may say of its list: how far it is held, and how complete it is."""

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
from etl.sync import completeness
from etl.sync.run import SourceRun

BEGINNING = datetime(2015, 1, 1, tzinfo=UTC)  # before any of the four providers
OVERLAP = timedelta(minutes=15)
LATEST_ARRIVAL = timedelta(days=1)  # how late a call may show up, or a clock be wrong


def history_start(source: Source) -> datetime:
    """Where a source's calls begin, as far as it is to be read."""
    return source.since or BEGINNING


@dataclass(frozen=True, slots=True)
class CoverageRecorder:
    """What one walk says in the books of its list, in the transactions of its data and after them."""

    run: SourceRun
    stream: StreamState
    goal: ScanGoal
    began_at: datetime
    unreadable: UnreadableRanges = field(default_factory=UnreadableRanges)

    def save_checkpoint(self, connection: Connection, place: ResumePoint, now: datetime) -> None:
        """Note where to go on from; a walk that could not read a call goes on from where it last was whole."""
        goal, began_at = self.goal, self.began_at
        if self.unreadable.spans:
            return
        streams.save_checkpoint(connection, self.stream, goal.window, place, now)
        if (
            not goal.resume_from and goal.window.end >= began_at - OVERLAP
        ):  # whoever goes on from there reads the rest of it
            self._mark_lookback_done(connection, began_at)

    def finish(self, connection: Connection, writing: WriteContext, outcome: ScanResult) -> None:
        """Note in the last transaction of a walk what is held for certain now, and what is listed no more."""
        streams.finish_checkpoint(connection, self.stream, self.goal.window, self._certain(outcome, writing.now))
        if outcome.is_certified and self.stream.watermark is not None:
            self._mark_delisted(connection, writing, outcome)

    def _mark_delisted(self, connection: Connection, writing: WriteContext, outcome: ScanResult) -> None:
        """Mark what a certified walk did not meet; a block of the oldest calls that left together left by retention."""
        stream, window, whole = self.stream, self.goal.window, self._is_whole
        start = max(window.start, outcome.oldest) if whole and outcome.oldest else window.start
        gone = last_seen.mark_delisted(connection, writing, stream.partition, Window(start, window.end), self.began_at)
        if whole and outcome.oldest:
            left = streams.count_stored(connection, stream, datetime.min.replace(tzinfo=UTC), before=outcome.oldest)
            streams.save_stream(connection, stream, remote_oldest_at=outcome.oldest if left else None)
        if gone:
            said = f"{gone} calls are no longer listed by the provider; they are marked missing"
            self.run.recorder.note(said)

    @property
    def _is_whole(self) -> bool:
        """Whether the window reaches back to where the source's calls begin."""
        return self.goal.window.start <= history_start(self.run.source)

    def _certain(self, outcome: ScanResult, now: datetime) -> Sequence[Window]:
        """What is held for certain: up to the newest row, by the provider's clock and not by ours.

        What lies around a call that could not be read is not; in a list without order that may be anywhere.
        """
        window = self.goal.window
        if outcome.skipped or (self.unreadable.spans and outcome.order is SortOrder.UNSORTED):
            return ()
        is_past = window.end <= now - LATEST_ARRIVAL or any(window.end <= held.end for held in self.stream.coverage)
        end = window.end if is_past else min(outcome.newest or window.start, now)
        return subtract(Window(window.start, max(end, window.start)), self.unreadable.spans)

    def note(self, connection: Connection, outcome: ScanResult, is_filter_ignored: bool) -> None:
        """Note what was found out about the list, and where its total speaks of all of it, how complete that is."""
        run, goal, now = self.run, self.goal, self.run.deps.clock.now()
        whole, unfiltered = outcome.reached_end and self._is_whole, goal.date_filter is DateFilter.NONE
        values: dict[str, object] = {} if outcome.order is SortOrder.UNKNOWN else {"sort_order": outcome.order.value}
        stream = replace(
            streams.load_stream(connection, run.source.name, self.stream.partition), is_filter_ignored=is_filter_ignored
        )
        if stream.checkpoints:
            values |= {"completeness": "unknown", "reason": "its history is still being read"}
        elif whole or unfiltered:
            values |= completeness.compare_counts(
                connection, run, stream, goal.window.start, outcome.total, outcome.first_total, outcome.warnings
            )
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
        """Note that the list was read from its head down to the start of the window."""
        lookbacks.mark_done(connection, self.run.source, self.stream.partition, at - self.goal.window.start, at)
