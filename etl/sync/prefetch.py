"""The page that a walk wants now → its answer, with the pages after it asked for meanwhile, and judged in order."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from etl.client.api_client import Response
from etl.model import DateFilter, Page, Window
from etl.paging import NextPage, ScanGoal, SortOrder, positions

Fetch = Callable[[NextPage], Response[Page]]
Wanted = tuple[Window, int]


class Prefetcher:
    """Up to ``most`` pages of one walk in flight beside the one that it reads.

    Only where the way is known: a reading up to the end of a list or window that says how long it is.
    The walk judges the pages in its own order, so that its rule for a list that became shorter holds for each two that
    follow on each other, whichever was answered first. Where it turns back, a page that was asked for before is taken
    only if the list is as long as it was.
    """

    def __init__(self, fetch: Fetch, goal: ScanGoal, most: int) -> None:
        self._fetch, self._goal = fetch, goal
        ends_by_its_total = goal.to_end or goal.date_filter is not DateFilter.NONE
        self._most = most if ends_by_its_total and not goal.stop_at_known_row else 0
        self._threads = ThreadPoolExecutor(most) if self._most else None
        self._asked: dict[Wanted, Future[Response[Page]]] = {}
        self._before_a_turn: set[Wanted] = set()
        self._expected: Wanted | None = None
        self._last: Page | None = None

    def __enter__(self) -> "Prefetcher":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._threads:
            self._threads.shutdown(cancel_futures=True)

    def fetch(self, step: NextPage) -> Response[Page]:
        """The page of this step, with the observation number of its request; raises what the request raises."""
        here = (step.window, step.position)
        if self._expected != here:
            self._before_a_turn |= self._asked.keys()
        is_old = here in self._before_a_turn
        asked = self._asked.pop(here, None)
        self._ask_ahead(step)
        answer = asked.result() if asked else self._fetch(step)
        if is_old and (self._last is None or answer.value.total != self._last.total):
            answer = self._fetch(step)
        self._last = answer.value
        return answer

    def _ask_ahead(self, step: NextPage) -> None:
        """Ask for what follows if the walk goes on as it went; what it has passed by is of no use any more."""
        ahead = [(step.window, position) for position in self._following(step)]
        self._expected = ahead[0] if ahead else None
        self._asked = {place: self._asked[place] for place in ahead if place in self._asked}
        self._before_a_turn &= self._asked.keys()
        for place in ahead[: self._most]:
            if self._threads and place not in self._asked:
                following = NextPage(step.window, place[1], step.resume_point)
                self._asked[place] = self._threads.submit(self._fetch, following)

    def _following(self, step: NextPage) -> list[int]:
        """The next positions of a walk, as far as its list goes by its own word."""
        found: list[int] = []
        page, paging, position = self._last, self._goal.paging, step.position
        if page is None or page.total is None or not page.records:
            return found
        count = page.count
        for _ in range(self._most + 2):  # a turn goes back two pages at most
            if step.resume_point.order is SortOrder.ASC:
                position = positions.before(paging, position, count)
                is_there = position < (found[-1] if found else step.position)
            else:
                position = positions.after(paging, position, count)
                is_there = positions.row(paging, position, count) < page.total
            if not is_there:
                break
            found.append(position)
        return found
