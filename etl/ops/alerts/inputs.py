"""The sync state of one source, and a few counts of its calls → the inputs of the alert rules."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from etl.client.errors import PauseReason
from etl.db.statements import Statements, fetch_all, fetch_one
from etl.model import Source
from etl.ops import health
from etl.ops.alerts.rules import FAILED_RUNS, WEEKS, AlertInputs, Filled, Period

DAY = timedelta(days=1)
LISTING_DELAY = timedelta(minutes=15)  # how late a provider may list a call
HOURS = (1, 3, 6, 24)
# Columns that come with the first page, and columns that providers fill in later: those are checked later.
PROMPT = ("agent_id", "agent_name", "campaign_name", "customer_number", "agent_number", "duration_seconds")
DELAYED = ("cost", "recording_url", "summary", "sentiment", "analysis", "transcript")
FILLED_AFTER = {PROMPT: timedelta(hours=2), DELAYED: timedelta(days=3)}
BASELINE = timedelta(days=7)

ALERTS, CALLS, DRIFT, RUNS = (Statements(subject) for subject in ("alerts", "calls", "schema_drift", "runs"))


def load_inputs(connection: Connection, source: Source, now: datetime) -> AlertInputs | None:
    """What is known of a source; ``None`` where it was never registered."""
    of = {"source": source.name, "now": now, "yesterday": now - DAY, "runs": FAILED_RUNS}
    state = fetch_one(connection, ALERTS.alert_inputs, of)
    read_at = health.progress(connection, now).get(source.name)
    if state is None or read_at is None:
        return None
    return AlertInputs(
        source,
        now,
        read_at,
        [(row.status, row.error) for row in fetch_all(connection, RUNS.last_statuses, of)],
        PauseReason(state.pause_reason) if state.pause_reason else None,
        state.missing,
        state.new_rejects,
        [(row.field, row.kind) for row in fetch_all(connection, DRIFT.new_drift, of)],
        _periods(connection, source, read_at - LISTING_DELAY),
        [
            filled
            for columns in FILLED_AFTER
            for filled in _filled(connection, source, columns, now - FILLED_AFTER[columns])
        ],
    )


def _periods(connection: Connection, source: Source, end: datetime) -> list[Period]:
    """Calls of the last hours and of the same hours of the weeks before, by the clock of the source."""
    local = end.astimezone(source.timezone)
    ends = [local - timedelta(weeks=week) for week in range(WEEKS + 1)]
    wanted = [(at - timedelta(hours=hours), at) for hours in HOURS for at in ends]
    counts = _counts(connection, source, wanted)
    size = len(ends)
    rows = [counts[start : start + size] for start in range(0, len(counts), size)]
    return [Period(hours, row[0], tuple(row[1:])) for hours, row in zip(HOURS, rows, strict=True)]


def _counts(connection: Connection, source: Source, wanted: Sequence[tuple[datetime, datetime]]) -> list[int]:
    starts, ends = zip(*wanted, strict=True)
    values = {"source": source.name, "starts": list(starts), "ends": list(ends)}
    return [row.calls for row in fetch_all(connection, CALLS.count_in_spans, values)]


def _filled(connection: Connection, source: Source, columns: tuple[str, ...], until: datetime) -> list[Filled]:
    new = until - DAY
    of = {"source": source.name, "columns": list(columns), "new": new, "since": new - BASELINE, "until": until}
    return [
        Filled(row.name, row.calls, row.filled, row.before, row.filled_before)
        for row in fetch_all(connection, CALLS.count_filled, of)
    ]
