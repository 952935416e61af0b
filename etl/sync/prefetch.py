"""The page that a scan wants → its answer, with the page after it requested while this one is loaded."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from types import TracebackType

from etl.client.api_client import Response
from etl.model import DateFilter, Page, Window
from etl.paging import NextPage, ScanGoal, SortOrder, positions

Fetch = Callable[[NextPage], Response[Page]]


class Prefetcher:
    """Requests the next page of a scan as soon as the page before it has been received, and never earlier.

    The scan's rule needs its pages in the order in which the server answered them. Of two requests that are under way
    at the same time nobody knows which was answered first, and neither the rows nor the totals tell: an arrival and a
    deletion between the two answers leave pages that look like those of a list that stood still, with a row on neither.
    So no two pages that the scan reads are in flight together, and an answer that it did not ask for next is dropped.
    """

    def __init__(self, fetch: Fetch, goal: ScanGoal, executor: Executor | None) -> None:
        self._fetch, self._goal = fetch, goal
        ends_by_its_total = goal.to_end or goal.date_filter is not DateFilter.NONE
        may_stop_early = goal.stop_at_known_row or goal.skip_if_total is not None
        self._executor = executor if ends_by_its_total and not may_stop_early else None
        self._ahead: tuple[Window, int, Future[Response[Page]]] | None = None
        self._total: int | None = None

    def __enter__(self) -> "Prefetcher":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._executor:
            self._executor.shutdown(cancel_futures=True)

    def fetch(self, step: NextPage) -> Response[Page]:
        """The page of this step, with the sequence number of its request; raises what the request raises."""
        ahead, self._ahead = self._ahead, None
        if ahead and ahead[:2] == (step.window, step.position):
            answer = ahead[2].result()
        else:
            if ahead:
                ahead[2].cancel()
            answer = self._fetch(step)
        self._request_following(step, answer.value)
        return answer

    def _request_following(self, step: NextPage, page: Page) -> None:
        """Request the page after this one, unless the list changed: then the scan decides first where to go on."""
        is_unchanged, self._total = self._total in (None, page.total), page.total
        position = _following(step, page, self._goal) if self._executor and is_unchanged else None
        if self._executor and position is not None:
            following = NextPage(step.window, position, step.resume_point)
            self._ahead = (step.window, position, self._executor.submit(self._fetch, following))


def _following(step: NextPage, page: Page, goal: ScanGoal) -> int | None:
    """The next position of a scan that goes on as it went; ``None`` where its list ends, or its order is not known."""
    order = step.resume_point.order
    if page.total is None or not page.records or order is SortOrder.UNKNOWN:
        return None
    if order is SortOrder.ASC:
        before = positions.before(goal.paging, step.position, page.count)
        return before if step.resume_point.oldest and before < step.position else None
    after = positions.after(goal.paging, step.position, page.count)
    return after if positions.row(goal.paging, after, page.count) < page.total else None
