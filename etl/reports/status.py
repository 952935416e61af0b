"""The state of every source → what `etl status`, the page and programs show of it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypedDict, cast

from sqlalchemy import Connection, Engine

from etl.client.errors import PauseReason
from etl.db.statements import Statements, fetch_all
from etl.intervals import gaps
from etl.state import daily_checks, streams
from etl.state.adaptive_rate import stored_rate

STATUS, RUNS = Statements("status"), Statements("runs")


class SourceStatus(TypedDict):
    """One source, ready for JSON: times are ISO 8601 in UTC.

    ``gaps`` lists the ``{from, to}`` that were not read yet; ``incomplete_days`` the ``{day, missing_count}`` that
    `etl verify` found; ``last_run`` is a row of ``ops.runs``; ``rate_per_minute`` is the current rate limit, lowered
    after refusals.
    """

    source: str
    provider: str | None
    is_configured: bool
    calls: int
    newest_call_at: str | None
    watermark: str | None
    complete_since: str | None
    completeness: str
    reason: str | None
    gaps: list[dict[str, str]]
    incomplete_days: list[dict[str, Any]]
    open_calls: int
    quarantined: int
    last_success_at: str | None
    last_run: dict[str, Any] | None
    next_run_at: str | None
    schedule: str | None
    paused_until: str | None
    pause_reason: str | None
    open_checkpoints: int
    requests_per_minute: int | None
    rate_per_minute: float | None


KEYS = tuple(SourceStatus.__annotations__)


def status(db: Engine, configured: Sequence[str], now: datetime | None = None) -> list[SourceStatus]:
    """One status for each source that is configured or stored."""
    now = now or datetime.now(UTC)
    with db.connect() as connection:
        runs = {row.source: row._asdict() for row in fetch_all(connection, RUNS.last_run_of_each_source)}
        rows = fetch_all(connection, STATUS.source_status)
        stored = [_status(connection, row, runs.get(row.source), now) for row in rows]
    for source in stored:
        source["is_configured"] = source["source"] in configured
    known = {source["source"] for source in stored}
    return stored + [_never_read(name) for name in configured if name not in known]


def _status(connection: Connection, row: Any, last_run: dict[str, Any] | None, now: datetime) -> SourceStatus:
    coverage = streams.coverage_of(connection, row.source)
    rate = stored_rate(row, now)
    found = {
        **{name: _plain(value) for name, value in row._asdict().items()},
        "calls": int(row.calls),
        "is_configured": False,
        "pause_reason": PauseReason(row.pause_reason).problem if row.pause_reason else None,
        "rate_per_minute": None if rate is None else round(rate, 1),
        "watermark": _plain(min((windows[-1].end for windows in coverage.values() if windows), default=None)),
        "gaps": [
            {"from": _plain(gap.start), "to": _plain(gap.end)} for windows in coverage.values() for gap in gaps(windows)
        ],
        "incomplete_days": [
            {"day": day.day.isoformat(), "missing_count": day.missing_count}
            for day in daily_checks.incomplete_days(connection, row.source)
        ],
        "last_run": last_run and {name: _plain(value) for name, value in last_run.items() if name != "source"},
    }
    return cast(SourceStatus, {name: found[name] for name in KEYS})


def _never_read(name: str) -> SourceStatus:
    """The same keys as for any other source, so that a program needs no special case."""
    never = dict.fromkeys(KEYS)
    known = {"source": name, "is_configured": True, "completeness": "unknown", "reason": "never read"}
    counts = {"calls": 0, "gaps": [], "incomplete_days": [], "open_calls": 0, "quarantined": 0, "open_checkpoints": 0}
    return cast(SourceStatus, {**never, **known, **counts})


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
