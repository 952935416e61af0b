"""One window of one list → its calls in the warehouse, batch by batch, and what of it is held for certain.

:func:`read_window` is the whole way from the provider to the warehouse: a walk says which page it wants, the page is
asked for, its records become a batch, and a batch one transaction.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection

from etl.client.api_client import Answer
from etl.client.errors import RequestRefused, SourceError, SourceUnavailable
from etl.loader.batch import Arrival, Batch
from etl.model import Ask, DateFilter, Page, Provider, Window
from etl.paging import EndlessList, Goal, Order, Outcome, OutOfReach, Place, Seen, Sighting, Step, Walk, walk
from etl.runtime.clock import Stopped
from etl.state import streams
from etl.state.streams import ListState
from etl.sync import completeness
from etl.sync.checkpoint import BEGINNING, OVERLAP, Claims
from etl.sync.fetch import fetch
from etl.sync.prefetch import Ahead
from etl.sync.run import Reader

SMALLER_PAGES = (100, 50, 10)
REFUSED = (400, 422)  # how providers refuse a size or a position
BATCH_ROWS, BATCH_BYTES, BATCH_SECONDS = 1000, 16 << 20, 10.0
UNSORTED_AT_LEAST = timedelta(days=1)


def books_of(reader: Reader, phone: str) -> ListState:
    return reader.desk.do(streams.load_list, reader.source.name, phone)


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
    claims, outcome = _walk_at_some_size(reader, books, goal)
    reader.desk.do(claims.note, outcome)
    if isinstance(flaw := claims.holes.flaw, SourceError):
        mend = "the others are loaded, and the next run asks for it again"
        raise SourceUnavailable(flaw.source, f"one call of a page cannot be had: {flaw.what}", mend, flaw.status)
    took_pages = outcome.order is not Order.UNSORTED and (outcome.met or 0) > claims.goal.size
    if first and reads_head and outcome.newest and (outcome.moved or took_pages):
        # the certificate's last look at the head: what arrived meanwhile lies above where the walk began
        head = Window(outcome.newest - OVERLAP, reader.means.clock.now())
        read_window(reader, books_of(reader, books.phone), head, joins=True)


def _settled(connection: Connection, reader: Reader, books: ListState, head: Window) -> int | None:
    """The total of a list's head if nothing in it is new or may change; ``None`` where nobody knows of one."""
    unfiltered = reader.provider.date_filter is DateFilter.NONE  # its total is one of all calls
    if reader.provider.date_filter is DateFilter.DAYS or (unfiltered and books.listed != books.held):
        return None  # of days, in a zone that nobody states; or not all that is listed is held
    held = streams.settled(connection, books, head.start.replace(microsecond=0))  # as it is asked for
    return books.listed if unfiltered and held is not None else held


def _walk_at_some_size(reader: Reader, books: ListState, goal: Goal) -> tuple[Claims, Outcome]:
    """Walk with the pages that the provider accepts: where the largest is refused at once, with smaller ones."""
    for size in (size for size in SMALLER_PAGES if size < goal.size):
        pages = reader.report.counts.pages
        try:
            return _walk(reader, books, goal)
        except RequestRefused as refused:
            if refused.status not in REFUSED or reader.report.counts.pages > pages or goal.place:
                raise
            goal = replace(goal, size=size)
    return _walk(reader, books, goal)


def _walk(reader: Reader, books: ListState, goal: Goal) -> tuple[Claims, Outcome]:
    """From the provider to the warehouse, with a few pages in flight where the way ahead is known."""
    claims, in_force = Claims(reader, books, goal, reader.means.clock.now()), goal.size

    def ask(step: Step) -> Answer[Page]:
        nonlocal in_force
        wanted = Ask(reader.source, step.window, step.position, goal.size, books.phone)
        answer = fetch(reader.client, reader.provider, wanted, in_force)
        in_force = answer.value.size or in_force
        return answer

    # Where a list that becomes shorter is gone on with from an instant, what was asked ahead is of no use.
    most = min(reader.means.ahead, 1) if goal.date_filter is DateFilter.INSTANTS else reader.means.ahead
    with Ahead(ask, goal, most) as pages:
        return claims, _load(claims, pages)


def _load(claims: Claims, pages: Ahead) -> Outcome:
    """Ask for what the walk wants, and commit every thousand rows or ten seconds."""
    reader, books, goal, clock = claims.reader, claims.books, claims.goal, claims.reader.means.clock
    steps = walk(goal)
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
            claims.holes.take([each.created_at for each in arrivals if each.created_at], answer.value.unshown)
            reader.outside += _outside(reader.provider, goal.window, arrivals)
            completeness.note_others(reader, books.phone, arrivals)
            step = steps.send(_seen(answer.value, arrivals, batch, first_seq))
        except StopIteration as end:
            outcome = end.value
        except (SourceError, EndlessList, Stopped):
            if batch.pages:  # what was read stays
                _commit(claims, batch, step.place)
            raise
        full = len(batch.arrivals) >= BATCH_ROWS or batch.size >= BATCH_BYTES
        if outcome is None and (full or clock.monotonic() - began >= BATCH_SECONDS):
            _commit(claims, batch, step.place)
            reader.progress(_name(books), rows, answer.value.total)
            batch, began = Batch(reader.provider, reader.source), clock.monotonic()
    with reader.lease.transaction() as connection:
        claims.finish(connection, reader.load(connection, batch), outcome)
    reader.progress(_name(books), rows, rows)
    return outcome


def _commit(claims: Claims, batch: Batch, place: Place) -> None:
    """One transaction: lease, rows, turns, raw payloads, quarantine, drift, counts, and the place to go on from."""
    with claims.reader.lease.transaction() as connection:
        writing = claims.reader.load(connection, batch)
        claims.save_place(connection, place, writing.now)


def _nearer(steps: Walk, refused: RequestRefused) -> Step:
    """The step to take instead of one that was refused: some providers cap how deep a list may be paged."""
    if refused.status not in REFUSED:
        raise refused
    try:
        return steps.throw(OutOfReach())
    except OutOfReach:
        raise refused from None


def _seen(page: Page, arrivals: Sequence[Arrival], batch: Batch, first_seq: int) -> Seen:
    def was_held(each: Arrival) -> bool:
        held = batch.held_of(each)
        return held is not None and held.seq < first_seq

    rows = [Sighting(a.call_id or a.record.digest.hex(), a.created_at, was_held(a)) for a in arrivals]
    return Seen(rows, page.total, page.size, page.is_last, int(bool(page.unshown)))


def _outside(provider: Provider, window: Window, arrivals: Sequence[Arrival]) -> int:
    """How many records of a filtered list lie outside the window asked for: a filter that was ignored shows here."""
    slack = {DateFilter.INSTANTS: timedelta(seconds=1), DateFilter.DAYS: timedelta(days=3)}.get(provider.date_filter)
    if slack is None:
        return 0
    low, high = window.start - slack, window.end + slack
    return sum(each.created_at is not None and not low <= each.created_at <= high for each in arrivals)


def _name(books: ListState) -> str:
    return "calls" if not books.phone else f"calls of …{books.phone[-2:]}"
