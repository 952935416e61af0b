"""The JSON around a list of records → a page, after checking that it answers the request."""

from typing import Any

from etl.decode.invisible import visible
from etl.fields.phones import digits
from etl.fields.values import as_text, is_unset
from etl.model import InvalidResponse, Page, PageRequest, ResponseBody

OTHER_REQUEST = "the response belongs to another request"
MAX_COUNT_DIGITS = 18


def page(body: ResponseBody, key: str, total: Any, size: Any, is_last: Any = None, *, before: int = 0) -> Page:
    """The records under a key and what is said about the list; an unreadable number counts as absent.

    Null is an empty list, as Go prints it, where the total says that no row follows on the ``before`` ones. Raises
    :class:`InvalidResponse` where there is no list.
    """
    size, rows = count(size), count(total)
    is_empty = rows is not None and rows <= before and key in body and body.get(key) is None
    records = () if is_empty else body.records(key)
    return Page(records, rows, size or None, is_last if isinstance(is_last, bool) else None)


def rows_before(request: PageRequest) -> int:
    """How many rows lie before a page that is asked for by its number."""
    return (request.position - 1) * request.size


def count(value: Any) -> int | None:
    """A non-negative integer, or a text of its digits; ``None`` for anything else, such as "many"."""
    value = visible(value).strip() if isinstance(value, str) else value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= MAX_COUNT_DIGITS:
        return int(value)
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**MAX_COUNT_DIGITS
    return value if is_count else None


def check_position(echoed: Any, requested: int) -> None:
    """Raises :class:`InvalidResponse` where the response names another page or offset."""
    if count(echoed) not in (None, requested):
        raise InvalidResponse(OTHER_REQUEST)


def check_call(echoed: Any, requested: str | None) -> None:
    """Raises :class:`InvalidResponse` where the response names another call."""
    named = None if is_unset(echoed) else as_text(echoed)
    if named is not None and visible(named).strip().casefold() != str(requested).strip().casefold():
        raise InvalidResponse(OTHER_REQUEST)


def check_phone(echoed: Any, requested: str) -> None:
    """Raises :class:`InvalidResponse` where the response names another telephone number."""
    if isinstance(echoed, str) and digits(echoed) and digits(echoed) != digits(requested):
        raise InvalidResponse(OTHER_REQUEST)
