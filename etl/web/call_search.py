"""A call's key, or a search text → stored calls; a search goes back in time until it has enough or its time is up."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from etl.db.engine import sqlstate
from etl.db.statements import Statements, fetch_all, fetch_one
from etl.model import Source
from etl.reports.call_history import call_history
from etl.reports.call_history_model import CallHistory, CallRef
from etl.runtime.clock import Clock
from etl.web.readonly_db import QUERY_CANCELED, limited

PAGE_SIZE = 50
SEARCH_SECONDS = 3.0
MAX_TURNS = 2000
FIRST_SLICE = timedelta(days=1)
LOWEST_KEY = UUID(int=0)
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_NUMBER = re.compile(r"\+?[0-9][0-9 ().-]{2,24}\Z")
_FULL_NUMBER = re.compile(r"\+[0-9](?:[ ().-]{0,2}[0-9]){9,14}\Z")  # E.164 of ten digits or more
STATEMENTS = Statements("page_calls")


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Calls, newest first; ``stopped_at`` is how far back the search came when its time was up."""

    calls: Sequence[Any]
    stopped_at: datetime | None
    has_more: bool


@dataclass(frozen=True, slots=True)
class CallPage:
    """Everything that is stored of one call."""

    row: Any
    turns: Sequence[Any]
    costs: Sequence[Any]
    history: CallHistory


def get_call(db: Engine, key: UUID, sources: Sequence[Source], now: datetime, *, reveal_pii: bool) -> CallPage | None:
    """One call with its turns, costs and history; changed values of a person are included only if ``reveal_pii``."""
    with db.connect() as connection:
        row = fetch_one(connection, STATEMENTS.call, {"key": key})
        if row is None:
            return None
        turns = fetch_all(connection, STATEMENTS.turns, {"key": key, "limit": MAX_TURNS})
        costs = fetch_all(connection, STATEMENTS.costs, {"key": key})
        ref = CallRef(row.source, row.provider_call_id, key)
        return CallPage(row, turns, costs, call_history(connection, ref, sources, now, show_values=reveal_pii))


def search_calls(
    db: Engine,
    clock: Clock,
    words: str,
    sources: Sequence[str],
    before: tuple[datetime, UUID] | None = None,
    seconds: float = SEARCH_SECONDS,
) -> SearchResult:
    """The newest calls of these sources that match; ``before`` is the last call of the previous page.

    No index serves an arbitrary part of a name or a summary: the search goes back in slices of doubling length until a
    page is full, and stops after ``seconds``.
    """
    tomorrow = clock.now() + timedelta(days=1)
    end, key = before if before and before[0] < tomorrow else (tomorrow, LOWEST_KEY)
    deadline, length = clock.monotonic() + seconds, FIRST_SLICE
    statement, is_indexed = _statement(words)
    digits = re.sub(r"[^0-9]", "", words)
    values = {"sources": list(sources), "words": words, "digits": digits, "number": f"+{digits}"}
    found: list[Any] = []
    while end > EPOCH:
        start = EPOCH if is_indexed else max(end - length, EPOCH)
        part = {"start": start, "end": end, "key": key, "limit": PAGE_SIZE + 1 - len(found)}
        rows = _rows_within(db, deadline - clock.monotonic(), statement, values | part)
        if rows is None:
            return SearchResult(found, end, has_more=False)
        found += rows
        if len(found) > PAGE_SIZE:
            return SearchResult(found[:PAGE_SIZE], None, has_more=True)
        end, key, length = start, LOWEST_KEY, length * 2
    return SearchResult(found, None, has_more=False)


def _statement(words: str) -> tuple[bytes, bool]:
    """The statement for a search text, and whether an index answers it at once."""
    if not words:
        return STATEMENTS.newest_calls, True
    if _FULL_NUMBER.match(words):
        return STATEMENTS.calls_with_number, True
    return STATEMENTS.calls_with_digits if _NUMBER.match(words) else STATEMENTS.calls_with_words, False


def _rows_within(db: Engine, seconds: float, statement: bytes, values: Mapping[str, Any]) -> Sequence[Any] | None:
    """The rows of a statement, ``None`` if it takes longer than ``seconds``."""
    if seconds <= 0:
        return None
    try:
        with limited(db, seconds) as connection:
            return fetch_all(connection, statement, values)
    except DBAPIError as error:
        if sqlstate(error) == QUERY_CANCELED:
            return None
        raise
