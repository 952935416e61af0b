"""Positions in a list, counted in pages or in rows, and the rows that they stand for."""

from etl.model import Paging


def first(paging: Paging) -> int:
    """Where a list begins."""
    return 1 if paging is Paging.PAGES else 0


def row(paging: Paging, position: int, size: int) -> int:
    """How many rows lie before a position."""
    return (position - 1) * size if paging is Paging.PAGES else position


def at(paging: Paging, row: int, size: int) -> int:
    """The position of the page that shows the row with this many rows before it."""
    return row // max(size, 1) + 1 if paging is Paging.PAGES else row


def last(paging: Paging, total: int | None, size: int) -> int:
    """The last position of a list with this many rows."""
    before = max(0, (total or 0) - 1) // max(size, 1) * size
    return at(paging, before, size)


def after(paging: Paging, position: int, received: int) -> int:
    """The position after a page that returned this many rows."""
    return position + 1 if paging is Paging.PAGES else position + received


def before(paging: Paging, position: int, size: int) -> int:
    """The position of the page before."""
    return max(1, position - 1) if paging is Paging.PAGES else max(0, position - size)


def is_behind_end(paging: Paging, position: int, size: int, total: int | None, *, follows: bool) -> bool:
    """Whether a refused page lies behind the end of its list: by its total, or else unless more ``follows``."""
    return row(paging, position, size) >= total if total is not None else not follows
