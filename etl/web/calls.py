"""A call's key, or what a person searches for → calls, with the people in them hidden unless the reader may see."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.exc import DBAPIError

from etl.clock import Clock
from etl.database import sqlstate
from etl.life import Found, Life
from etl.stream import Source
from etl.web.reading import Reading
from etl.why import life

AT_ONCE = 50
SECONDS = 3.0
TURNS = 2000
TIMEOUT = "57014"  # SQLSTATE query_canceled: the statement took too long
STRETCHES = (timedelta(days=2), timedelta(days=14), timedelta(days=60), timedelta(days=365))
LEAST = UUID(int=0)
LONG_AGO = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_NUMBER = re.compile(r"\+?[0-9][0-9 ().-]{2,24}\Z")

_SHOWN = """
    SELECT c.call_key, c.source, c.provider_call_id, c.created_at, c.direction, c.outcome, c.agent_name,
           c.customer_number, c.customer_name, c.duration_seconds, c.cost, c.cost_unit, c.turn_count
      FROM warehouse.calls c
     WHERE (:source = '' OR c.source = :source) AND c.created_at >= :start AND (c.created_at, c.call_key) < (:end, :key)
"""
_NEWEST = " ORDER BY c.created_at DESC, c.call_key DESC LIMIT :limit"
ANY_CALL = text(_SHOWN + _NEWEST)
OF_NUMBER = text(
    _SHOWN
    + """ AND (c.customer_number LIKE :pattern OR c.agent_number LIKE :pattern OR c.from_number LIKE :pattern
               OR c.to_number LIKE :pattern OR c.provider_call_id = :word)"""
    + _NEWEST
)
OF_TEXT = text(
    _SHOWN
    + """ AND (c.provider_call_id = :word OR c.call_key::text = :word OR c.customer_name ILIKE :pattern
               OR c.summary ILIKE :pattern
               OR EXISTS (SELECT FROM warehouse.turns t WHERE t.call_key = c.call_key AND t.text ILIKE :pattern))"""
    + _NEWEST
)
CALL = text("SELECT * FROM bi.calls WHERE call_key = :key")
TURN_ROWS = text("""
    SELECT turn_index, speaker, text, spoken_at, offset_seconds FROM warehouse.turns
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
class Call:
    """All that is held of one call."""

    row: RowMapping
    turns: Sequence[RowMapping]
    costs: Sequence[RowMapping]
    life: Life


def one(reading: Reading, key: UUID, sources: Sequence[Source], now: datetime, *, see: bool) -> Call | None:
    """One call with its turns, its costs and its life, in which changed values of a person stand if ``see``."""
    with reading.open() as connection:
        row = connection.execute(CALL, {"key": key}).mappings().one_or_none()
        if row is None:
            return None
        turns = connection.execute(TURN_ROWS, {"key": key, "limit": TURNS}).mappings().all()
        costs = connection.execute(COSTS, {"key": key}).mappings().all()
        known = Found(row["source"], row["provider_call_id"], key)
        return Call(row, turns, costs, life(connection, known, sources, now, show_values=see))


def search(reading: Reading, clock: Clock, words: str, source: str, before: tuple[datetime, UUID] | None) -> Hits:
    """The newest calls that fit, or simply the newest; longer and longer stretches back, until there are enough.

    ``before`` is the time and the key of the last call that was shown.

    A warehouse of millions of turns has no index for any piece of a word: whatever was not looked through within three
    seconds is said.
    """
    query, values = _query(words)
    end, key = before or (clock.now() + timedelta(days=1), LEAST)
    until = clock.monotonic() + SECONDS
    calls: list[RowMapping] = []
    for stretch in (*STRETCHES, None):
        start = LONG_AGO if stretch is None else max(end - stretch, LONG_AGO)
        left = until - clock.monotonic()
        more = {"source": source, "start": start, "end": end, "key": key, "limit": AT_ONCE + 1 - len(calls)}
        found = _within(reading, left, query, {**values, **more}) if left > 0 else None
        if found is None:
            return Hits(calls, end, False)
        calls += found
        if len(calls) > AT_ONCE:
            return Hits(calls[:AT_ONCE], None, True)
        end, key = start, LEAST
    return Hits(calls, None, False)


def _query(words: str) -> tuple[Any, dict[str, str]]:
    if not words:
        return ANY_CALL, {}
    if _NUMBER.match(words):
        digits = re.sub(r"[^0-9]", "", words)
        return OF_NUMBER, {"pattern": f"{'+' if words[0] == '+' else '%'}{digits}%", "word": words}
    return OF_TEXT, {"pattern": f"%{_literal(words)}%", "word": words}


def _literal(words: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", words)


def _within(reading: Reading, seconds: float, query: Any, values: Mapping[str, Any]) -> Sequence[RowMapping] | None:
    """What a query finds within a time, ``None`` where it takes longer."""
    try:
        with reading.open(seconds) as connection:
            return connection.execute(query, dict(values)).mappings().all()
    except DBAPIError as error:
        if sqlstate(error) == TIMEOUT:
            return None
        raise
