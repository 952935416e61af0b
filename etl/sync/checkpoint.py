"""What a walk read and found out → what the books may say of its list: how far it is held, and how complete it is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from etl.intervals import Holes, lacking
from etl.loader.writer import Writing
from etl.model import DateFilter, Source, Window
from etl.paging import Goal, Order, Outcome, Place
from etl.state import last_seen, lookbacks, streams
from etl.state.streams import ListState
from etl.sync import completeness
from etl.sync.run import Reader

BEGINNING = datetime(2015, 1, 1, tzinfo=UTC)  # before any of the four providers
OVERLAP = timedelta(minutes=15)
LATEST_ARRIVAL = timedelta(days=1)  # how late a call may show up, or a clock be wrong


def beginning(source: Source) -> datetime:
    """Where a source's calls begin, as far as it is to be read."""
    return source.since or BEGINNING


@dataclass(frozen=True, slots=True)
class Claims:
    """What one walk says in the books of its list, in the transactions of its data and after them."""

    reader: Reader
    books: ListState
    goal: Goal
    began_at: datetime
    holes: Holes = field(default_factory=Holes)

    def save_place(self, connection: Connection, place: Place, now: datetime) -> None:
        """Note where to go on from; a walk that could not read a call goes on from where it last was whole."""
        goal, began_at = self.goal, self.began_at
        if self.holes.spans:
            return
        streams.save_place(connection, self.books, goal.window, place, now)
        if not goal.place and goal.window.end >= began_at - OVERLAP:  # whoever goes on from there reads the rest of it
            self._note_swept(connection, began_at)

    def finish(self, connection: Connection, writing: Writing, outcome: Outcome) -> None:
        """Note in the last transaction of a walk what is held for certain now, and what is listed no more."""
        streams.finish_walk(connection, self.books, self.goal.window, self._certain(outcome, writing.now))
        if outcome.is_certified and self.books.watermark is not None:
            self._mark_missing(connection, writing, outcome)

    def _mark_missing(self, connection: Connection, writing: Writing, outcome: Outcome) -> None:
        """Mark what a certified walk did not meet; a block of the oldest calls that left together left by retention."""
        books, window, whole = self.books, self.goal.window, self._is_whole
        start = max(window.start, outcome.oldest) if whole and outcome.oldest else window.start
        gone = last_seen.mark_missing(connection, writing, books.phone, Window(start, window.end), self.began_at)
        if whole and outcome.oldest:
            left = streams.held(connection, books, datetime.min.replace(tzinfo=UTC), before=outcome.oldest)
            streams.save_list(connection, books, listed_from=outcome.oldest if left else None)
        if gone:
            said = f"{gone} calls are no longer listed by the provider; they are marked missing"
            self.reader.report.notes.append(said)

    @property
    def _is_whole(self) -> bool:
        """Whether the window reaches back to where the source's calls begin."""
        return self.goal.window.start <= beginning(self.reader.source)

    def _certain(self, outcome: Outcome, now: datetime) -> Sequence[Window]:
        """What is held for certain: up to the newest row, by the provider's clock and not by ours.

        What lies around a call that could not be read is not; in a list without order that may be anywhere.
        """
        window = self.goal.window
        if outcome.kept_still or (self.holes.spans and outcome.order is Order.UNSORTED):
            return ()
        is_past = window.end <= now - LATEST_ARRIVAL or any(window.end <= held.end for held in self.books.coverage)
        end = window.end if is_past else min(outcome.newest or window.start, now)
        return lacking(Window(window.start, max(end, window.start)), self.holes.spans)

    def note(self, connection: Connection, outcome: Outcome) -> None:
        """Note what was found out about the list, and where its total speaks of all of it, how complete that is."""
        reader, goal, now = self.reader, self.goal, self.reader.means.clock.now()
        whole, unfiltered = outcome.ended and self._is_whole, goal.date_filter is DateFilter.NONE
        values: dict[str, object] = {} if outcome.order is Order.UNKNOWN else {"list_order": outcome.order.value}
        books = streams.load_list(connection, reader.source.name, self.books.phone)
        if books.unfinished:
            values |= {"completeness": "unknown", "reason": "its history is still being read"}
        elif whole or unfiltered:
            values |= completeness.compared(
                connection, reader, books, goal.window.start, outcome.total, outcome.first_total, outcome.doubts
            )
        elif outcome.doubts and books.completeness != "gap":
            values |= {"completeness": "unknown", "reason": "; ".join(outcome.doubts)}
        if whole or (outcome.ended and unfiltered and not goal.place):
            values["read_whole_at"] = now
        if goal.size != reader.provider.page_size:
            values["page_size"] = goal.size
        streams.save_list(connection, books, **values)
        if goal.window.end >= now - OVERLAP and not outcome.kept_still:
            self._note_swept(connection, now)

    def _note_swept(self, connection: Connection, at: datetime) -> None:
        """Note that the list was read from its head down to the start of the window."""
        lookbacks.swept(connection, self.reader.source, self.books.phone, at - self.goal.window.start, at)
