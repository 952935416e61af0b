"""One stream and the days to verify → what was found on each day, and how complete the stream is."""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from etl.client.errors import SourceError
from etl.fields.person import since
from etl.model import Window
from etl.reconcile.compare import Comparison
from etl.reconcile.day_status import DAY, StreamFinding, between, midnight, of_list
from etl.reconcile.local import LocalCalls
from etl.reconcile.rank_search import BOTTOM, TotalMismatch
from etl.reconcile.remote import CannotVerify, PositionRefused, RemoteStream
from etl.state import daily_checks, streams
from etl.state.daily_checks import WORST_FIRST
from etl.state.streams import StreamState
from etl.sync.checkpoint import AHEAD, BEGINNING, OVERLAP, history_start
from etl.sync.completeness import RemoteCount, compare_counts
from etl.sync.run import SourceRun

MARGIN = timedelta(days=1)  # added on both sides of a filtered window: bounds may be inclusive or not


@dataclass(frozen=True, slots=True)
class VerifyRequest:
    """Which days to verify, in the source's time zone, ``end`` exclusive; ``heal`` loads the calls that are missing.

    With ``first`` each day is counted by itself; without it whole streams are counted.
    """

    first: date | None = None
    end: date | None = None
    heal: bool = False

    @property
    def is_everything(self) -> bool:
        """Whether everything that is stored is verified."""
        return self.first is None and self.end is None


class StreamCheck:
    """The verification of one stream."""

    def __init__(self, run: SourceRun, partition: str, asked: VerifyRequest) -> None:
        self.run, self.asked = run, asked
        with run.deps.db.connect() as connection:
            self.stream = streams.load_stream(connection, run.source.name, partition)
            known_gaps = [status.day for status in daily_checks.incomplete_days(connection, run.source.name)]
        self.local = LocalCalls(run, partition)
        now, zone, is_by_day = run.deps.clock.now(), run.source.timezone, asked.first is not None
        wanted = Window(
            midnight(zone, asked.first).astimezone(UTC) if asked.first else BOTTOM,
            midnight(zone, asked.end).astimezone(UTC) if asked.end else now,
        )
        watermark = self.stream.watermark
        self.top = min(watermark - OVERLAP, wanted.end) if watermark else None
        self.spans = _spans(self.stream, wanted, self.top)
        self.remote = RemoteStream(run, self.stream, self.local, _asked_of_list(run, wanted, now), heal=asked.heal)
        marks = between(self.spans, zone, by_day=is_by_day, edges=() if is_by_day else known_gaps)
        self.left = set[Hashable]()  # removed calls that the provider no longer lists either
        self.comparison = Comparison(self.remote, self.spans, marks, asked.is_everything, is_by_day)

    def finding(self) -> tuple[StreamFinding, SourceError | None]:
        """Compare the stream, if any of it is stored → what was found, and the provider's error if it failed."""
        finding, error = StreamFinding(self.stream.partition, *self._days()), None
        finding.spans = self.spans
        try:
            finding.segments = self.comparison.segments() if self.spans else ()
        except (CannotVerify, TotalMismatch) as why:
            finding.warning = str(why)
        except PositionRefused:
            finding.warning = "the provider refuses pages so deep in the list"
        except SourceError as failed:
            finding.has_failed, error = True, failed
        self._sort_out(finding)
        return finding, error

    def _sort_out(self, finding: StreamFinding) -> None:
        """Sort the listed calls that were not stored into missing and healed; those not covered yet are neither."""
        stored = self.local.stored(list(self.remote.not_stored)) | self.local.waiting.keys()
        seen = {
            key: at
            for key, at in self.remote.not_stored.items()
            if at is not None and any(span.start <= at < span.end for span in self.spans)
        }
        finding.missing_count = {key: at for key, at in seen.items() if key not in stored}
        finding.healed = {key: at for key, at in seen.items() if key in stored}
        if self.asked.first is None:  # a call may be missing from before the oldest that is stored
            days = [at.astimezone(self.run.source.timezone).date() for at in finding.missing_count.values() if at]
            finding.first = min([finding.first, *days])
        finding.waiting = list(self.local.waiting.values())
        gone = {key for segment in finding.segments for key in segment.gone}
        self.left = self.local.removed(gone) if gone else set()
        finding.segments = [
            segment._replace(gone={key: at for key, at in segment.gone.items() if key not in self.left})
            for segment in finding.segments
        ]
        finding.erased = [at for key, at in self.local.erased().items() if key not in self.left]
        finding.calls_since = since(self.run.source.retention.calls, self.run.deps.clock.now())
        finding.remote_oldest_at = self.stream.remote_oldest_at
        if self.asked.is_everything and self.spans and not finding.warning and not finding.has_failed:
            has_left = any(segment.retained for segment in finding.segments)
            finding.remote_oldest_at = self.remote.oldest_listed if has_left else None

    def stored_days(self) -> tuple[date, date]:
        """The day of the oldest stored call, and the last day of which a part is stored completely."""
        zone, oldest = self.run.source.timezone, self.local.oldest()
        last = (self.top or self.run.deps.clock.now()).astimezone(zone).date()
        return min(oldest.astimezone(zone).date(), last) if oldest else last, last

    def _days(self) -> tuple[date, date]:
        """The first and the last day that get a status."""
        first, last = self.stored_days()
        today = self.run.deps.clock.now().astimezone(self.run.source.timezone).date()
        first = self.asked.first or first
        last = min(self.asked.end - DAY, today) if self.asked.end else last
        return first, max(first, last)

    def columns(self, finding: StreamFinding, warning: str | None, now: datetime) -> dict[str, object]:
        """The columns of ``ops.streams``: verifying a few days can only make the status of the stream worse."""
        stream, start = replace(self.stream, remote_oldest_at=finding.remote_oldest_at), history_start(self.run.source)
        with self.run.deps.db.connect() as connection:
            known = compare_counts(connection, self.run, stream, start, RemoteCount(stream.remote_count))
        counts = {"local_count": known["local_count"], "surplus_count": self.remote.surplus}
        if finding.has_failed:
            return {} if self.stream.local_count is None else counts
        status, reason = of_list(self.run.source.timezone, finding)
        if warning and status != "incomplete":
            status, reason = "unknown", warning
        before = self.stream.completeness
        if not self.asked.is_everything and WORST_FIRST.index(status) >= WORST_FIRST.index(before):
            if before != "incomplete":
                return counts
            status, reason = "unknown", "a gap was found, and not on the days compared last: `etl verify` compares all"
        kept = "verified" if (status, before) == ("count_match", "verified") else status
        counts |= {"completeness": kept, "reason": reason, "checked_at": now}
        return counts | {"remote_oldest_at": finding.remote_oldest_at}


def _asked_of_list(run: SourceRun, wanted: Window, now: datetime) -> Window:
    """The window to request: the whole history, or the wanted days with a margin on both sides."""
    if wanted.start <= BEGINNING:
        return Window(history_start(run.source), now + AHEAD)
    return Window(max(BEGINNING, wanted.start - MARGIN), min(now + AHEAD, wanted.end + MARGIN))


def _spans(stream: StreamState, wanted: Window, top: datetime | None) -> list[Window]:
    """The parts of the wanted window that coverage contains, up to the last stored instant."""
    if top is None:
        return []
    span = Window(wanted.start, min(wanted.end, top))
    covered = [Window(BOTTOM if stored.start <= BEGINNING else stored.start, stored.end) for stored in stream.coverage]
    return [
        Window(start, end)
        for stored in covered
        if (start := max(stored.start, span.start)) < (end := min(stored.end, span.end))
    ]
