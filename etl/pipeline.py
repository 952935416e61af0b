"""The loop: one source's lists walked page by page, transformed, and loaded batch by batch, with the books kept.

Read this first. :func:`sync` and :func:`backfill` are what a run does, and of a sync the daemon does :func:`live` and
:func:`history` beside each other. They come down to :func:`read_head` and :func:`read_history`, and these to
:func:`_walk`, which is the whole way from the provider to the warehouse.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import Connection

from etl import completeness
from etl.ahead import Ahead
from etl.batch import Arrival, Batch
from etl.client.client import Answer
from etl.client.errors import RequestRefused, SourceError, SourcePaused, SourceUnavailable
from etl.clock import Stopped
from etl.fetch import fetch
from etl.intervals import lacking
from etl.loader import Writing
from etl.logs import event
from etl.pending import fetch_transcripts
from etl.reader import Reader
from etl.state import lists, sightings
from etl.state.lease import Lane
from etl.state.lists import ListState
from etl.stream import Ask, DateFilter, Page, Provider, Window
from etl.walk import EndlessList, Goal, Order, Outcome, OutOfReach, Place, Seen, Sighting, Step, Walk, positions, walk

log = logging.getLogger("etl.pipeline")

BEGINNING = datetime(2015, 1, 1, tzinfo=UTC)  # before any of the four providers
OVERLAP = timedelta(minutes=15)
LATEST_ARRIVAL = timedelta(days=1)  # how late a call may show up, or a clock be wrong
OLDEST_SWEEP = timedelta(days=30)
SMALLER_PAGES = (100, 50, 10)
REFUSED = (400, 422)  # how providers refuse a size or a position
BATCH_ROWS, BATCH_BYTES, BATCH_SECONDS = 1000, 16 << 20, 10.0
UNSORTED_AT_MOST, UNSORTED_AT_LEAST = timedelta(hours=1), timedelta(days=1)


def sync(reader: Reader) -> None:
    """Catch up with every list of the source, then with the transcripts that take a request of their own."""
    _each_list(reader, catch_up)
    with reader.lane(Lane.SWEEP):
        fetch_transcripts(reader)


def live(reader: Reader) -> bool:
    """The part of a sync that is never long: every list's head, and the newest transcripts; whether any is left."""
    left = []

    def read(reader: Reader, phone: str) -> None:
        read_head(reader, phone)
        _compare(reader, phone)
        left.append(_has_history(reader, phone))

    _each_list(reader, read)
    with reader.lane(Lane.SWEEP):
        return fetch_transcripts(reader, batches=1) or any(left)


def history(reader: Reader) -> None:
    """The rest of a sync: first readings, whatever older stretch is not held yet, and every transcript."""
    with reader.lane(Lane.HISTORY):
        _each_list(reader, lambda reader, phone: read_history(reader, phone, _past(reader, _list(reader, phone))))
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
    for phone in reader.source.phones if reader.provider.needs_phones else ("",):
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
    books = _list(reader, phone)
    if _rests(reader, books):
        return
    read_head(reader, phone)
    with reader.lane(Lane.HISTORY):
        read_history(reader, phone, _past(reader, books))
    if books.watermark:
        _compare(reader, phone)


def read_head(reader: Reader, phone: str) -> None:
    """Read a list from its newest call as far back as a sweep is due; one that was never read has no head yet."""
    books, now = _list(reader, phone), reader.means.clock.now()
    top = books.watermark
    if top is None or _rests(reader, books) or _is_being_read_whole(reader, books):
        return
    back_to = _back_to(reader, phone, min(top, now), now)
    with reader.lane(Lane.SWEEP if reader.swept_from else Lane.LIVE):
        _read(reader, books, Window(max(back_to, _read_so_far(books) or _start(reader)), now), joins=True)


def read_history(reader: Reader, phone: str, wanted: Window, *, again: bool = False) -> None:
    """Go on with the walks that were cut off, then read what of a window is not held, newest first."""
    for cut_off in _list(reader, phone).unfinished:
        _read(reader, _list(reader, phone), cut_off.window, place=cut_off.place)
    for window in unread(_list(reader, phone), wanted, again=again):
        books = _list(reader, phone)
        _read(reader, books, window, place=None if again else beneath(reader, books, window))


def unread(books: ListState, wanted: Window, *, again: bool = False) -> Sequence[Window]:
    """What of a window is to be read, newest first: what is not held, or ``again`` all of it."""
    return (wanted,) if again else lacking(wanted, books.coverage)[::-1]


def beneath(reader: Reader, books: ListState, window: Window) -> Place | None:
    """Where a list that cannot be filtered is entered for an older window: at the last of the rows held above it."""
    is_below = any(held.start <= window.end <= held.end for held in books.coverage)
    if reader.provider.date_filter is not DateFilter.NONE or books.order is not Order.NEWEST or not is_below:
        return None
    with reader.means.db.connect() as connection:
        above = lists.held(connection, books, window.end)
    size = books.page_size or reader.provider.page_size
    position = positions.last(reader.provider.paging, above, size)
    return (
        Place(position, size, window.end, Order.NEWEST) if position > positions.first(reader.provider.paging) else None
    )


def _start(reader: Reader) -> datetime:
    return reader.source.since or BEGINNING


def _past(reader: Reader, books: ListState) -> Window:
    """What of a list is history: all up to the newest call that is held, or up to now where none is."""
    now = reader.means.clock.now()
    return Window(_start(reader), min(books.watermark or now, now))


def _has_history(reader: Reader, phone: str) -> bool:
    """Whether a list was never read, or not all of it up to its newest call."""
    books = _list(reader, phone)
    lacks = books.watermark is None or books.unfinished or lacking(_past(reader, books), books.coverage)
    return bool(lacks) and not _rests(reader, books)


def _compare(reader: Reader, phone: str) -> None:
    """Ask for a list's whole total where somebody waits for it, or a sweep of this run has read far back."""
    if reader.by_hand or reader.swept_from:
        whole = Window(_start(reader), reader.means.clock.now())
        completeness.ask(reader, _list(reader, phone), whole)


def _list(reader: Reader, phone: str) -> ListState:
    with reader.means.db.connect() as connection:
        return lists.load_list(connection, reader.source.name, phone)


def _back_to(reader: Reader, phone: str, top: datetime, now: datetime) -> datetime:
    """How far back the head is read: the overlap, the widest sweep that is due, the oldest call that may change."""
    back_to = [top - OVERLAP]
    with reader.means.db.connect() as connection:
        sweep = lists.due_sweep(connection, reader.source, phone, now)
        widest = max((s.horizon for s in reader.source.sweeps), default=OVERLAP)
        if sweep:
            reader.swept_from = now - sweep.horizon
            back_to.append(reader.swept_from)
        if reader.by_hand or (sweep and sweep.horizon == widest):
            since = now - (OLDEST_SWEEP if sweep and sweep.horizon == widest else widest)
            unfinished = lists.oldest_unfinished(connection, reader.source.name, since)
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
    return books.order is Order.UNSORTED and _read_whole_within(reader, books, UNSORTED_AT_MOST)


def _is_being_read_whole(reader: Reader, books: ListState) -> bool:
    """Whether the schedule's history reads such a list beside us: it meets what is new as well."""
    unfiltered = reader.provider.date_filter is DateFilter.NONE
    return unfiltered and not reader.by_hand and any(w.place.order is Order.UNSORTED for w in books.unfinished)


def _read_whole_within(reader: Reader, books: ListState, span: timedelta) -> bool:
    """Whether a list without a filter was read whole so lately that the schedule need not do so; by hand, always."""
    if reader.by_hand or books.read_whole_at is None or reader.provider.date_filter is not DateFilter.NONE:
        return False
    return timedelta(0) <= reader.means.clock.now() - books.read_whole_at < span


def _read(reader: Reader, books: ListState, window: Window, *, joins: bool = False, place: Place | None = None) -> None:
    """Walk one window of a list, load what comes, and note that it is held."""
    provider = reader.provider
    unfiltered = provider.date_filter is DateFilter.NONE
    first = books.watermark is None
    reads_head = unfiltered or reader.means.clock.now() - window.end < OVERLAP
    goal = Goal(
        window,
        provider.paging,
        provider.date_filter,
        place.size if place else books.page_size or provider.page_size,
        order=books.order,
        joins=joins,
        whole=reader.source.since is None and window.start <= BEGINNING,
        listed=books.listed if unfiltered else None,
        held=books.held if unfiltered else None,
        peek=_read_whole_within(reader, books, UNSORTED_AT_LEAST),
        place=place,
    )
    goal, outcome = _walk_at_some_size(reader, books, goal)
    _note(reader, books, goal, outcome)
    took_pages = outcome.order is not Order.UNSORTED and (outcome.met or 0) > goal.size
    if first and reads_head and outcome.newest and (outcome.moved or took_pages):
        # the certificate's last look at the head: what arrived meanwhile lies above where the walk began
        head = Window(outcome.newest - OVERLAP, reader.means.clock.now())
        _read(reader, _list(reader, books.phone), head, joins=True)


def _walk_at_some_size(reader: Reader, books: ListState, goal: Goal) -> tuple[Goal, Outcome]:
    """Walk with the pages that the provider accepts: where the largest is refused at once, with smaller ones."""
    for size in (size for size in SMALLER_PAGES if size < goal.size):
        pages = reader.report.counts.pages
        try:
            return goal, _walk(reader, books, goal)
        except RequestRefused as refused:
            if refused.status not in REFUSED or reader.report.counts.pages > pages or goal.place:
                raise
            goal = replace(goal, size=size)
    return goal, _walk(reader, books, goal)


def _walk(reader: Reader, books: ListState, goal: Goal) -> Outcome:
    """From the provider to the warehouse, with a few pages in flight where the way ahead is known."""

    def ask(step: Step) -> Answer[Page]:
        wanted = Ask(reader.source, step.window, step.position, goal.size, books.phone)
        return fetch(reader.client, reader.provider, wanted)

    # Where a list that becomes shorter is gone on with from an instant, what was asked ahead is of no use.
    most = min(reader.means.ahead, 1) if goal.date_filter is DateFilter.INSTANTS else reader.means.ahead
    with Ahead(ask, goal, most) as pages:
        return _load(reader, books, goal, pages)


def _load(reader: Reader, books: ListState, goal: Goal, pages: Ahead) -> Outcome:
    """Ask for what the walk wants, and commit every thousand rows or ten seconds."""
    clock = reader.means.clock
    steps, began_at = walk(goal), clock.now()
    step = next(steps)
    outcome: Outcome | None = None
    batch, began, first_seq, rows = Batch(reader.provider, reader.source), clock.monotonic(), None, 0
    while outcome is None:
        try:
            reader.take_turn()
            try:
                answer = pages.fetch(step)
            except RequestRefused as refused:
                step = _nearer(steps, refused)
                continue
            first_seq = answer.seq if first_seq is None else first_seq
            arrivals = batch.take(answer.value, answer.seq)
            batch.held.update(reader.held(arrivals))
            rows += len(arrivals)
            reader.outside += _outside(reader.provider, goal.window, arrivals)
            completeness.note_others(reader, books.phone, arrivals)
            step = steps.send(_seen(answer.value, arrivals, batch, first_seq))
        except StopIteration as end:
            outcome = end.value
        except (SourceError, EndlessList, Stopped):
            if batch.pages:  # what was read stays
                _commit(reader, batch, books, goal.window, step.place)
            raise
        full = len(batch.arrivals) >= BATCH_ROWS or batch.size >= BATCH_BYTES
        if outcome is None and (full or clock.monotonic() - began >= BATCH_SECONDS):
            _commit(reader, batch, books, goal.window, step.place)
            reader.progress(_name(books), rows, answer.value.total)
            batch, began = Batch(reader.provider, reader.source), clock.monotonic()
    _finish(reader, batch, books, goal.window, outcome, began_at)
    reader.progress(_name(books), rows, rows)
    return outcome


def _nearer(steps: Walk, refused: RequestRefused) -> Step:
    """The step to take instead of one that was refused: some providers cap how deep a list may be paged."""
    if refused.status not in REFUSED:
        raise refused
    try:
        return steps.throw(OutOfReach())
    except OutOfReach:
        raise refused from None


def _seen(page: Page, arrivals: Sequence[Arrival], batch: Batch, first_seq: int) -> Seen:
    def sighting(each: Arrival) -> Sighting:
        held = batch.held.get(each.key) if each.key else None
        before = held is not None and held.seq < first_seq
        return Sighting(each.call_id or each.record.digest.hex(), each.created_at, before)

    return Seen([sighting(each) for each in arrivals], page.total, page.size, page.is_last)


def _outside(provider: Provider, window: Window, arrivals: Sequence[Arrival]) -> int:
    """How many records of a filtered list lie outside the window asked for: a filter that was ignored shows here."""
    slack = {DateFilter.INSTANTS: timedelta(seconds=1), DateFilter.DAYS: timedelta(days=3)}.get(provider.date_filter)
    if slack is None:
        return 0
    low, high = window.start - slack, window.end + slack
    return sum(each.created_at is not None and not low <= each.created_at <= high for each in arrivals)


def _commit(reader: Reader, batch: Batch, books: ListState, window: Window, place: Place) -> None:
    """One transaction: lease, rows, turns, raw payloads, quarantine, drift, counts, and the place to go on from."""
    with reader.lease.transaction() as connection:
        writing = reader.load(connection, batch)
        lists.save_place(connection, books, window, place, writing.now)
    reader.lease.give_up()


def _finish(
    reader: Reader, batch: Batch, books: ListState, window: Window, outcome: Outcome, began_at: datetime
) -> None:
    """The last transaction of a walk: its last batch, what is held for certain now, and what is listed no more."""
    with reader.lease.transaction() as connection:
        writing = reader.load(connection, batch)
        lists.finish_walk(connection, books, window, _certain(books, window, outcome, writing.now))
        if outcome.is_certified and books.watermark is not None:
            _mark_missing(connection, reader, writing, books, window, outcome, began_at)
    reader.lease.give_up()


def _mark_missing(
    connection: Connection,
    reader: Reader,
    writing: Writing,
    books: ListState,
    window: Window,
    outcome: Outcome,
    began_at: datetime,
) -> None:
    """Mark what a certified walk did not meet; a block of the oldest calls that left together left by retention."""
    whole = _is_whole(reader, window)
    start = max(window.start, outcome.oldest) if whole and outcome.oldest else window.start
    gone = sightings.mark_missing(connection, writing, books.phone, Window(start, window.end), began_at)
    if whole and outcome.oldest:
        left = lists.held(connection, books, datetime.min.replace(tzinfo=UTC), before=outcome.oldest)
        lists.save_list(connection, books, listed_from=outcome.oldest if left else None)
    if gone:
        reader.report.notes.append(f"{gone} calls are no longer listed by the provider; they are marked missing")


def _is_whole(reader: Reader, window: Window) -> bool:
    """Whether a window reaches back to where a source's calls begin."""
    return window.start <= (reader.source.since or BEGINNING)


def _certain(books: ListState, window: Window, outcome: Outcome, now: datetime) -> Window | None:
    """What is held for certain after a walk: up to its newest row, by the provider's clock and not by ours."""
    if outcome.kept_still:
        return None
    is_past = window.end <= now - LATEST_ARRIVAL or any(window.end <= held.end for held in books.coverage)
    end = window.end if is_past else min(outcome.newest or window.start, now)
    return Window(window.start, max(end, window.start))


def _note(reader: Reader, books: ListState, goal: Goal, outcome: Outcome) -> None:
    """Note what a walk found out about its list, and where its total speaks of all of it, how complete that is."""
    now = reader.means.clock.now()
    whole = outcome.ended and _is_whole(reader, goal.window)
    values: dict[str, object] = {} if outcome.order is Order.UNKNOWN else {"list_order": outcome.order.value}
    with reader.means.db.begin() as connection:
        books = lists.load_list(connection, reader.source.name, books.phone)
        if books.unfinished:
            values |= {"completeness": "unknown", "reason": "its history is still being read"}
        elif whole or reader.provider.date_filter is DateFilter.NONE:
            values |= completeness.compared(
                connection, reader, books, goal.window.start, outcome.total, outcome.first_total, outcome.doubts
            )
        if whole:
            values["read_whole_at"] = now
        if goal.size != reader.provider.page_size:
            values["page_size"] = goal.size
        lists.save_list(connection, books, **values)
        if goal.window.end >= now - OVERLAP and not outcome.kept_still:
            lists.swept(connection, reader.source, books.phone, now - goal.window.start, now)


def _name(books: ListState) -> str:
    return "calls" if not books.phone else f"calls of …{books.phone[-2:]}"
