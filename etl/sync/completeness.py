"""What a provider says that it lists, against what is held → how complete a list is, and why not better."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from etl.loader.batch import Arrival
from etl.model import Ask, DateFilter, Provider, Reading, Window
from etl.paging import positions
from etl.state import quarantine, streams
from etl.state.streams import ListState
from etl.sync.run import Reader

OTHERS = "the provider lists calls of other numbers too: its count is not of this telephone number"
LISTED_AGAIN = "calls are listed again that had been forgotten, or some are not held: `etl verify` tells which"


def ask(reader: Reader, books: ListState, whole: Window) -> None:
    """Where a windowed list's last verdict was not the best, ask for its whole total: one request for one record."""
    provider = reader.provider
    if provider.date_filter is DateFilter.NONE or books.completeness in ("agrees", "verified") or books.unfinished:
        return
    if books.listed is None and not reader.swept_from:
        return  # it gave no total last time: once per sweep is often enough to ask again
    reader.take_turn()
    asked = Ask(reader.source, whole, positions.first(provider.paging), 1, books.phone)
    page = reader.client.get(provider.ask(asked), partial(provider.read, asked)).value
    reader.lease.give_up()
    with reader.means.db.begin() as connection:
        streams.save_list(connection, books, **compared(connection, reader, books, whole.start, page.total))


def compared(
    connection: Connection,
    reader: Reader,
    books: ListState,
    start: datetime,
    total: int | None,
    first_total: int | None = None,
    doubts: Sequence[str] = (),
) -> dict[str, object]:
    """The columns of ``ops.lists`` on completeness, by a total that counts a list's calls from ``start`` on."""
    waiting = quarantine.waiting(connection, reader.source.name)
    if books.phone in reader.filter_ignored:
        doubts, total = [OTHERS, *doubts], None

    def judgement(since: datetime, listed_from: datetime | None) -> dict[str, object]:
        held = streams.held(connection, books, max(since, listed_from) if listed_from else since)
        verdict, reason = judged(total, held, waiting, first_total, doubts)
        return {"held": held, "completeness": verdict, "reason": reason, "listed_from": listed_from}

    since = _counted_from(reader.provider, start)
    found = judgement(since, books.listed_from)
    if found["completeness"] == "gap" and books.listed_from:
        found = _with_what_was_forgotten(books, found, judgement(since, None))
    if (found["completeness"], books.completeness) == ("agrees", "verified"):
        found["completeness"] = "verified"  # day by day, and nothing has come to speak against it
    return {**found, "listed": total, "checked_at": reader.means.clock.now()}


def _with_what_was_forgotten(
    books: ListState, of_listed: dict[str, object], of_all: dict[str, object]
) -> dict[str, object]:
    """More is listed than is held of what was listed last: it is a gap, unless it may be what had been forgotten."""
    if of_all["completeness"] == "agrees":
        return of_all
    if of_all["completeness"] == "unknown" and books.completeness != "gap":
        return {**of_listed, "completeness": "unknown", "reason": LISTED_AGAIN}
    return of_listed


def note_others(reader: Reader, phone: str, arrivals: Sequence[Arrival]) -> None:
    """Note how many records of the list of one telephone number are of others: its total counts other calls then."""
    if phone and (others := sum(is_of_others(reader, phone, each) for each in arrivals)):
        reader.outside += others
        reader.filter_ignored.add(phone)


def is_of_others(reader: Reader, phone: str, each: Arrival) -> bool:
    """Whether a record of the list of one telephone number shows only other numbers: the filter was ignored."""
    if not phone or each.reading is None:
        return False
    sides = [reader.provider.columns[name] for name in ("from_number", "to_number")]
    if phone in [each.reading.record.get(path) for side in sides for path in side.paths]:
        return False  # as it is written: most are, and need not be read as numbers
    reading = Reading(reader.source, each.reading.record)
    numbers = {side.read(reading) for side in sides} - {None}
    return bool(numbers) and phone not in numbers


def _counted_from(provider: Provider, start: datetime) -> datetime:
    """From when on a total counts calls: days begin in a zone that nobody states."""
    if provider.date_filter is DateFilter.NONE:
        return datetime.min.replace(tzinfo=UTC)
    return start - (timedelta(days=2) if provider.date_filter is DateFilter.DAYS else timedelta(0))


def judged(
    total: int | None, held: int, waiting: int, first_total: int | None, doubts: Sequence[str]
) -> tuple[str, str | None]:
    """The verdict on a whole list, and the reason where it is not the best that a count can give."""
    if total is None:
        return "unknown", "; ".join(doubts) or "the provider gives no total"
    if first_total is not None and first_total <= held + waiting < total:
        return "unknown", f"the list grew by {total - held} while it was read: the next run reads what came"
    if held + waiting < total:
        return "gap", f"the provider lists {total}, {held} are held: {total - held} are missing"
    if held > total:
        return "unknown", f"the provider lists {total}, {held} are held: {held - total} are gone there, or hidden"
    if doubts:
        return "unknown", "; ".join(doubts)
    return "agrees", f"{total - held} of {total} wait in quarantine" if held < total else None
