"""What was found on the lists of a source → a status on each day of its time zone."""

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from etl.model import Window
from etl.reconcile.rank_search import BOTTOM, Segment
from etl.state.daily_checks import WORST_FIRST, DayStatus

DAY = timedelta(days=1)
RETAINED = "no longer listed: the provider's retention"
NOT_READ = "not read yet: the next sync reads it"


@dataclass(slots=True)
class StreamFinding:
    """What a look at one list came to, over the days from ``first`` to ``last``.

    ``spans`` are what is stored completely and was looked at; ``missing`` calls are listed and not stored, ``healed``
    ones were, and are stored now; ``waiting`` are the times of records in quarantine, ``erased`` those of erased
    calls; older calls than ``calls_since`` are removed. ``warning`` speaks against the whole list, ``remote_oldest_at``
    is the oldest call that is listed, where older ones are stored.
    """

    partition: str
    first: date
    last: date
    spans: Sequence[Window] = ()
    segments: Sequence[Segment] = ()
    missing_count: Mapping[Hashable, datetime | None] = field(default_factory=dict)
    healed: Mapping[Hashable, datetime | None] = field(default_factory=dict)
    waiting: Sequence[datetime | None] = ()
    erased: Sequence[datetime] = ()
    calls_since: datetime | None = None
    warning: str | None = None
    remote_oldest_at: datetime | None = None
    has_failed: bool = False


@dataclass(slots=True)
class _Day:
    """What is known of one day of one list."""

    status: str
    reasons: list[str]
    missing: frozenset[Hashable] = frozenset()
    is_expired: bool = False  # the provider's retention removed its calls


def midnight(zone: ZoneInfo, day: date) -> datetime:
    """When a day of a time zone begins."""
    return datetime.combine(day, time(), zone)


def day_statuses(
    source: str, zone: ZoneInfo, findings: Sequence[StreamFinding], warning: str | None = None
) -> list[DayStatus]:
    """The status on each day: the worst of the source's lists, ``warning`` speaking against all but gaps.

    Of a list that failed only the days with gaps are known.
    """
    out = []
    for day in _days(findings):
        streams = [(_day_of(zone, finding, day), finding.has_failed) for finding in findings]
        known = [stream for stream, has_failed in streams if not has_failed or stream.status == "incomplete"]
        if len(known) == len(streams) or any(stream.status == "incomplete" for stream in known):
            out.append(_worst(source, day, known, warning))
    return out


def _days(findings: Sequence[StreamFinding]) -> Iterator[date]:
    if findings:
        first, last = min(finding.first for finding in findings), max(finding.last for finding in findings)
        yield from (first + n * DAY for n in range((last - first).days + 1))


def _worst(source: str, day: date, streams: Sequence[_Day], warning: str | None) -> DayStatus:
    worst = min((stream.status for stream in streams), key=WORST_FIRST.index)
    deciding = [stream for stream in streams if stream.status == worst]
    missing = frozenset[Hashable]().union(*(stream.missing for stream in streams))
    reasons = [reason for stream in deciding for reason in stream.reasons]
    is_expired = not warning and not missing and all(stream.is_expired for stream in deciding)
    if warning and worst != "incomplete":
        worst, reasons = "unknown", [warning]
    if missing:
        reasons.insert(0, f"{len(missing)} listed {'call is' if len(missing) == 1 else 'calls are'} not stored")
    return DayStatus(source, day, worst, len(missing), "; ".join(dict.fromkeys(reasons)) or None, is_expired)


def _day_of(zone: ZoneInfo, finding: StreamFinding, day: date) -> _Day:
    """One day of one list: what is missing comes first, then what is not known, then how sure the rest is."""
    start, end = midnight(zone, day), midnight(zone, day + DAY)
    missing = frozenset(key for key, at in finding.missing_count.items() if at is not None and start <= at < end)
    if missing:
        return _Day("incomplete", [], missing)
    if finding.warning:
        return _Day("unknown", [finding.warning])
    if finding.remote_oldest_at and end <= finding.remote_oldest_at:
        return _Day("unknown", [RETAINED], is_expired=True)
    if not any(span.start < end and start < span.end for span in finding.spans):
        return _Day("unknown", [NOT_READ])
    near = [segment for segment in finding.segments if segment.start < end and start < segment.end]
    warnings = [segment.warning for segment in near if segment.warning]
    start_listed = max(start, finding.remote_oldest_at or start)
    gone = sum(start_listed <= at < end for segment in near for at in segment.gone.values())
    if gone:
        warnings.append(
            f"{gone} stored {'call is' if gone == 1 else 'calls are'} no longer listed: gone at the provider"
        )
    if warnings:
        return _Day("unknown", warnings)
    is_sure = all(segment.by_id or (start <= segment.start and segment.end <= end) for segment in near)
    return _Day("verified" if near and is_sure else "count_match", _remarks(finding, start, end))


def _remarks(finding: StreamFinding, start: datetime, end: datetime) -> list[str]:
    counts = Counter[str]()
    counts["wait in quarantine"] = sum(at is None or start <= at < end for at in finding.waiting)
    counts["erased here"] = sum(start <= at < end for at in finding.erased)
    counts["were missing and are stored now"] = sum(
        at is not None and start <= at < end for at in finding.healed.values()
    )
    remarks = [f"{count} {remark}" for remark, count in counts.items() if count]
    if finding.remote_oldest_at and start < finding.remote_oldest_at:
        remarks.append(f"older calls are {RETAINED}")
    if finding.calls_since and start < finding.calls_since:
        remarks.append("older calls are removed here: keep_calls")
    return remarks


def of_list(zone: ZoneInfo, finding: StreamFinding) -> tuple[str, str | None]:
    """The status on a whole list, the worst of its days that are still listed, and the reason."""
    days = [(day, _day_of(zone, finding, day)) for day in _days([finding])]
    days = [(day, known) for day, known in days if not known.is_expired]
    if not days:
        return "unknown", NOT_READ
    worst = min((known.status for _, known in days), key=WORST_FIRST.index)
    deciding = [(day, known) for day, known in days if known.status == worst]
    missing = frozenset[Hashable]().union(*(known.missing for _, known in deciding))
    if missing:
        return (
            worst,
            f"{len(missing)} missing, on {_first_days([day for day, _ in deciding])}: `etl verify --heal` reads them",
        )
    if worst == "unknown":
        reasons = list(dict.fromkeys(reason for _, known in deciding for reason in known.reasons))
    else:  # counted over the whole list: the same remark of two days would be said once
        reasons = _remarks(finding, midnight(zone, days[0][0]), midnight(zone, days[-1][0] + DAY))
    return worst, "; ".join(reasons) or None


def _first_days(days: Sequence[date]) -> str:
    more = f" and {len(days) - 3} more days" if len(days) > 3 else ""
    return ", ".join(day.isoformat() for day in days[:3]) + more


def between(spans: Sequence[Window], zone: ZoneInfo, *, by_day: bool, edges: Sequence[date]) -> list[list[datetime]]:
    """The instants to measure in each span: its ends, and the beginnings of its days, or of some and the day after."""
    wanted = {midnight(zone, day + n * DAY) for day in edges for n in (0, 1)}
    out = []
    for span in spans:
        if by_day and span.start > BOTTOM:
            first, last = (end.astimezone(zone).date() for end in (span.start, span.end))
            wanted |= {midnight(zone, first + n * DAY) for n in range((last - first).days + 1)}
        out.append([span.start, *sorted(x for x in wanted if span.start < x < span.end), span.end])
    return out
