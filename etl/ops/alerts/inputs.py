"""The sync state of one source, and a few counts of its calls → the inputs of the alert rules."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from etl.client.errors import PauseReason
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

STATE = text("""
    SELECT s.pause_reason,
           (SELECT reason FROM ops.streams l
             WHERE l.source = s.source AND completeness = 'incomplete' LIMIT 1) AS missing,
           (SELECT count(*) FROM ops.quarantine q
             WHERE q.source = s.source AND resolved_at IS NULL AND first_seen_at > :yesterday) AS new_rejects
      FROM ops.sources s
     WHERE s.source = :source
""")
ENDINGS = text("""
    SELECT status, error FROM ops.runs
     WHERE source = :source AND kind IN ('sync', 'backfill') AND status IN ('succeeded', 'failed')
     ORDER BY started_at DESC, run_id DESC LIMIT :runs
""")
# In an initial sync everything is new, and no news.
NEW_DRIFT = text("""
    SELECT DISTINCT field, kind FROM ops.schema_drift d JOIN ops.sources s USING (source)
     WHERE source = :source AND d.first_seen_at > greatest(:yesterday, s.first_seen_at + interval '1 day')
     ORDER BY 1, 2
""")
COUNTS = text("""
    SELECT (SELECT count(*) FROM warehouse.calls c
             WHERE c.source = :source AND c.created_at >= spans.starts_at AND c.created_at < spans.ends_at) AS calls
      FROM unnest(CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[])) WITH ORDINALITY
           AS spans (starts_at, ends_at, place)
     ORDER BY place
""")
FILLED = text("""
    SELECT name, count(*) FILTER (WHERE created_at >= :new) AS calls,
           count(*) FILTER (WHERE created_at < :new) AS before,
           count(*) FILTER (WHERE is_filled AND created_at >= :new) AS filled,
           count(*) FILTER (WHERE is_filled AND created_at < :new) AS filled_before
      FROM warehouse.calls c,
           LATERAL (VALUES ('agent_id', agent_id IS NOT NULL), ('agent_name', agent_name IS NOT NULL),
                           ('campaign_name', campaign_name IS NOT NULL), ('agent_number', agent_number IS NOT NULL),
                           ('customer_number', customer_number IS NOT NULL),
                           ('duration_seconds', duration_seconds IS NOT NULL), ('cost', cost IS NOT NULL),
                           ('recording_url', recording_url IS NOT NULL), ('summary', summary IS NOT NULL),
                           ('sentiment', sentiment IS NOT NULL), ('analysis', analysis IS NOT NULL),
                           ('transcript', has_transcript)) AS filled (name, is_filled)
     WHERE source = :source AND is_final AND created_at >= :since AND created_at < :until AND name = ANY(:columns)
     GROUP BY name
""")


def load_inputs(connection: Connection, source: Source, now: datetime) -> AlertInputs | None:
    """What is known of a source; ``None`` where it was never registered."""
    of = {"source": source.name, "now": now, "yesterday": now - DAY, "runs": FAILED_RUNS}
    state = connection.execute(STATE, of).one_or_none()
    read_at = health.progress(connection).get(source.name)
    if state is None or read_at is None:
        return None
    return AlertInputs(
        source,
        now,
        read_at,
        [(row.status, row.error) for row in connection.execute(ENDINGS, of)],
        PauseReason(state.pause_reason) if state.pause_reason else None,
        state.missing,
        state.new_rejects,
        [(row.field, row.kind) for row in connection.execute(NEW_DRIFT, of)],
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
    return list(connection.scalars(COUNTS, {"source": source.name, "starts": list(starts), "ends": list(ends)}))


def _filled(connection: Connection, source: Source, columns: tuple[str, ...], until: datetime) -> list[Filled]:
    new = until - DAY
    of = {"source": source.name, "columns": list(columns), "new": new, "since": new - BASELINE, "until": until}
    return [
        Filled(row.name, row.calls, row.filled, row.before, row.filled_before) for row in connection.execute(FILLED, of)
    ]
