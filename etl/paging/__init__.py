"""A list that changes while it is read → which page to ask for next, when the list ends, and if it was complete.

Pure: a scan is a generator that yields the :class:`NextPage` it wants and is sent the :class:`PageView` that came. It
goes on by what was received, never by what was requested, and detects the order of the list from the pages themselves.
Here are the value types. Read `observation` (the facts of a page), `decisions` (what follows from them), then `scan`,
`newest_first` and `oldest_first`.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from etl.model import DateFilter, Paging, Window


class SortOrder(StrEnum):
    """The order of a list by creation time, as its pages show it."""

    UNKNOWN = "unknown"
    DESC = "desc"  # newest first
    ASC = "asc"  # oldest first
    UNSORTED = "unsorted"


class PaginationLoop(Exception):
    """The list repeats itself instead of ending; the message names the page."""


class OffsetLimitReached(Exception):
    """Thrown into a scan in place of a page: the provider refuses this position. Raised if no way is left."""


class SortOrderChanged(Exception):
    """The pages show another order than the scan assumed."""

    def __init__(self, order: SortOrder, total: int | None) -> None:
        self.order, self.total = order, total


class RowView(NamedTuple):
    """One record of a page as a scan sees it; ``is_stored``: the warehouse had it before this scan."""

    call_id: str
    created_at: datetime | None
    is_stored: bool


@dataclass(frozen=True)
class PageView:
    """One page as a scan sees it."""

    rows: Sequence[RowView]
    total: int | None = None
    size: int | None = None
    is_last: bool | None = None
    unreadable: int = 0  # how many rows of the page the provider cannot return

    @cached_property
    def count(self) -> int:
        """How many rows of the list the page covers; one that it shows twice counts once."""
        return len({row.call_id for row in self.rows}) + self.unreadable

    @cached_property
    def times(self) -> Sequence[datetime]:
        """When its rows were created, as far as that is known."""
        return [row.created_at for row in self.rows if row.created_at is not None]

    @cached_property
    def order(self) -> SortOrder:
        """The order that it shows; unknown where all times are equal, or fewer than two."""
        falls = any(a > b for a, b in pairwise(self.times))
        rises = any(a < b for a, b in pairwise(self.times))
        if falls:
            return SortOrder.UNSORTED if rises else SortOrder.DESC
        return SortOrder.ASC if rises else SortOrder.UNKNOWN

    def stated_size(self, asked: int) -> int:
        """The page size that a page states and must know: one smaller than asked for, or one that it fills; else 0."""
        return self.size if self.size and (self.size < asked or self.count == self.size) else 0

    def full_size(self, asked: int) -> int:
        """How many rows a full page has by what this one states, or else shows."""
        return self.stated_size(asked) or self.count

    def size_shown(self, asked: int, rows_before: int) -> int:
        """The same, where this may be the last page, which shows nothing."""
        is_last = rows_before + self.count == self.total
        return self.size or asked if is_last else self.full_size(asked)


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where a scan resumes once all that it read is stored: saved in the data's transaction, used after a crash."""

    position: int
    size: int  # of the pages that the position counts
    end: datetime  # of the window, as far as it was narrowed
    order: SortOrder
    newest: datetime | None = None
    oldest: datetime | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class ScanGoal:
    """What a scan has to read: a window of a list, down to its start.

    ``stop_at_known_row``: read on to a row that was stored before, so that nothing is left between. ``to_end``: read to
    the end of the list. ``local_count``: how many of its rows are stored. ``unchanged_total``: the total that the list
    has if nothing is new and nothing stored may still change. ``skip_if_total``: the total with which a list without an
    order is left unread.
    """

    window: Window
    paging: Paging
    date_filter: DateFilter
    size: int
    order: SortOrder = SortOrder.UNKNOWN
    stop_at_known_row: bool = False
    to_end: bool = False
    local_count: int | None = None
    unchanged_total: int | None = None
    skip_if_total: int | None = None
    resume_from: ResumePoint | None = None

    @property
    def needs_stored(self) -> bool:
        """Whether a decision may depend on which of the rows are stored."""
        return self.stop_at_known_row or self.unchanged_total is not None or self.resume_from is not None


@dataclass(frozen=True, slots=True)
class NextPage:
    """The page that a scan wants next, and where it resumes once all pages before it are stored."""

    window: Window
    position: int
    resume_point: ResumePoint


@dataclass(frozen=True, slots=True)
class ScanResult:
    """How a scan ended: the order it found, the newest and oldest row, the total, and warnings.

    ``reached_end``: the end of the list, or of the window, was reached. ``changed_during_scan``: the list changed while
    it was read, from ``first_total`` rows on. ``skipped``: the total was unchanged, and nothing was read.
    ``distinct_rows``: how many rows were met, where one scan read from beginning to end, and ``surplus``: how many more
    the total of a list that did not change counts.
    """

    order: SortOrder
    newest: datetime | None
    oldest: datetime | None
    total: int | None
    reached_end: bool
    first_total: int | None = None
    changed_during_scan: bool = False
    skipped: bool = False
    warnings: tuple[str, ...] = ()
    distinct_rows: int | None = None
    surplus: int | None = None

    @property
    def is_certified(self) -> bool:
        """Whether the scan met every row that the provider lists: whatever else is stored is gone there."""
        return self.reached_end and bool(self.distinct_rows) and self.distinct_rows == self.total and not self.warnings


Scan = Generator[NextPage, PageView, ScanResult]
