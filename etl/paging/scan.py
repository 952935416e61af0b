"""A goal → the scan that reaches it, in the order that the list turns out to have."""

from dataclasses import replace

from etl.paging import Scan, ScanGoal, SortOrder, SortOrderChanged
from etl.paging.newest_first import newest_first
from etl.paging.oldest_first import oldest_first


def scan(goal: ScanGoal) -> Scan:
    """Read the goal's window; a list whose order turns out to be another is scanned again in that order."""
    order = goal.resume_from.order if goal.resume_from else goal.order
    tried: set[SortOrder] = set()
    while True:
        tried.add(order)
        try:
            return (yield from oldest_first(goal) if order is SortOrder.ASC else newest_first(goal, order))
        except SortOrderChanged as found:
            order = SortOrder.UNSORTED if found.order in tried else found.order
            goal = replace(goal, resume_from=None, local_count=goal.local_count if found.total is None else found.total)
