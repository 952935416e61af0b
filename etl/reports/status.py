"""The books → what a person, or a program, wants to know of each source."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, text

from etl.client.errors import PauseReason
from etl.intervals import gaps
from etl.state import daily_checks, streams
from etl.state.adaptive_rate import AdaptiveRate, current_rate

FRESHNESS = text("""
    SELECT f.*, s.schedule, s.next_run_at, s.paused_until, s.pause_reason,
           p.requests_per_minute, p.adaptive_rate_per_minute, p.adapted_at,
           (SELECT reason FROM ops.streams l WHERE l.source = f.source AND l.reason IS NOT NULL
             ORDER BY array_position(ARRAY['incomplete', 'unknown', 'count_match', 'verified'], completeness)
             LIMIT 1) AS reason,
           (SELECT count(*) FROM ops.checkpoints w WHERE w.source = f.source) AS open_checkpoints
      FROM bi.freshness f
      JOIN ops.sources s USING (source)
      LEFT JOIN ops.rate_limits p USING (source)
     ORDER BY f.source
""")
LAST_RUNS = text("""
    SELECT s.source, r.*
      FROM ops.sources s
     CROSS JOIN LATERAL (SELECT run_id, kind, status, started_at, finished_at, requests, pages, received, inserted,
                                updated, unchanged, quarantined, error, notes
                           FROM ops.runs WHERE source = s.source
                          ORDER BY started_at DESC, run_id DESC LIMIT 1) r
""")
KEYS = (
    "source",
    "provider",
    "is_configured",
    "newest_call_at",
    "watermark",
    "complete_since",
    "completeness",
    "reason",
    "gaps",
    "incomplete_days",
    "open_calls",
    "quarantined",
    "last_success_at",
    "last_run",
    "next_run_at",
    "schedule",
    "paused_until",
    "pause_reason",
    "open_checkpoints",
    "requests_per_minute",
    "rate_per_minute",
)


def status(db: Engine, configured: Sequence[str], now: datetime | None = None) -> list[dict[str, Any]]:
    """One dictionary for each source that is configured or stored, ready for JSON.

    The keys are :data:`KEYS`. Times are ISO 8601 in UTC; ``gaps`` lists the ``{from, to}`` that were not read yet;
    ``incomplete_days`` the ``{day, missing_count}`` that `etl verify` found; ``last_run`` is a row of ``ops.runs`` or
    null; ``rate_per_minute`` is the current rate limit, lowered after rejections.
    """
    now = now or datetime.now(UTC)
    with db.connect() as connection:
        runs = {row.source: row for row in connection.execute(LAST_RUNS)}
        out = []
        for row in connection.execute(FRESHNESS).mappings().all():
            coverage = streams.coverage_of(connection, row["source"])
            tops = [windows[-1].end for windows in coverage.values() if windows]
            last = runs.get(row["source"])
            out.append(
                {
                    **{name: _plain(value) for name, value in row.items()},
                    "is_configured": row["source"] in configured,
                    "pause_reason": PauseReason(row["pause_reason"]).problem if row["pause_reason"] else None,
                    "rate_per_minute": _rate(row, now),
                    "watermark": _plain(min(tops, default=None)),
                    "gaps": [
                        {"from": _plain(gap.start), "to": _plain(gap.end)}
                        for windows in coverage.values()
                        for gap in gaps(windows)
                    ],
                    "incomplete_days": [
                        {"day": each.day.isoformat(), "missing_count": each.missing_count}
                        for each in daily_checks.incomplete_days(connection, row["source"])
                    ],
                    "last_run": {k: _plain(v) for k, v in last._mapping.items() if k != "source"} if last else None,
                }
            )
    seen = {each["source"] for each in out}
    out += [_never_read(name) for name in configured if name not in seen]
    return [{key: each[key] for key in KEYS} for each in out]


def known_sources(connection: Connection) -> list[str]:
    """The names of all sources that were ever configured."""
    return list(connection.scalars(text("SELECT source FROM ops.sources ORDER BY source")))


def _never_read(name: str) -> dict[str, Any]:
    """The same keys as any other row, so that a program needs no special case."""
    never = dict.fromkeys(KEYS)
    known = {"source": name, "is_configured": True, "completeness": "unknown", "reason": "never read"}
    return never | known | {"gaps": [], "incomplete_days": [], "open_calls": 0, "quarantined": 0, "open_checkpoints": 0}


def _rate(row: RowMapping, now: datetime) -> float | None:
    if row["requests_per_minute"] is None:
        return None
    learned = (
        AdaptiveRate(row["adaptive_rate_per_minute"], row["adapted_at"]) if row["adaptive_rate_per_minute"] else None
    )
    return round(current_rate(row["requests_per_minute"], learned, now), 1)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
