"""One window of one list → its calls in the warehouse, batch by batch, and what of it is held for certain.

:func:`read_window` is the whole way from the provider to the warehouse: a walk says which page it wants, the page is
asked for, its records become a batch, and a batch one transaction.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from etl import completeness
from etl.ahead import Ahead
from etl.batch import Arrival, Batch
from etl.client.client import Answer
from etl.client.errors import RequestRefused, SourceError, SourceUnavailable
from etl.clock import Stopped
from etl.fetch import fetch
from etl.intervals import Holes, lacking
from etl.loader import Writing
from etl.reader import Reader
from etl.state import lists, sightings, sweeps
from etl.state.lists import ListState
from etl.stream import Ask, DateFilter, Page, Provider, Source, Window
from etl.walk import EndlessList, Goal, Order, Outcome, OutOfReach, Place, Seen, Sighting, Step, Walk, walk

BEGINNING = datetime(2015, 1, 1, tzinfo=UTC)  # before any of the four providers
OVERLAP = timedelta(minutes=15)
LATEST_ARRIVAL = timedelta(days=1)  # how late a call may show up, or a clock be wrong
SMALLER_PAGES = (100, 50, 10)
REFUSED = (400, 422)  # how providers refuse a size or a position
BATCH_ROWS, BATCH_BYTES, BATCH_SECONDS = 1000, 16 << 20, 10.0
UNSORTED_AT_LEAST = timedelta(days=1)


def books_of(reader: Reader, phone: str) -> ListState:
    return reader.desk.do(lists.load_list, reader.source.name, phone)


def beginning(source: Source) -> datetime:
    """Where a source's calls begin, as far as it is to be read."""
    return source.since or BEGINNING


def was_read_whole_within(reader: Reader, books: ListState, span: timedelta) -> bool:
    """Whether a list without a filter was read whole so lately that the schedule need not do so; by hand, always."""
    if reader.by_hand or books.read_whole_at is None or reader.provider.date_filter is not DateFilter.NONE:
        return False
    return timedelta(0) <= reader.means.clock.now() - books.read_whole_at < span


def read_window(
    reader: Reader, books: ListState, window: Window, *, joins: bool = False, place: Place | None = None
) -> None:
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
        settled=reader.desk.do(_settled, reader, books, window) if joins and not reader.swept_from else None,
        peek=was_read_whole_within(reader, books, UNSORTED_AT_LEAST),
        place=place,
    )
    goal, outcome = _walk_at_some_size(reader, books, goal)
    reader.desk.do(_note, reader, books, goal, outcome)
    took_pages = outcome.order is not Order.UNSORTED and (outcome.met or 0) > goal.size
    if first and reads_head and outcome.newest and (outcome.moved or took_pages):
        # the certificate's last look at the head: what arrived meanwhile lies above where the walk began
        head = Window(outcome.newest - OVERLAP, reader.means.clock.now())
        read_window(reader, books_of(reader, books.phone), head, joins=True)
    if reader.unshown:
        unshown, reader.unshown = reader.unshown, None
        raise unshown


def _settled(connection: Connection, reader: Reader, books: ListState, head: Window) -> int | None:
    """The total of a list's head if nothing in it is new or may change; ``None`` where nobody knows of one."""
    if reader.provider.date_filter is DateFilter.DAYS:
        return None  # its total is one of days, in a zone that nobody states
    held = lists.settled(connection, books, head.start.replace(microsecond=0))  # as it is asked for
    if held is None or reader.provider.date_filter is not DateFilter.NONE:
        return held
    return books.listed if books.listed == books.held else None  # its total is one of all calls


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

    in_force = goal.size

    def ask(step: Step) -> Answer[Page]:
        nonlocal in_force
        wanted = Ask(reader.source, step.window, step.position, goal.size, books.phone)
        answer = fetch(reader.client, reader.provider, wanted, in_force)
        in_force = answer.value.size or in_force
        return answer

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
    holes = Holes()
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
            _note_hole(reader, holes, answer.value, arrivals)
            reader.outside += _outside(reader.provider, goal.window, arrivals)
            completeness.note_others(reader, books.phone, arrivals)
            step = steps.send(_seen(answer.value, arrivals, batch, first_seq))
        except StopIteration as end:
            outcome = end.value
        except (SourceError, EndlessList, Stopped):
            if batch.pages:  # what was read stays
                _commit(reader, batch, books, goal, None if holes.spans else step.place, began_at)
            raise
        full = len(batch.arrivals) >= BATCH_ROWS or batch.size >= BATCH_BYTES
        if outcome is None and (full or clock.monotonic() - began >= BATCH_SECONDS):
            _commit(reader, batch, books, goal, None if holes.spans else step.place, began_at)
            reader.progress(_name(books), rows, answer.value.total)
            batch, began = Batch(reader.provider, reader.source), clock.monotonic()
    _finish(reader, batch, books, goal.window, outcome, holes, began_at)
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

    return Seen([sighting(each) for each in arrivals], page.total, page.size, page.is_last, int(bool(page.unshown)))


def _note_hole(reader: Reader, holes: Holes, page: Page, arrivals: Sequence[Arrival]) -> None:
    """Note what a page lacks: the walk goes on, what lies around it is not said to be held, and the run has failed."""
    holes.take([each.created_at for each in arrivals if each.created_at], has_hole=page.unshown is not None)
    if isinstance(page.unshown, SourceError):
        flaw, source = page.unshown, reader.source.name
        mend = "the others are loaded, and the next run asks for it again"
        reader.unshown = SourceUnavailable(source, f"one call of a page cannot be had: {flaw.what}", mend, flaw.status)


def _outside(provider: Provider, window: Window, arrivals: Sequence[Arrival]) -> int:
    """How many records of a filtered list lie outside the window asked for: a filter that was ignored shows here."""
    slack = {DateFilter.INSTANTS: timedelta(seconds=1), DateFilter.DAYS: timedelta(days=3)}.get(provider.date_filter)
    if slack is None:
        return 0
    low, high = window.start - slack, window.end + slack
    return sum(each.created_at is not None and not low <= each.created_at <= high for each in arrivals)


def _commit(
    reader: Reader, batch: Batch, books: ListState, goal: Goal, place: Place | None, began_at: datetime
) -> None:
    """One transaction: lease, rows, turns, raw payloads, quarantine, drift, counts, and the place to go on from.

    Without a place a walk that is cut off goes on from where it last was whole.
    """
    with reader.lease.transaction() as connection:
        writing = reader.load(connection, batch)
        if place is None:
            return
        lists.save_place(connection, books, goal.window, place, writing.now)
        if not goal.place and goal.window.end >= began_at - OVERLAP:  # whoever goes on from there reads the rest of it
            sweeps.swept(connection, reader.source, books.phone, began_at - goal.window.start, began_at)


def _finish(
    reader: Reader,
    batch: Batch,
    books: ListState,
    window: Window,
    outcome: Outcome,
    holes: Holes,
    began_at: datetime,
) -> None:
    """The last transaction of a walk: its last batch, what is held for certain now, and what is listed no more."""
    with reader.lease.transaction() as connection:
        writing = reader.load(connection, batch)
        lists.finish_walk(connection, books, window, _certain(books, window, outcome, holes, writing.now))
        if outcome.is_certified and books.watermark is not None:
            _mark_missing(connection, reader, writing, books, window, outcome, began_at)


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
    return window.start <= beginning(reader.source)


def _certain(books: ListState, window: Window, outcome: Outcome, holes: Holes, now: datetime) -> Sequence[Window]:
    """What is held for certain after a walk: up to its newest row, by the provider's clock and not by ours, less what
    lies around a call that could not be read; in a list without order that may be anywhere."""
    if outcome.kept_still or (holes.spans and outcome.order is Order.UNSORTED):
        return ()
    is_past = window.end <= now - LATEST_ARRIVAL or any(window.end <= held.end for held in books.coverage)
    end = window.end if is_past else min(outcome.newest or window.start, now)
    return lacking(Window(window.start, max(end, window.start)), holes.spans)


def _note(connection: Connection, reader: Reader, books: ListState, goal: Goal, outcome: Outcome) -> None:
    """Note what a walk found out about its list, and where its total speaks of all of it, how complete that is."""
    now = reader.means.clock.now()
    whole, unfiltered = outcome.ended and _is_whole(reader, goal.window), goal.date_filter is DateFilter.NONE
    values: dict[str, object] = {} if outcome.order is Order.UNKNOWN else {"list_order": outcome.order.value}
    books = lists.load_list(connection, reader.source.name, books.phone)
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
    lists.save_list(connection, books, **values)
    if goal.window.end >= now - OVERLAP and not outcome.kept_still:
        sweeps.swept(connection, reader.source, books.phone, now - goal.window.start, now)


def _name(books: ListState) -> str:
    return "calls" if not books.phone else f"calls of …{books.phone[-2:]}"
