"""The stored sync state of a source, as its page shows it: runs, coverage, streams, schema drift, quarantine."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from etl.intervals import gaps
from etl.model import Window
from etl.state import streams

RUNS_ON_CARD = 40
RATE_PERIOD = timedelta(minutes=10)
LAST_RUNS = text("""
    SELECT s.source, r.*
      FROM ops.sources s
     CROSS JOIN LATERAL (SELECT run_id, kind, status, started_at, finished_at, requests, received, inserted, updated,
                                unchanged, quarantined, error, notes
                           FROM ops.runs WHERE source = s.source
                          ORDER BY started_at DESC, run_id DESC LIMIT :limit) r
     WHERE s.source = ANY(:sources)
     ORDER BY s.source, r.started_at, r.run_id
""")
STREAMS = text("""
    SELECT partition, sort_order, remote_count, local_count, completeness, reason, checked_at, full_scan_at
      FROM ops.streams WHERE source = :source ORDER BY partition LIMIT 200
""")
FIRST_CALL = text("SELECT min(created_at) AS first FROM warehouse.calls WHERE source = :source")
DRIFT = text("""
    SELECT field, kind, detail, record_count, first_seen_at, last_seen_at
      FROM ops.schema_drift WHERE source = :source ORDER BY last_seen_at DESC, field LIMIT 50
""")
REASONS = text("""
    SELECT reason, count(*) AS records, min(first_seen_at) AS first_seen_at, max(last_seen_at) AS last_seen_at
      FROM ops.quarantine WHERE source = :source AND resolved_at IS NULL
     GROUP BY reason ORDER BY records DESC, reason LIMIT 20
""")
QUARANTINED = text("""
    SELECT quarantine_id, reason, provider_call_id, first_seen_at, last_seen_at
      FROM ops.quarantine WHERE source = :source AND resolved_at IS NULL
     ORDER BY last_seen_at DESC, quarantine_id DESC LIMIT 20
""")
RECORD = text("""
    SELECT quarantine_id, source, reason, provider_call_id, first_seen_at, last_seen_at, resolved_at,
           length(payload) AS bytes, substring(payload FOR 65536) AS payload
      FROM ops.quarantine WHERE quarantine_id = :number
""")


def last_runs(connection: Connection, sources: Sequence[str], limit: int) -> dict[str, list[dict[str, Any]]]:
    """The last runs of each source, oldest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in connection.execute(LAST_RUNS, {"sources": list(sources), "limit": limit}).mappings():
        found.setdefault(row["source"], []).append(dict(row))
    return found


def requests_per_minute(runs: Sequence[Mapping[str, Any]], now: datetime) -> float:
    """The request rate of the last ten minutes; each run's requests are spread evenly over its duration."""
    since = now - RATE_PERIOD
    total = 0.0
    for run in runs:
        start, end = run["started_at"], run["finished_at"] or now
        if end > since:
            total += run["requests"] * (1 if start >= since else (end - since) / (end - start))
    return total / (RATE_PERIOD.total_seconds() / 60)


def coverage(
    connection: Connection, source: str, now: datetime
) -> tuple[Window, dict[str, tuple[Sequence[Window], Sequence[Window]]]]:
    """The span of a source's timeline, and its covered windows and gaps by partition.

    Coverage reaches back to before any provider, so the span begins with the first call or the oldest gap.
    """
    covered = streams.coverage_of(connection, source)
    uncovered = {partition: gaps(windows) for partition, windows in covered.items()}
    first = connection.execute(FIRST_CALL, {"source": source}).scalar_one()
    starts = [gap.start for windows in uncovered.values() for gap in windows] + ([first] if first else [])
    start = min(starts, default=now - timedelta(days=30))
    span = Window(start - max((now - start) * 0.02, timedelta(hours=1)), now)
    return span, {partition: (covered[partition], uncovered[partition]) for partition in sorted(covered)}
