"""A source's status row → a badge and a sentence that say whether somebody has to act (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from etl.model import Source
from etl.ops.health import freshness_deadline
from etl.runtime.humanize import ago, counted, moment

GOOD, UNSURE, WARNING, BAD, OFF = "good", "unsure", "warning", "bad", "off"
WORST_FIRST = (BAD, WARNING, UNSURE, GOOD, OFF)
COMPLETENESS = {
    "verified": "every day matches the provider’s own counts",
    "count_match": "the provider lists as many calls as are stored",
    "incomplete": "the provider lists calls that are not stored",
    "unknown": "the counts could not be compared",
}


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """``level`` is good, unsure, warning, bad or off; ``badge`` is one or two words, ``message`` a sentence."""

    level: str
    badge: str
    message: str


def assess(row: Mapping[str, Any], source: Source | None, now: datetime) -> SourceHealth:
    """The first rule that applies to a row of :func:`etl.reports.status.status`; no source: not configured."""
    last = row["last_run"]
    if source is None:
        return SourceHealth(OFF, "not configured", "no longer configured; its stored calls stay")
    if last is None:
        return SourceHealth(UNSURE, "never synced", "the first sync has not started")
    if row["pause_reason"]:
        until = f"{moment(row['paused_until']):%Y-%m-%d %H:%M} UTC"
        return SourceHealth(BAD, "paused", f"{row['pause_reason']}; paused until {until}, `etl sync` tries at once")
    if last["status"] == "failed":
        return SourceHealth(BAD, "failing", last["error"] or "the last run failed")
    if row["completeness"] == "incomplete":
        return SourceHealth(BAD, "incomplete", _missing(row))
    return _assess_working(row, source, now)


def _assess_working(row: Mapping[str, Any], source: Source, now: datetime) -> SourceHealth:
    success = moment(row["last_success_at"])
    if success is None:
        return SourceHealth(UNSURE, "initial sync", "its history is being read for the first time")
    if now > freshness_deadline(source, success):
        message = f"last read {ago(success, now)}, which is longer than its schedule allows"
        return SourceHealth(WARNING, "stale", message)
    if row["gaps"]:
        return SourceHealth(WARNING, "catching up", "a period is not read yet; the next run reads it")
    if row["completeness"] == "unknown":
        return SourceHealth(UNSURE, "not compared", row["reason"] or "the counts have not been compared yet")
    stored = "every listed call is stored or in quarantine" if row["quarantined"] else COMPLETENESS[row["completeness"]]
    return SourceHealth(GOOD, "up to date", stored)


def _missing(row: Mapping[str, Any]) -> str:
    days = row["incomplete_days"]
    if not days:
        return row["reason"] or COMPLETENESS["incomplete"]
    when = f"on {days[0]['day']}" if len(days) == 1 else f"on {len(days)} days"
    return f"{counted(sum(day['missing_count'] for day in days), 'call')} listed but not stored, {when}"
