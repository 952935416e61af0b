"""Creation times → the order that they show."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from etl.paging.scan import SortOrder


def detect_order(times: Sequence[datetime]) -> SortOrder:
    """The order of one page's creation times; unknown where all are equal, or fewer than two."""
    if len(times) < 2 or min(times) == max(times):
        return SortOrder.UNKNOWN
    if all(a >= b for a, b in pairwise(times)):
        return SortOrder.DESC
    if all(a <= b for a, b in pairwise(times)):
        return SortOrder.ASC
    return SortOrder.UNSORTED
