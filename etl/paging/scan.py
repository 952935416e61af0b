"""The words of a walk: what it is to read, what it asks for, what it sees, and how it ended."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from etl.model import DateFilter, Paging, Window


class SortOrder(StrEnum):
    """The order of a list by creation time, as its pages show it."""

    UNKNOWN = "unknown"
    DESC = "desc"  # newest first
    ASC = "asc"  # oldest first
    UNSORTED = "unsorted"


class PaginationLoop(Exception):
    """A list that repeats itself instead of ending; the text names the page."""


class OffsetLimitReached(Exception):
    """Sent into a walk instead of a page: the provider refuses this position; comes back where no other way is left."""


class RowView(NamedTuple):
    """One record of a page as the walk sees it; ``held`` says that the warehouse held it before this walk."""

    call_id: str
    created_at: datetime | None
    is_stored: bool


@dataclass(frozen=True)
class PageView:
    """One page as the walk sees it."""

    rows: Sequence[RowView]
    total: int | None = None
    size: int | None = None
    is_last: bool | None = None
    unreadable: int = 0  # so many more it would show, if the provider could

    @cached_property
    def count(self) -> int:
        """How many calls the page shows; one that it shows twice takes one place in the list."""
        return len({row.call_id for row in self.rows}) + self.unreadable


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where a walk goes on when all that it read so far is held: kept with the data, used after a crash."""

    position: int
    size: int  # of the pages that the position counts
    end: datetime  # of the window, narrowed as the walk came down
    order: SortOrder
    newest: datetime | None = None
    oldest: datetime | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class ScanGoal:
    """What a walk is to read: a window of a list, down to its start.

    ``joins`` asks to go on to a row that was held before, so that what is read is joined to what is held; ``whole`` to
    read to the end of the list; ``peek`` to leave an unsorted list alone where its total is still ``listed``, how many
    rows it had when it was last read; ``held`` is how many of them are held. ``settled`` is the total that it has if
    nothing is new and nothing held there may change.
    """

    window: Window
    paging: Paging
    date_filter: DateFilter
    size: int
    order: SortOrder = SortOrder.UNKNOWN
    stop_at_known_row: bool = False
    to_end: bool = False
    remote_count: int | None = None
    local_count: int | None = None
    unchanged_total: int | None = None
    skip_if_total_unchanged: bool = False
    resume_from: ResumePoint | None = None


@dataclass(frozen=True, slots=True)
class NextPage:
    """The page that is wanted next, and the place to go on from once all pages before it are held."""

    window: Window
    position: int
    resume_point: ResumePoint


@dataclass(frozen=True, slots=True)
class ScanResult:
    """How a walk ended: the order it found, the newest and oldest row, the total, and what speaks against it.

    ``ended`` says that the end of the list, or of the window asked for, was reached; ``moved`` that it changed while it
    was read, from ``first_total`` rows on; ``kept_still`` that a peek was enough; ``met`` how many calls it met, each
    once, where it was one walk from beginning to end.
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

    @property
    def is_certified(self) -> bool:
        """Whether the walk met every call that the provider lists: whatever else is held is gone there."""
        return self.reached_end and bool(self.distinct_rows) and self.distinct_rows == self.total and not self.warnings


Scan = Generator[NextPage, PageView, ScanResult]


class SortOrderChanged(Exception):
    """The pages show another order than the one that the walk believed in."""

    def __init__(self, order: SortOrder, seen: PageView) -> None:
        self.order, self.total = order, seen.total
