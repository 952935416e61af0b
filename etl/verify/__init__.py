"""A provider's own counts against the warehouse's → a verdict on each day, kept in the books; what is missing, loaded.

Read :func:`verify` first. A sorted list is proved by rank (:mod:`etl.verify.rank`), one without order by the counts of
windows or call by call (:mod:`etl.verify.unsorted`).
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from etl.client.errors import SourceError, SourcePaused, SourceUnavailable
from etl.logs import event
from etl.reader import Reader
from etl.state import lists
from etl.state import verdicts as books_of_verdicts
from etl.state.lists import ListState
from etl.state.verdicts import WORST_FIRST, Verdict
from etl.stream import DateFilter, Window
from etl.verify import rank, unsorted, zone
from etl.verify.days import DAY, RETAINED, Finding, between, midnight, of_list, verdicts
from etl.verify.held import HeldCalls
from etl.verify.pages import NO_TOTAL, Listing, NotSorted, OutOfReach, Unprovable
from etl.verify.rank import BOTTOM, Ladder, Moved, Stretch, TotalLies
from etl.walk import Order
from etl.windows import BEGINNING, OVERLAP

log = logging.getLogger("etl.verify")

__all__ = ["Asked", "verify"]

ATTEMPTS = 3  # so often a list that moved while it was compared is compared again
MARGIN = timedelta(days=1)  # what is asked of a windowed list beyond the days wanted: bounds may be in or out
FUTURE = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be proved: days of a source's time zone, the last one exclusive; ``heal`` loads what is missing.

    With a first day each day is counted by itself; without one, whole lists are.
    """

    first: date | None = None
    end: date | None = None
    heal: bool = False

    @property
    def is_everything(self) -> bool:
        """Whether all that is held is to be proved."""
        return self.first is None and self.end is None


def verify(reader: Reader, asked: Asked, found: list[Verdict] | None = None) -> None:
    """Compare every list of a source with what is held, and keep the verdicts; ``found`` takes them, oldest day first.

    What went wrong with one list is the run's error; the others are compared. Raises
    :class:`~etl.client.errors.SourceError` where it is the whole source, once what was found is kept.
    """
    findings: list[Finding] = []
    proofs: list[_Proof] = []
    failure: SourceError | None = None
    for phone in reader.source.phones if reader.provider.needs_phones else ("",):
        proof = _Proof(reader, phone, asked)
        finding, error = proof.finding()
        proofs.append(proof)
        findings.append(finding)
        if error is not None:
            reader.report.error = reader.report.error or str(error)
            event(log, "list not compared", level=logging.WARNING, source=reader.source.name, error=str(error))
            if isinstance(error, SourcePaused) or (isinstance(error, SourceUnavailable) and error.status is None):
                failure = error
                break
    doubt = None if failure else _doubt_of_zone(reader, proofs)
    kept = _keep(reader, proofs, findings, doubt)
    if found is not None:
        found += kept
    if failure is not None:
        raise failure


def _doubt_of_zone(reader: Reader, proofs: Sequence["_Proof"]) -> str | None:
    if reader.provider.date_filter is not DateFilter.DAYS or not proofs or proofs[0].top is None:
        return None
    try:
        return zone.doubt(proofs[0].listing, reader.source.timezone, proofs[0].top)
    except (SourceError, OutOfReach) as error:
        event(log, "time zone not measured", level=logging.WARNING, source=reader.source.name, error=str(error))
        return None


def _keep(reader: Reader, proofs: Sequence["_Proof"], findings: Sequence[Finding], doubt: str | None) -> list[Verdict]:
    """Write the verdicts on days and lists in one transaction; the verdicts as they stand in the books then."""
    source, now = reader.source, reader.means.clock.now()
    found = verdicts(source.name, source.timezone, findings, doubt)
    reader.take_turn()
    with reader.lease.transaction() as connection:
        # where nothing can be told now, a gap that was seen still stands, unless its calls can no longer be had
        gaps = {each.day for each in books_of_verdicts.gaps(connection, source.name)}
        new = [each for each in found if each.verdict != "unknown" or each.day not in gaps or each.reason == RETAINED]
        books_of_verdicts.save(connection, new, now, reader.run.run_id)
        for proof, finding in zip(proofs, findings, strict=True):
            if not finding.has_failed:
                lists.save_list(connection, proof.books, **proof.columns(finding, doubt, now))
        spans = [proof.days_held() for proof in proofs]
        if not any(each.has_failed for each in findings) and books_of_verdicts.are_verified(
            connection, source.name, min(first for first, _ in spans), max(last for _, last in spans)
        ):
            lists.raise_to_verified(connection, source.name)
        kept = books_of_verdicts.kept(connection, source.name, found[0].day, found[-1].day) if found else {}
    reader.lease.give_up()
    return [kept[each.day] for each in found]


class _Proof:
    """One list of a source, and what is to be proved of it."""

    def __init__(self, reader: Reader, phone: str, asked: Asked) -> None:
        self.reader, self.asked = reader, asked
        with reader.means.db.connect() as connection:
            self.books = lists.load_list(connection, reader.source.name, phone)
            self.known_gaps = [each.day for each in books_of_verdicts.gaps(connection, reader.source.name)]
        self.held = HeldCalls(reader, phone)
        now, zone = reader.means.clock.now(), reader.source.timezone
        self.wanted = Window(
            midnight(zone, asked.first).astimezone(UTC) if asked.first else BOTTOM,
            midnight(zone, asked.end).astimezone(UTC) if asked.end else now,
        )
        watermark = self.books.watermark
        self.top = min(watermark - OVERLAP, self.wanted.end) if watermark else None
        self.spans = _spans(self.books, self.wanted, self.top)
        self.listing = Listing(reader, self.books, self.held, self._window(now), heal=asked.heal)

    def _window(self, now: datetime) -> Window:
        """What to ask of a windowed list: all of it, or the days wanted and some more on both sides."""
        start = self.reader.source.since or BEGINNING
        if self.wanted.start <= BEGINNING:
            return Window(start, now)
        return Window(max(BEGINNING, self.wanted.start - MARGIN), min(now, self.wanted.end + MARGIN))

    def finding(self) -> tuple[Finding, SourceError | None]:
        """Look at the list, if anything of it is held; what was found, and what went wrong with the provider."""
        finding, error = Finding(self.books.phone, *self._days()), None
        finding.spans = self.spans
        try:
            finding.stretches = self._stretches() if self.spans else ()
        except (Unprovable, TotalLies) as why:
            finding.doubt = str(why)
        except OutOfReach:
            finding.doubt = "the provider refuses pages so deep in the list"
        except SourceError as failed:
            finding.has_failed, error = True, failed
        self._sort_out(finding)
        return finding, error

    def _sort_out(self, finding: Finding) -> None:
        """What of that which was seen and not held is missing: not what nobody has read yet, nor what waits."""
        held = self.held.holds(list(self.listing.lacking)) | self.held.waiting.keys()
        seen = {
            key: at
            for key, at in self.listing.lacking.items()
            if at is not None and any(span.start <= at < span.end for span in self.spans)
        }
        finding.missing = {key: at for key, at in seen.items() if key not in held}
        finding.healed = {key: at for key, at in seen.items() if key in held}
        finding.waiting = list(self.held.waiting.values())
        finding.listed_from = self.books.listed_from
        if self.asked.is_everything and self.spans and not finding.doubt and not finding.has_failed:
            has_left = any(each.retained for each in finding.stretches)
            finding.listed_from = self.listing.oldest_listed if has_left else None

    def days_held(self) -> tuple[date, date]:
        """The day of the oldest call that is held, and the last day that is held for certain in part."""
        zone, oldest = self.reader.source.timezone, self.held.oldest()
        last = (self.top or self.reader.means.clock.now()).astimezone(zone).date()
        return min(oldest.astimezone(zone).date(), last) if oldest else last, last

    def _days(self) -> tuple[date, date]:
        """The first and the last day to give a verdict on."""
        first, last = self.days_held()
        today = self.reader.means.clock.now().astimezone(self.reader.source.timezone).date()
        first = self.asked.first or first
        last = min(self.asked.end - DAY, today) if self.asked.end else last
        return first, max(first, last)

    def _stretches(self) -> list[Stretch]:
        listing, filters = self.listing, self.reader.provider.date_filter
        try:
            if listing.order is not Order.UNSORTED:
                return self._by_rank()
        except NotSorted:
            listing.order = Order.UNSORTED
        except OutOfReach:
            if filters is not DateFilter.INSTANTS:
                raise
        except Unprovable as why:
            if str(why) != NO_TOTAL or self.asked.first is None:
                raise
            return [self._call_by_call(span) for span in self.spans]
        return self._without_order()

    def _by_rank(self) -> list[Stretch]:
        marks = self._marks()
        for _ in range(ATTEMPTS):
            with suppress(Moved):
                return self._search(marks)
        raise Unprovable("the list moved each time that it was compared, or is in no order")

    def _search(self, marks: Sequence[Sequence[datetime]]) -> list[Stretch]:
        filters = self.reader.provider.date_filter
        ladder = Ladder(is_whole=filters is DateFilter.NONE or self.wanted.start <= BEGINNING)
        out: list[Stretch] = []
        for of_span in reversed(marks):
            steps = rank.search(ladder, self.held, of_span)
            try:
                wanted = next(steps)
                while True:
                    self.reader.progress("pages compared", len(ladder.rows), self.listing.total)
                    page = self.listing.at(wanted)
                    if not page.total and self.held.count(*self._whole()):
                        raise Unprovable("the provider lists nothing of these days at the moment")
                    wanted = steps.send(page)
            except StopIteration as end:
                out += end.value
        bottom = ladder.between(0, 1)
        self.listing.oldest_listed = bottom[0].at if bottom else None
        return out

    def _without_order(self) -> list[Stretch]:
        """By the counts of windows where there are windows, else by the whole count, and then call by call."""
        filters, start = self.reader.provider.date_filter, self.reader.source.since or BEGINNING
        if filters is DateFilter.INSTANTS:
            marks = [[max(x, start) for x in of_span] for of_span in self._marks()]
            edge = unsorted.quiet_edge(self.listing)
            return [each for of_span in marks for each in unsorted.by_windows(self.listing, of_span, edge)]
        if self.asked.is_everything and self.listing.count(self.listing.window) == self.held.count(BOTTOM, FUTURE):
            return [Stretch(span.start, span.end, by_id=False) for span in self.spans]
        return [self._call_by_call(span) for span in self.spans]

    def _call_by_call(self, span: Window) -> Stretch:
        window = self.listing.window if self.reader.provider.date_filter is DateFilter.NONE else span
        start = max(window.start, self.reader.source.since or BEGINNING)
        return unsorted.whole_pass(self.listing, Window(start, window.end), span.start, span.end)

    def _marks(self) -> list[list[datetime]]:
        is_by_day = self.asked.first is not None
        zone = self.reader.source.timezone
        return between(self.spans, zone, each_day=is_by_day, edges=() if is_by_day else self.known_gaps)

    def _whole(self) -> tuple[datetime, datetime]:
        return self.spans[0].start, self.spans[-1].end

    def columns(self, finding: Finding, doubt: str | None, now: datetime) -> dict[str, object]:
        """What to write of the list in ``ops.lists``: a look at some days can only make its verdict worse."""
        verdict, reason = of_list(self.reader.source.timezone, finding)
        if doubt and verdict != "gap":
            verdict, reason = "unknown", doubt
        before = self.books.completeness
        if not self.asked.is_everything and WORST_FIRST.index(verdict) >= WORST_FIRST.index(before):
            if before != "gap":
                return {}
            verdict, reason = "unknown", "a gap was found, and not on the days compared last: `etl verify` compares all"
        kept = "verified" if (verdict, before) == ("agrees", "verified") else verdict
        return {"completeness": kept, "reason": reason, "checked_at": now, "listed_from": finding.listed_from}


def _spans(books: ListState, wanted: Window, top: datetime | None) -> list[Window]:
    """What of the days wanted is held for certain; what is older than any call needs no proof."""
    if top is None:
        return []
    span = Window(wanted.start, min(wanted.end, top))
    held = [Window(BOTTOM if each.start <= BEGINNING else each.start, each.end) for each in books.coverage]
    return [
        Window(start, end) for each in held if (start := max(each.start, span.start)) < (end := min(each.end, span.end))
    ]
