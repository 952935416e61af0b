"""The stored sync state of a source, as its page shows it: runs, coverage, streams, schema drift, quarantine."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from etl.db.statements import Statements, fetch_all, fetch_value
from etl.intervals import gaps
from etl.model import Window
from etl.state import daily_checks, quarantine, streams
from etl.state.streams import StreamState
from etl.sync.completeness import RemoteCount, rate_completeness

RUNS_ON_CARD = 40
RATE_PERIOD = timedelta(minutes=10)
STATEMENTS = Statements("page_sources")


def last_runs(connection: Connection, sources: Sequence[str], limit: int) -> dict[str, list[Any]]:
    """The last runs of each source, oldest first."""
    found: dict[str, list[Any]] = {}
    for run in fetch_all(connection, STATEMENTS.last_runs, {"sources": list(sources), "limit": limit}):
        found.setdefault(run.source, []).append(run)
    return found


def requests_per_minute(runs: Sequence[Any], now: datetime) -> float:
    """The request rate of the last ten minutes; each run's requests are spread evenly over its duration."""
    since = now - RATE_PERIOD
    total = 0.0
    for run in runs:
        start, end = run.started_at, run.finished_at or now
        if end > since:
            total += run.requests * (1 if start >= since else (end - since) / (end - start))
    return total / (RATE_PERIOD.total_seconds() / 60)


def coverage(
    connection: Connection, source: str, now: datetime
) -> tuple[Window, dict[str, tuple[Sequence[Window], Sequence[Window]]]]:
    """The span of a source's timeline, and its covered windows and gaps by partition.

    Coverage reaches back to before any provider, so the span begins with the first call or the oldest gap.
    """
    covered = streams.coverage_of(connection, source)
    uncovered = {partition: gaps(windows) for partition, windows in covered.items()}
    first = fetch_value(connection, STATEMENTS.first_call_at, {"source": source})
    starts = [gap.start for windows in uncovered.values() for gap in windows] + ([first] if first else [])
    start = min(starts, default=now - timedelta(days=30))
    span = Window(start - max((now - start) * 0.02, timedelta(hours=1)), now)
    return span, {partition: (covered[partition], uncovered[partition]) for partition in sorted(covered)}


def call_lists(connection: Connection, source: str) -> list[dict[str, Any]]:
    """The provider's call lists with how many of each are stored now, rated again where those have become fewer."""
    found = []
    for row in fetch_all(connection, STATEMENTS.streams, {"source": source}):
        since = row.remote_oldest_at or datetime.min.replace(tzinfo=UTC)
        stored, rated = (
            streams.count_stored(connection, StreamState(source, row.partition), since),
            dict[str, str | None](),
        )
        if row.remote_count is not None and stored < (row.local_count or 0):
            # what `etl verify` misses is not in quarantine
            waiting = 0 if daily_checks.incomplete_days(connection, source) else quarantine.waiting(connection, source)
            rated["completeness"], rated["reason"] = rate_completeness(RemoteCount(row.remote_count), stored, waiting)
        found.append({**row._asdict(), **rated, "stored_count": stored})
    return found
