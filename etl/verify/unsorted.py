"""A list that has no order, or no reliable total → where it differs from what is held: by the counts of windows, then
call by call."""

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime, timedelta
from itertools import count, pairwise

from etl.stream import Window
from etl.verify.held import key_of
from etl.verify.pages import Listing, OutOfReach, Unprovable
from etl.verify.rank import BOTTOM, Stretch
from etl.walk import EndlessList, Goal, Outcome, Seen, Sighting, Step, Walk, walk
from etl.walk import OutOfReach as StepOutOfReach

QUIET = timedelta(seconds=2)  # on both sides of an edge: shown instants may be cut, bounds are in or out
PASSES = 3  # so often a list that moves is read before that is said instead
RESTLESS = "the list has no order and moves while it is read"
Edges = Callable[[datetime, datetime], datetime | None]


def by_windows(listing: Listing, marks: Sequence[datetime], edge: Edges) -> list[Stretch]:
    """Compare the counts of windows between some instants, halved where they differ, and then their calls."""
    out: list[Stretch] = []
    spans = list(pairwise(marks))[::-1]
    while spans:
        a, b = spans.pop()
        listed = listing.count(Window(a, b))
        if listed == listing.held.count(a, b):
            out.append(Stretch(a, b, by_id=False))
            continue
        middle = edge(a, b) if listed > listing.size else None
        if middle is None:
            out.append(whole_pass(listing, Window(a, b), a, b))
        else:
            spans += [(middle, b), (a, middle)]
    return out


def quiet_edge(listing: Listing) -> Edges:
    """Where a window may be cut: the quiet moment nearest to its middle call."""

    def edge(a: datetime, b: datetime) -> datetime | None:
        times = listing.held.times(a, b)
        quiet = [(n, older + (newer - older) / 2) for n, (older, newer) in enumerate(pairwise(times))
                 if newer - older > 2 * QUIET]  # fmt: skip
        return min(quiet, key=lambda each: abs(each[0] - len(times) / 2))[1] if quiet else None

    return edge


def whole_pass(listing: Listing, window: Window, a: datetime, b: datetime) -> Stretch:
    """Read a window to its end, and compare its calls with those that are held from ``a`` to before ``b``."""
    seen: dict[Hashable, datetime | None] = {}
    for _ in range(PASSES):  # until as many calls were met as the list has: one may have moved past the reader
        outcome = _walked(listing, window, seen)
        is_short = outcome.total is not None and len(seen) < outcome.total
        if not is_short:
            break
    doubts = [*outcome.doubts, *([RESTLESS] if is_short else [])]
    if doubts:
        return Stretch(a, b, by_id=False, doubt="; ".join(dict.fromkeys(doubts)))
    gone = {key: at for key, at in listing.held.between(a, b).items() if key not in seen}
    oldest = outcome.oldest if a == BOTTOM else None
    left = {key: at for key, at in gone.items() if oldest is None or at >= oldest}
    if oldest is not None:
        listing.oldest_listed = oldest
    return Stretch(a, b, by_id=True, gone=left, retained=len(gone) - len(left))


def _walked(listing: Listing, window: Window, seen: dict[Hashable, datetime | None]) -> Outcome:
    provider = listing.reader.provider
    goal = Goal(window, provider.paging, provider.date_filter, listing.size, order=listing.order)
    steps = walk(goal)
    try:
        return _drive(listing, steps, next(steps), seen)
    except EndlessList as endless:
        raise Unprovable(str(endless)) from None
    except StepOutOfReach:
        raise Unprovable("the provider refuses pages so deep in the list") from None


def _drive(listing: Listing, steps: Walk, step: Step, seen: dict[Hashable, datetime | None]) -> Outcome:
    for pages in count(1):
        try:
            page, arrivals = listing.take(step.window, step.position)
        except OutOfReach:
            step = steps.throw(StepOutOfReach())
            continue
        seen.update((key_of(each), each.created_at) for each in arrivals)
        rows = [Sighting(str(key_of(each)), each.created_at, False) for each in arrivals]
        if pages > PASSES * ((page.total or len(seen)) // max(len(rows), 1) + 10):
            raise Unprovable(RESTLESS)
        try:
            step = steps.send(Seen(rows, page.total, page.size, page.is_last))
        except StopIteration as end:
            outcome: Outcome = end.value
            return outcome
    raise AssertionError  # pragma: no cover - the count above has no end
