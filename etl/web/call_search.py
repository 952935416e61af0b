"""A call's key, or filters and a search text → stored calls, read back in time until a page is full or time is up."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
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
SEARCH_SECONDS, COUNT_SECONDS = 3.0, 0.5
MAX_COUNT = 10_000
FILTERS = ("source", "agent", "outcome", "direction", "from", "to")  # as the query of a link names them
MAX_TURNS = 2000
FIRST_SLICE = timedelta(days=1)
LOWEST_KEY = UUID(int=0)
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
FOUND, END = "\ue000", "\ue001"  # around words that were found: characters of private use
HEADLINE = f'StartSel={FOUND}, StopSel={END}, MaxFragments=2, MinWords=6, MaxWords=16, FragmentDelimiter=" … "'
_NUMBER = re.compile(r"\+?[0-9][0-9 ().-]{2,24}\Z")
_FULL_NUMBER = re.compile(r"\+[0-9](?:[ ().-]{0,2}[0-9]){9,14}\Z")  # E.164 of ten digits or more
STATEMENTS = Statements("page_calls")


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls to list: ``None`` is any, and both days, in the page's time zone, are included."""

    sources: tuple[str, ...]
    agent: str | None = None
    outcome: str | None = None
    direction: str | None = None
    first: date | None = None
    last: date | None = None
    zone: tzinfo = UTC

    def values(self, now: datetime) -> dict[str, Any]:
        """The parameters of a statement; the end is that of tomorrow where no day is given, for clocks differ."""
        latest = now + timedelta(days=1)
        end = min(latest, self._midnight(self.last + timedelta(days=1))) if self.last else latest
        start = self._midnight(self.first) if self.first else EPOCH
        return {**asdict(self), "sources": list(self.sources), "start": start, "end": end}

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self.zone)


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
    calls: CallFilter,
    before: tuple[datetime, UUID] | None = None,
    seconds: float = SEARCH_SECONDS,
) -> SearchResult:
    """The newest calls that match; ``before`` is the last call of the previous page.

    No index serves an arbitrary part of a name or a summary: the search goes back in slices of doubling length until a
    page is full, and stops after ``seconds``.
    """
    values = calls.values(clock.now()) | _sought(words)
    first, latest = values["start"], values["end"]
    end, key = before if before and before[0] < latest else (latest, LOWEST_KEY)
    statement = STATEMENTS.calls_with_number if values["number"] else STATEMENTS.matching_calls
    is_indexed = values["number"] or not (words or calls.agent or calls.outcome or calls.direction)
    deadline, length = clock.monotonic() + seconds, FIRST_SLICE
    found: list[Any] = []
    while end > first:
        start = first if is_indexed else max(end - length, first)
        part = {"start": start, "end": end, "key": key, "limit": PAGE_SIZE + 1 - len(found)}
        rows = _rows_within(db, deadline - clock.monotonic(), statement, values | part)
        if rows is None:
            return SearchResult(found, end, has_more=False)
        found += rows
        if len(found) > PAGE_SIZE:
            return SearchResult(found[:PAGE_SIZE], None, has_more=True)
        end, key, length = start, LOWEST_KEY, length * 2
    return SearchResult(found, None, has_more=False)


def count_calls(db: Engine, calls: CallFilter, now: datetime) -> int | None:
    """How many calls pass the filters, one more than ``MAX_COUNT`` for many; ``None`` if it takes too long to count."""
    values = calls.values(now) | {"limit": MAX_COUNT + 1}
    rows = _rows_within(db, COUNT_SECONDS, STATEMENTS.count_calls, values)
    return rows[0].count if rows else None


def agents(db: Engine, sources: Sequence[str]) -> list[str]:
    """The names of the agents of these sources."""
    with db.connect() as connection:
        return [row.agent_name for row in fetch_all(connection, STATEMENTS.agents, {"sources": list(sources)})]


def snippets(db: Engine, found: SearchResult, words: str) -> dict[UUID, list[tuple[str, bool]]]:
    """Where the words of a search stand in the calls that it found: pieces of text, and whether they are such words."""
    if not words or _NUMBER.match(words):
        return {}
    values = {"keys": [call.call_key for call in found.calls], "words": words, "options": HEADLINE}
    rows = _rows_within(db, SEARCH_SECONDS, STATEMENTS.snippets, values) or ()
    passages = {row.call_key: _around(row.summary or "", words) or row.passage or "" for row in rows}
    return {key: _pieces(passage) for key, passage in passages.items() if FOUND in passage}


def nothing_found(words: str, *, has_filter: bool) -> str:
    """Why a list may be empty, and what to try."""
    if not words:
        return "No calls found with these filters." if has_filter else "No calls are stored yet."
    how = (
        "Transcripts are searched by whole words, without the customer's name; names, agents and summaries by any part "
        "of them."
    )
    if _NUMBER.match(words):
        how = "Digits are searched in phone numbers, and as a whole call id."
    return f"No calls found. {how}{' Fewer filters may find more.' if has_filter else ''}"


def _around(summary: str, words: str) -> str:
    """The part of a summary where a text stands, marked; an empty one where it does not."""
    match = re.search(re.escape(words), summary, re.IGNORECASE)
    if match is None:
        return ""
    start, end = match.span()
    return f"{summary[max(start - 60, 0) : start]}{FOUND}{match[0]}{END}{summary[end : end + 60]}"


def _pieces(passage: str) -> list[tuple[str, bool]]:
    parts = re.split(f"{FOUND}([^{END}]*){END}", passage)
    return [(part, index % 2 == 1) for index, part in enumerate(parts) if part]


def _sought(words: str) -> dict[str, str | None]:
    """The parameters of a search: a complete phone number, some digits of one, or a text."""
    digits = re.sub(r"[^0-9]", "", words)
    is_number, is_complete = _NUMBER.match(words), _FULL_NUMBER.match(words)
    return {
        "words": None if is_number or not words else words,
        "digits": digits if is_number else None,
        "id": words,
        "number": f"+{digits}" if is_complete else None,
    }


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
