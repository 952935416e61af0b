"""An unsorted list compared with the warehouse by the counts of windows, then by id."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count, pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from etl.model import Window
from etl.paging import NextPage, PaginationLoop, Scan, ScanGoal, ScanResult
from etl.paging import OffsetLimitReached as StepOutOfReach
from etl.paging.scan import scan
from etl.reconcile.day_status import DAY, midnight
from etl.reconcile.local import key_of
from etl.reconcile.rank_search import INSTANT, Segment
from etl.reconcile.remote import LISTS_NOTHING, CannotVerify, PositionRefused, RemoteStream
from etl.reconcile.timezone_probe import exact_days
from etl.sync.completeness import Reason

QUIET = timedelta(seconds=2)  # no call this close to an edge: times may be rounded, bounds inclusive or not
PASSES = 3  # how often a list that keeps changing is read before the result is `unknown`
RESTLESS = "the list has no order and changes while it is read"


class Windows(NamedTuple):
    """Which windows a provider can filter by.

    ``around``: the smallest such window that contains a span. ``asked``: that window as the request states it.
    ``edge``: where to split a span, near its middle call; ``None`` where it cannot be split.
    """

    around: Callable[[Window], Window]
    asked: Callable[[Window], Window]
    edge: Callable[[Window], datetime | None]


def instants(remote: RemoteStream) -> Windows:
    """Windows of instants, split where no stored call is near."""

    def edge(span: Window) -> datetime | None:
        times = remote.local.times(span.start, span.end)
        quiet = [(n, older + (newer - older) / 2) for n, (older, newer) in enumerate(pairwise(times))
                 if newer - older > 2 * QUIET]  # fmt: skip
        return min(quiet, key=lambda gap: abs(gap[0] - len(times) / 2))[1] if quiet else None

    return Windows(lambda span: span, lambda span: span, edge)


def days(remote: RemoteStream, zone: ZoneInfo) -> Windows:
    """Windows of whole days of a time zone, split at midnight."""

    def around(span: Window) -> Window:
        last = (span.end.astimezone(zone) - INSTANT).date()
        return Window(midnight(zone, span.start.astimezone(zone).date()), midnight(zone, last + DAY))

    def asked(span: Window) -> Window:
        whole = around(span)
        return exact_days(zone, whole.start.date(), whole.end.date() - DAY)

    def edge(span: Window) -> datetime | None:
        times = remote.local.times(span.start, span.end)
        middle = times[len(times) // 2] if times else span.start + (span.end - span.start) / 2
        day = middle.astimezone(zone).date()
        inside = [x for x in (midnight(zone, day), midnight(zone, day + DAY)) if span.start < x < span.end]
        return min(inside, key=lambda x: abs(x - middle), default=None)

    return Windows(around, asked, edge)


def by_windows(
    remote: RemoteStream, marks: Sequence[Sequence[datetime]], windows: Windows, *, is_whole: bool
) -> list[Segment]:
    """Compare the counts between consecutive instants; split a window whose counts differ, down to a page, and read it.

    ``is_whole``: the list has nothing before the first instant, so that stored calls older than every listed call were
    removed by the provider's retention. Raises :class:`~etl.reconcile.remote.CannotVerify` where nothing is listed.
    """
    out: list[Segment] = []
    spans = [Window(a, b) for of_span in marks for a, b in pairwise(of_span) if a < b][::-1]
    is_bottom = is_whole
    while spans:
        span = spans.pop()
        whole = windows.around(span)
        listed = remote.count(windows.asked(span))
        is_equal = listed == remote.local.count(whole.start, whole.end)
        middle = windows.edge(span) if listed > remote.size and not is_equal else None
        if middle is not None:
            spans += [Window(middle, span.end), Window(span.start, middle)]
            continue
        if is_equal:
            out.append(Segment(span.start, span.end, by_id=False))
        elif is_bottom and not listed:
            out.append(
                Segment(span.start, span.end, by_id=True, retained=len(remote.local.between(span.start, span.end)))
            )
        else:
            out.append(whole_pass(remote, whole, span, windows.asked, is_bottom=is_bottom))
        if is_bottom and listed:
            is_bottom = False
            remote.oldest_listed = remote.oldest_listed or min(remote.local.times(span.start, span.end), default=None)
    if is_bottom and any(segment.retained for segment in out):
        raise CannotVerify(LISTS_NOTHING)
    return out


def whole_pass(
    remote: RemoteStream,
    window: Window,
    span: Window,
    asked: Callable[[Window], Window] = lambda window: window,
    *,
    is_bottom: bool,
) -> Segment:
    """Scan a window to its end, and compare its calls by id with those stored in a span.

    ``asked``: the window as the request states it. ``is_bottom``: nothing is listed before this window.
    """
    seen: dict[Hashable, datetime | None] = {}
    for _ in range(PASSES):  # until as many calls were read as the total says: one may have been skipped
        met, outcome = len(seen), _scan_to_end(remote, window, asked, seen)
        surplus = max(0, (outcome.total or 0) - len(seen))
        is_short = surplus > (remote.surplus or 0) and met < len(seen)
        if not is_short:  # or two passes read the same calls: the total counts more than the list has
            break
    if not is_short and window.start <= remote.window.start and outcome.total is not None:
        remote.surplus = surplus
        if surplus and outcome.warnings:
            said = Reason.COUNTS_MORE.format(total=outcome.total, stored=len(seen), difference=surplus)
            outcome = replace(outcome, warnings=(said,))
    warnings = [*outcome.warnings, *([RESTLESS] if is_short else [])]
    if warnings:
        return Segment(span.start, span.end, by_id=False, warning="; ".join(dict.fromkeys(warnings)))
    gone = {key: at for key, at in remote.local.between(span.start, span.end).items() if key not in seen}
    oldest = outcome.oldest if is_bottom else None
    left = {key: at for key, at in gone.items() if oldest is None or at >= oldest}
    if oldest is not None:
        remote.oldest_listed = oldest
    return Segment(span.start, span.end, by_id=True, gone=left, retained=len(gone) - len(left))


def _scan_to_end(
    remote: RemoteStream, window: Window, asked: Callable[[Window], Window], seen: dict[Hashable, datetime | None]
) -> ScanResult:
    provider = remote.run.provider
    goal = ScanGoal(window, provider.paging, provider.date_filter, remote.size, order=remote.order)
    steps = scan(goal)
    try:
        return _drive(remote, steps, next(steps), asked, seen)
    except PaginationLoop as endless:
        raise CannotVerify(str(endless)) from None
    except StepOutOfReach:
        raise CannotVerify("the provider refuses pages so deep in the list") from None


def _drive(
    remote: RemoteStream,
    steps: Scan,
    step: NextPage,
    asked: Callable[[Window], Window],
    seen: dict[Hashable, datetime | None],
) -> ScanResult:
    for pages in count(1):
        try:
            view, arrivals = remote.take(asked(step.window), step.position)
        except PositionRefused:
            step = steps.throw(StepOutOfReach())
            continue
        seen.update((key_of(record), record.created_at) for record in arrivals)
        if pages > PASSES * ((view.total or len(seen)) // max(len(arrivals), 1) + 10):
            raise CannotVerify(RESTLESS)
        try:
            step = steps.send(view)
        except StopIteration as end:
            outcome: ScanResult = end.value
            return outcome
    raise AssertionError  # pragma: no cover - the count above has no end
