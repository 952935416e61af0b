"""One list of a source and the days that are asked for → what was found on them, and what the books say of the list."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from etl.client.errors import SourceError
from etl.model import Window
from etl.reconcile.compare import Comparison
from etl.reconcile.day_status import DAY, Finding, between, midnight, of_list
from etl.reconcile.local import HeldCalls
from etl.reconcile.rank_search import BOTTOM, TotalLies
from etl.reconcile.remote import Listing, OutOfReach, Unprovable
from etl.state import daily_checks as books_of_verdicts
from etl.state import streams
from etl.state.daily_checks import WORST_FIRST
from etl.state.streams import ListState
from etl.sync.checkpoint import BEGINNING, OVERLAP, beginning
from etl.sync.run import Reader

MARGIN = timedelta(days=1)  # what is asked of a windowed list beyond the days wanted: bounds may be in or out


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


class Proof:
    """One list of a source, and what is to be proved of it."""

    def __init__(self, reader: Reader, phone: str, asked: Asked) -> None:
        self.reader, self.asked = reader, asked
        with reader.means.db.connect() as connection:
            self.books = streams.load_list(connection, reader.source.name, phone)
            known_gaps = [each.day for each in books_of_verdicts.gaps(connection, reader.source.name)]
        self.held = HeldCalls(reader, phone)
        now, zone, is_by_day = reader.means.clock.now(), reader.source.timezone, asked.first is not None
        wanted = Window(
            midnight(zone, asked.first).astimezone(UTC) if asked.first else BOTTOM,
            midnight(zone, asked.end).astimezone(UTC) if asked.end else now,
        )
        watermark = self.books.watermark
        self.top = min(watermark - OVERLAP, wanted.end) if watermark else None
        self.spans = _spans(self.books, wanted, self.top)
        self.listing = Listing(reader, self.books, self.held, _asked_of_list(reader, wanted, now), heal=asked.heal)
        marks = between(self.spans, zone, each_day=is_by_day, edges=() if is_by_day else known_gaps)
        self.comparison = Comparison(self.listing, self.spans, marks, asked.is_everything, is_by_day)

    def finding(self) -> tuple[Finding, SourceError | None]:
        """Look at the list, if anything of it is held; what was found, and what went wrong with the provider."""
        finding, error = Finding(self.books.phone, *self._days()), None
        finding.spans = self.spans
        try:
            finding.stretches = self.comparison.stretches() if self.spans else ()
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


def _asked_of_list(reader: Reader, wanted: Window, now: datetime) -> Window:
    """What to ask of a windowed list: all of it, or the days wanted and some more on both sides."""
    if wanted.start <= BEGINNING:
        return Window(beginning(reader.source), now)
    return Window(max(BEGINNING, wanted.start - MARGIN), min(now, wanted.end + MARGIN))


def _spans(books: ListState, wanted: Window, top: datetime | None) -> list[Window]:
    """What of the days wanted is held for certain; what is older than any call needs no proof."""
    if top is None:
        return []
    span = Window(wanted.start, min(wanted.end, top))
    held = [Window(BOTTOM if each.start <= BEGINNING else each.start, each.end) for each in books.coverage]
    return [
        Window(start, end) for each in held if (start := max(each.start, span.start)) < (end := min(each.end, span.end))
    ]
