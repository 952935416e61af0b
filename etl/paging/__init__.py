"""A list that changes while it is read → which page to ask for next, when the list ends, and if it was complete.

Pure: a scan is a generator that yields the :class:`NextPage` it wants and is sent the :class:`PageView` that came. It
goes on by what was received, never by what was requested, and detects the order of the list from the pages themselves.
Read `observation` (the facts of a page), `decisions` (what follows from them), then `newest_first` and `oldest_first`.
"""

from dataclasses import replace

from etl.paging.newest_first import newest_first
from etl.paging.oldest_first import oldest_first
from etl.paging.order import detect_order
from etl.paging.scan import (
    NextPage,
    OffsetLimitReached,
    PageView,
    PaginationLoop,
    ResumePoint,
    RowView,
    Scan,
    ScanGoal,
    ScanResult,
    SortOrder,
    SortOrderChanged,
)

__all__ = [
    "NextPage",
    "OffsetLimitReached",
    "PageView",
    "PaginationLoop",
    "ResumePoint",
    "RowView",
    "Scan",
    "ScanGoal",
    "ScanResult",
    "SortOrder",
    "detect_order",
    "scan",
]


def scan(goal: ScanGoal) -> Scan:
    """Read the goal's window; a list whose order turns out to be another is scanned again in that order."""
    order = goal.resume_from.order if goal.resume_from else goal.order
    tried: set[SortOrder] = set()
    while True:
        tried.add(order)
        try:
            if order is SortOrder.ASC:
                return (yield from oldest_first(goal))
            return (yield from newest_first(goal, order))
        except SortOrderChanged as found:
            order = SortOrder.UNSORTED if found.order in tried else found.order
            goal = replace(goal, resume_from=None, local_count=goal.local_count if found.total is None else found.total)
