"""The envelope around a list → a page, once it is certain that it answers what was asked."""

from typing import Any

from etl.fields.phones import digits
from etl.model import InvalidResponse, Page, ResponseBody

FOREIGN = "the answer is of another request"
LONGEST_COUNT = 18  # digits


def page(body: ResponseBody, key: str, total: Any, size: Any, is_last: Any = None) -> Page:
    """The records under a key, with what the envelope says of the list; what it says unreadably counts as unsaid.

    Raises :class:`InvalidResponse` where there is no list.
    """
    size = count(size)
    return Page(body.records(key), count(total), size or None, is_last if isinstance(is_last, bool) else None)


def count(value: Any) -> int | None:
    """A number of rows: a non-negative integer or its digits; ``None`` for anything else, such as "many"."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= LONGEST_COUNT:
        return int(value)
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**LONGEST_COUNT
    return value if is_count else None


def check_position(echoed: Any, asked: int) -> None:
    """Raise :class:`InvalidResponse` where the answer says that it is of another page or offset."""
    said = count(echoed)
    if said is not None and said != asked:
        raise InvalidResponse(FOREIGN)


def check_phone(echoed: Any, asked: str) -> None:
    """Raise :class:`InvalidResponse` where the answer says that it is of another telephone number."""
    if isinstance(echoed, str) and digits(echoed) and digits(echoed) != digits(asked):
        raise InvalidResponse(FOREIGN)
