"""The sync state of the sources, and a few counts of their calls → the inputs of the alert rules.

The number of statements is the same for one source and for a thousand.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from etl.client.errors import PauseReason
from etl.db.statements import Statements, fetch_all
from etl.model import Source
from etl.ops import health
from etl.ops.alerts.rules import FAILED_RUNS, WEEKS, AlertInputs, EmptyColumn, Period

DAY = timedelta(days=1)
LISTING_DELAY = timedelta(minutes=15)  # how late a provider may list a call
HOURS = (1, 3, 6, 24)
# Columns that come with the first page, and columns that providers fill in later: those are checked later.
PROMPT = ("agent_id", "agent_name", "campaign_name", "customer_number", "agent_number", "duration_seconds")
DELAYED = ("cost", "recording_url", "summary", "sentiment", "analysis", "transcript")
FILLED_AFTER = {PROMPT: timedelta(hours=2), DELAYED: timedelta(days=3)}
BASELINE = timedelta(days=7)

ALERTS, CALLS = Statements("alerts"), Statements("calls")
EmptyColumns = Mapping[str, Sequence[EmptyColumn]]


def load_inputs(
    connection: Connection, sources: Sequence[Source], now: datetime, columns: EmptyColumns
) -> list[AlertInputs]:
    """What is known of each source that was ever registered; ``columns`` are its :func:`empty_columns`."""
    of = {"sources": _names(sources), "now": now, "yesterday": now - DAY, "runs": FAILED_RUNS}
    states = {row.source: row for row in fetch_all(connection, ALERTS.alert_inputs, of)}
    read_at = health.progress(connection, now)
    known = [source for source in sources if source.name in states]
    periods = _periods(connection, known, read_at)
    return [
        AlertInputs(
            source,
            now,
            read_at[source.name],
            [(status, error) for status, error in state.runs],
            PauseReason(state.pause_reason) if state.pause_reason else None,
            state.missing,
            state.new_rejects,
            [(field, kind) for field, kind in state.new_drift],
            periods.get(source.name, ()),
            columns.get(source.name, ()),
        )
        for source, state in ((source, states[source.name]) for source in known)
    ]


def _periods(
    connection: Connection, sources: Sequence[Source], read_at: Mapping[str, datetime]
) -> dict[str, list[Period]]:
    """Calls of the last hours and of the same hours of the weeks before, of sources without one in the last hour."""
    ends = {source.name: read_at[source.name] - LISTING_DELAY for source in sources}
    last_hour = [(name, end - timedelta(hours=1), end) for name, end in ends.items()]
    quiet = {name for (name, *_), calls in zip(last_hour, _counts(connection, last_hour), strict=True) if not calls}
    wanted = [
        (source.name, at - timedelta(hours=hours), at)
        for source in sources
        if source.name in quiet
        for hours in HOURS
        for at in _same_times(ends[source.name].astimezone(source.timezone))
    ]
    counts, size = _counts(connection, wanted), WEEKS + 1
    found: dict[str, list[Period]] = {}
    for at in range(0, len(counts), size):
        name, start, end = wanted[at]
        hours = round((end - start) / timedelta(hours=1))
        found.setdefault(name, []).append(Period(hours, counts[at], tuple(counts[at + 1 : at + size])))
    return found


def _same_times(local: datetime) -> list[datetime]:
    """A time by the clock of a source, and the same of the weeks before, the latest first."""
    return [local - timedelta(weeks=week) for week in range(WEEKS + 1)]


def _counts(connection: Connection, wanted: Sequence[tuple[str, datetime, datetime]]) -> list[int]:
    names, starts, ends = zip(*wanted, strict=True) if wanted else ((), (), ())
    values = {"sources": list(names), "starts": list(starts), "ends": list(ends)}
    return [row.calls for row in fetch_all(connection, CALLS.count_in_spans, values)]


def empty_columns(connection: Connection, sources: Sequence[Source], now: datetime) -> EmptyColumns:
    """The columns of each source without a value in the calls of a whole day; reads the calls of eight days."""
    found: dict[str, list[EmptyColumn]] = {}
    for columns, delay in FILLED_AFTER.items():
        new = now - delay - DAY
        of = {"sources": _names(sources), "columns": list(columns), "new": new}
        for row in fetch_all(connection, CALLS.count_empty, {**of, "since": new - BASELINE, "until": now - delay}):
            column = EmptyColumn(row.name, row.calls, row.before, row.filled_before)
            found.setdefault(row.source, []).append(column)
    return found


def _names(sources: Sequence[Source]) -> list[str]:
    return [source.name for source in sources]
