"""A call's key, or what a person searches for → calls, with the people in them hidden unless the reader may see."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, Select, Text, cast, func, or_, select, text, true, tuple_
from sqlalchemy.exc import DBAPIError

from etl.db.engine import sqlstate
from etl.db.tables import calls, transcripts
from etl.model import Source
from etl.reports.call_history import call_history
from etl.reports.call_history_model import CallHistory, CallRef
from etl.runtime.clock import Clock
from etl.web.readonly_db import ReadonlyDatabase

MAX_PARALLEL_SEARCHES = 50
SECONDS = 3.0
TURNS = 2000
TIMEOUT = "57014"  # SQLSTATE query_canceled: the statement took too long
FIRST_STRETCH = timedelta(days=1)
LEAST = UUID(int=0)
LONG_AGO = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_NUMBER = re.compile(r"\+?[0-9][0-9 ().-]{2,24}\Z")
_WHOLE = re.compile(r"\+[0-9](?:[ ().-]{0,2}[0-9]){9,14}\Z")  # E.164 of ten digits or more
_c = calls.c

_NUMBERS = (_c.customer_number, _c.agent_number, _c.from_number, _c.to_number)
_SHOWN = select(
    _c.call_key, _c.source, _c.provider_call_id, _c.created_at, _c.direction, _c.outcome, _c.agent_name,
    _c.customer_number, _c.customer_name, _c.duration_seconds, _c.cost, _c.cost_unit, _c.turn_count,
).order_by(_c.created_at.desc(), _c.call_key.desc())  # fmt: skip
CALL = text("SELECT * FROM bi.calls WHERE call_key = :key")
TURN_ROWS = text("""
    SELECT turn_index, speaker, text, spoken_at, offset_seconds FROM bi.transcript_turns
     WHERE call_key = :key ORDER BY turn_index LIMIT :limit
""")
COSTS = text("SELECT component, amount, unit FROM bi.call_costs WHERE call_key = :key ORDER BY component LIMIT 100")


@dataclass(frozen=True, slots=True)
class Hits:
    """Calls, newest first; ``back_to`` is how far back was looked where time ran out, ``more`` whether there are any
    before the last of these."""

    calls: Sequence[RowMapping]
    back_to: datetime | None
    more: bool


@dataclass(frozen=True, slots=True)
class CallPage:
    """All that is held of one call."""

    row: RowMapping
    turns: Sequence[RowMapping]
    costs: Sequence[RowMapping]
    life: CallHistory


def one(
    reading: ReadonlyDatabase, key: UUID, sources: Sequence[Source], now: datetime, *, see: bool
) -> CallPage | None:
    """One call with its turns, its costs and its life, in which changed values of a person stand if ``see``."""
    with reading.open() as connection:
        row = connection.execute(CALL, {"key": key}).mappings().one_or_none()
        if row is None:
            return None
        said = connection.execute(TURN_ROWS, {"key": key, "limit": TURNS}).mappings().all()
        costs = connection.execute(COSTS, {"key": key}).mappings().all()
        known = CallRef(row["source"], row["provider_call_id"], key)
        return CallPage(row, said, costs, call_history(connection, known, sources, now, show_values=see))


def search(
    reading: ReadonlyDatabase, clock: Clock, words: str, sources: Sequence[str], before: tuple[datetime, UUID] | None
) -> Hits:
    """The newest calls of some sources that fit, or simply the newest; ``before`` is the last call that was shown.

    No index finds any piece of a name or a summary: longer and longer stretches back are looked through until there are
    enough, and how far that came within three seconds is said.
    """
    end, key = before or (clock.now() + timedelta(days=1), LEAST)
    until, stretch = clock.monotonic() + SECONDS, FIRST_STRETCH
    query = _SHOWN.where(_c.source.in_(sources), *_fitting(words))
    hits: list[RowMapping] = []
    while end > LONG_AGO:
        start = LONG_AGO if _has_index(words) else max(end - stretch, LONG_AGO)
        piece = query.where(_c.created_at >= start, tuple_(_c.created_at, _c.call_key) < tuple_(end, key))
        left = until - clock.monotonic()
        found = _within(reading, left, piece.limit(MAX_PARALLEL_SEARCHES + 1 - len(hits))) if left > 0 else None
        if found is None:
            return Hits(hits, end, False)
        hits += found
        if len(hits) > MAX_PARALLEL_SEARCHES:
            return Hits(hits[:MAX_PARALLEL_SEARCHES], None, True)
        end, key, stretch = start, LEAST, stretch * 2
    return Hits(hits, None, False)


def _has_index(words: str) -> bool:
    """Whether an index finds it at once: nothing in particular, and a number in full."""
    return not words or _WHOLE.match(words) is not None


def _fitting(words: str) -> list[ColumnElement[bool]]:
    """What a call has to be like."""
    digits = re.sub(r"[^0-9]", "", words)
    if not words:
        return []
    if _WHOLE.match(words):
        return [or_(_c.customer_number == f"+{digits}", _c.agent_number == f"+{digits}")]
    if _NUMBER.match(words):
        return [or_(*(column.contains(digits) for column in _NUMBERS), _c.provider_call_id == words)]
    said = select(true()).where(
        transcripts.c.call_key == _c.call_key,
        func.warehouse.transcript_tsv(transcripts.c.texts).op("@@")(func.websearch_to_tsquery("simple", words)),
    )
    in_texts = (column.icontains(words, autoescape=True) for column in (_c.customer_name, _c.summary))
    is_key = cast(_c.call_key, Text) == words
    return [or_(_c.provider_call_id == words, is_key, *in_texts, said.exists())]


def _within(reading: ReadonlyDatabase, seconds: float, query: Select[Any]) -> Sequence[RowMapping] | None:
    """What a query finds within a time, ``None`` where it takes longer."""
    try:
        with reading.open(seconds) as connection:
            return connection.execute(query).mappings().all()
    except DBAPIError as error:
        if sqlstate(error) == TIMEOUT:
            return None
        raise
