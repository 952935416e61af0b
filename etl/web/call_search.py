"""A call's key, or a search text → stored calls; a search goes back in time until it has enough or its time is up."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Engine,
    RowMapping,
    Select,
    Text,
    cast,
    func,
    or_,
    select,
    text,
    true,
    tuple_,
)  # fmt: skip
from sqlalchemy.exc import DBAPIError

from etl.db.engine import sqlstate
from etl.db.tables import calls, transcripts
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
_c = calls.c

_NUMBERS = (_c.customer_number, _c.agent_number, _c.from_number, _c.to_number)
_COLUMNS = select(
    _c.call_key, _c.source, _c.provider_call_id, _c.created_at, _c.direction, _c.outcome, _c.agent_name,
    _c.customer_number, _c.customer_name, _c.duration_seconds, _c.cost, _c.cost_unit, _c.turn_count,
).order_by(_c.created_at.desc(), _c.call_key.desc())  # fmt: skip
CALL = text("SELECT * FROM bi.calls WHERE call_key = :key")
TURNS = text("""
    SELECT turn_index, speaker, text, spoken_at, offset_seconds FROM bi.transcript_turns
     WHERE call_key = :key ORDER BY turn_index LIMIT :limit
""")
COSTS = text("SELECT component, amount, unit FROM bi.call_costs WHERE call_key = :key ORDER BY component LIMIT 100")


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Calls, newest first; ``stopped_at`` is how far back the search came when its time was up."""

    calls: Sequence[RowMapping]
    stopped_at: datetime | None
    has_more: bool


@dataclass(frozen=True, slots=True)
class CallPage:
    """Everything that is stored of one call."""

    row: RowMapping
    turns: Sequence[RowMapping]
    costs: Sequence[RowMapping]
    history: CallHistory


def get_call(db: Engine, key: UUID, sources: Sequence[Source], now: datetime, *, reveal_pii: bool) -> CallPage | None:
    """One call with its turns, costs and history; changed values of a person are included only if ``reveal_pii``."""
    with db.connect() as connection:
        row = connection.execute(CALL, {"key": key}).mappings().one_or_none()
        if row is None:
            return None
        turns = connection.execute(TURNS, {"key": key, "limit": MAX_TURNS}).mappings().all()
        costs = connection.execute(COSTS, {"key": key}).mappings().all()
        ref = CallRef(row["source"], row["provider_call_id"], key)
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
    end, key = before or (clock.now() + timedelta(days=1), LOWEST_KEY)
    deadline, length = clock.monotonic() + seconds, FIRST_SLICE
    query = _COLUMNS.where(_c.source.in_(sources), *_conditions(words))
    found: list[RowMapping] = []
    while end > EPOCH:
        start = EPOCH if _is_indexed(words) else max(end - length, EPOCH)
        part = query.where(_c.created_at >= start, tuple_(_c.created_at, _c.call_key) < tuple_(end, key))
        rows = _rows_within(db, deadline - clock.monotonic(), part.limit(PAGE_SIZE + 1 - len(found)))
        if rows is None:
            return SearchResult(found, end, has_more=False)
        found += rows
        if len(found) > PAGE_SIZE:
            return SearchResult(found[:PAGE_SIZE], None, has_more=True)
        end, key, length = start, LOWEST_KEY, length * 2
    return SearchResult(found, None, has_more=False)


def _is_indexed(words: str) -> bool:
    """Whether an index answers it at once: no search text, or a complete phone number."""
    return not words or _FULL_NUMBER.match(words) is not None


def _conditions(words: str) -> list[ColumnElement[bool]]:
    digits = re.sub(r"[^0-9]", "", words)
    if not words:
        return []
    if _FULL_NUMBER.match(words):
        return [or_(_c.customer_number == f"+{digits}", _c.agent_number == f"+{digits}")]
    if _NUMBER.match(words):
        return [or_(*(column.contains(digits) for column in _NUMBERS), _c.provider_call_id == words)]
    in_transcript = select(true()).where(
        transcripts.c.call_key == _c.call_key,
        func.warehouse.transcript_tsv(transcripts.c.texts).op("@@")(func.websearch_to_tsquery("simple", words)),
    )
    in_texts = (column.icontains(words, autoescape=True) for column in (_c.customer_name, _c.summary))
    is_key = cast(_c.call_key, Text) == words
    return [or_(_c.provider_call_id == words, is_key, *in_texts, in_transcript.exists())]


def _rows_within(db: Engine, seconds: float, query: Select[Any]) -> Sequence[RowMapping] | None:
    """The rows of a query, ``None`` if it takes longer than ``seconds``."""
    if seconds <= 0:
        return None
    try:
        with limited(db, seconds) as connection:
            return connection.execute(query).mappings().all()
    except DBAPIError as error:
        if sqlstate(error) == QUERY_CANCELED:
            return None
        raise
