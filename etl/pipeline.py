"""The loop: what a run reads of each list of a source, newest first, and in which order.

Read this first. :func:`sync` and :func:`backfill` are what a run does, and of a sync the daemon does :func:`live` and
:func:`history` beside each other. They come down to :func:`read_head` and :func:`read_history`, and these to
:func:`~etl.sync.window.read_window`, which is the whole way from the provider to the warehouse.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import Connection

from etl.client.errors import SourceError, SourcePaused, SourceUnavailable
from etl.intervals import lacking
from etl.model import DateFilter, Window
from etl.paging import EndlessList, Order, Place, positions
from etl.runtime.logs import event
from etl.state import lookbacks, streams
from etl.state.lease import Lane
from etl.state.streams import ListState
from etl.sync import completeness
from etl.sync.checkpoint import OVERLAP, beginning
from etl.sync.run import Reader
from etl.sync.transcripts import fetch_transcripts
from etl.sync.window import books_of, read_window, was_read_whole_within

log = logging.getLogger("etl.pipeline")

OLDEST_SWEEP = timedelta(days=30)
UNSORTED_AT_MOST = timedelta(hours=1)


def sync(reader: Reader) -> None:
    """Catch up with every list of the source, then with the transcripts that take a request of their own."""
    _each_list(reader, catch_up)
    with reader.lane(Lane.SWEEP):
        fetch_transcripts(reader)


def live(reader: Reader) -> bool:
    """The part of a sync that is never long: every list's head, and the newest transcripts; whether any is left."""
    left = []

    def read(reader: Reader, phone: str) -> None:
        read_head(reader, books_of(reader, phone))
        _compare(reader, phone)
        left.append(_has_history(reader, phone))

    _each_list(reader, read)
    with reader.lane(Lane.SWEEP):
        return fetch_transcripts(reader, batches=1) or any(left)


def history(reader: Reader) -> None:
    """The rest of a sync: first readings, whatever older stretch is not held yet, and every transcript."""
    with reader.lane(Lane.HISTORY):
        _each_list(reader, lambda reader, phone: read_history(reader, phone, _past(reader, books_of(reader, phone))))
        fetch_transcripts(reader)


def backfill(reader: Reader, window: Window, *, again: bool = False) -> None:
    """Read a window of history, of it only what coverage lacks unless ``again``, then the transcripts of it."""
    with reader.lane(Lane.HISTORY):
        _each_list(reader, lambda reader, phone: read_history(reader, phone, window, again=again))
        fetch_transcripts(reader)


def days(reader: Reader, first: date, end: date | None) -> Window:
    """Days of the source's time zone, the last one exclusive, as a window of instants; without an end up to now."""
    zone = reader.source.timezone
    start = datetime.combine(first, time(), zone).astimezone(UTC)
    now = reader.means.clock.now()
    return Window(start, min(datetime.combine(end, time(), zone).astimezone(UTC), now) if end else now)


def _each_list(reader: Reader, read: Callable[[Reader, str], None]) -> None:
    """One list after the other; one that the provider refuses does not keep the others from being read."""
    for phone in reader.phones:
        try:
            read(reader, phone)
        except (SourceError, EndlessList) as error:
            if isinstance(error, SourcePaused) or (isinstance(error, SourceUnavailable) and error.status is None):
                raise  # it is the whole source
            name = reader.source.name
            said = str(error) if isinstance(error, SourceError) else f"{name}: {error}"
            reader.report.error = reader.report.error or said
            event(log, "list not read", level=logging.WARNING, source=name, error=said)


def catch_up(reader: Reader, phone: str) -> None:
    """Read a list's head, then whatever older stretch is not held yet, newest first."""
    books = books_of(reader, phone)
    if _rests(reader, books):
        return
    read_head(reader, books)
    with reader.lane(Lane.HISTORY):
        read_history(reader, phone, _past(reader, books))
    if books.watermark:
        _compare(reader, phone)


def read_head(reader: Reader, books: ListState) -> None:
    """Read a list from its newest call as far back as a sweep is due; one that was never read has no head yet."""
    top, now = books.watermark, reader.means.clock.now()
    if top is None or _rests(reader, books) or _is_being_read_whole(reader, books):
        return
    back_to = reader.desk.do(_back_to, reader, books.phone, min(top, now), now)
    with reader.lane(Lane.SWEEP if reader.swept_from else Lane.LIVE):
        read_window(
            reader, books, Window(max(back_to, _read_so_far(books) or beginning(reader.source)), now), joins=True
        )


def read_history(reader: Reader, phone: str, wanted: Window, *, again: bool = False) -> None:
    """Go on with the walks that were cut off, then read what of a window is not held, newest first."""
    books = books_of(reader, phone)
    for cut_off in books.unfinished:
        read_window(reader, books, cut_off.window, place=cut_off.place)
        books = books_of(reader, phone)
    for window in unread(books, wanted, again=again):
        read_window(reader, books, window, place=None if again else beneath(reader, books, window))
        books = books_of(reader, phone)


def unread(books: ListState, wanted: Window, *, again: bool = False) -> Sequence[Window]:
    """What of a window is to be read, newest first: what is not held, or ``again`` all of it."""
    return (wanted,) if again else lacking(wanted, books.coverage)[::-1]


def beneath(reader: Reader, books: ListState, window: Window) -> Place | None:
    """Where a list that cannot be filtered is entered for an older window: at the last of the rows held above it."""
    is_below = any(held.start <= window.end <= held.end for held in books.coverage)
    if reader.provider.date_filter is not DateFilter.NONE or books.order is not Order.NEWEST or not is_below:
        return None
    above = reader.desk.do(streams.held, books, window.end)
    size = books.page_size or reader.provider.page_size
    position = positions.last(reader.provider.paging, above, size)
    if position == positions.first(reader.provider.paging):
        return None
    return Place(position, size, window.end, Order.NEWEST, oldest=window.end)


def _past(reader: Reader, books: ListState) -> Window:
    """What of a list is history: all up to the newest call that is held, or up to now where none is."""
    now = reader.means.clock.now()
    return Window(beginning(reader.source), min(books.watermark or now, now))


def _has_history(reader: Reader, phone: str) -> bool:
    """Whether a list was never read, or not all of it up to its newest call."""
    books = books_of(reader, phone)
    lacks = books.watermark is None or books.unfinished or lacking(_past(reader, books), books.coverage)
    return bool(lacks) and not _rests(reader, books)


def _compare(reader: Reader, phone: str) -> None:
    """Ask for a list's whole total where somebody waits for it, or a sweep of this run has read far back."""
    if reader.by_hand or reader.swept_from:
        whole = Window(beginning(reader.source), reader.means.clock.now())
        completeness.ask(reader, books_of(reader, phone), whole)


def _back_to(connection: Connection, reader: Reader, phone: str, top: datetime, now: datetime) -> datetime:
    """How far back the head is read: the overlap, the widest sweep that is due, the oldest call that may change."""
    back_to = [top - OVERLAP]
    sweep = lookbacks.due_sweep(connection, reader.source, phone, now)
    widest = max((s.horizon for s in reader.source.sweeps), default=OVERLAP)
    if sweep:
        reader.swept_from = now - sweep.horizon
        back_to.append(reader.swept_from)
    if reader.by_hand or (sweep and sweep.horizon == widest):
        since = now - (OLDEST_SWEEP if sweep and sweep.horizon == widest else widest)
        unfinished = lookbacks.oldest_unfinished(connection, reader.source.name, since)
        back_to += [unfinished - timedelta(seconds=1)] if unfinished else []
    return min(back_to)


def _read_so_far(books: ListState) -> datetime | None:
    """How far down the newest walk came, where it was cut off: the rest of it is read by going on with it."""
    place = books.unfinished[0].place if books.unfinished else None
    if place is None or place.oldest is None or place.newest is None:
        return None
    is_joined = any(held.start <= place.newest <= held.end for held in books.coverage)  # by a head read meanwhile
    if place.newest != books.watermark and not is_joined:
        return None
    return place.oldest + timedelta(seconds=1)


def _rests(reader: Reader, books: ListState) -> bool:
    """Whether a list is left alone for now: without order and filter it is read whole, or not at all."""
    return books.order is Order.UNSORTED and was_read_whole_within(reader, books, UNSORTED_AT_MOST)


def _is_being_read_whole(reader: Reader, books: ListState) -> bool:
    """Whether the schedule's history reads such a list beside us: it meets what is new as well."""
    unfiltered = reader.provider.date_filter is DateFilter.NONE
    return unfiltered and not reader.by_hand and any(w.place.order is Order.UNSORTED for w in books.unfinished)
