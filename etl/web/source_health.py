"""What the books say of a source → one word, one colour and a sentence: whether somebody has to look."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from etl.model import Source
from etl.ops.health import freshness_deadline
from etl.runtime.humanize import ago, counted, moment

GOOD, UNSURE, WARNING, BAD, OFF = "good", "unsure", "warning", "bad", "off"
WORST_FIRST = (BAD, WARNING, UNSURE, GOOD, OFF)


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """``kind`` is good, unsure, warning, bad or off; ``word`` is for a badge and ``said`` is the sentence beside it."""

    kind: str
    word: str
    said: str


def assess(row: Mapping[str, Any], source: Source | None, now: datetime) -> SourceHealth:
    """The first of these that applies to a row of :func:`etl.reports.status.status`; no source: not configured."""
    last = row["last_run"]
    if source is None:
        return SourceHealth(OFF, "left alone", "no longer configured; what was read of it stays")
    if last is None:
        return SourceHealth(UNSURE, "never read", "the first reading has not begun")
    if row["pause_reason"]:
        return SourceHealth(BAD, "set aside", f"{row['pause_reason']}; etl sync tries at once")
    if last["status"] == "failed":
        return SourceHealth(BAD, "failing", last["error"] or "the last run failed")
    if row["completeness"] == "incomplete":
        return SourceHealth(BAD, "incomplete", _gap(row))
    return _of_one_that_is_read(row, source, now)


def _of_one_that_is_read(row: Mapping[str, Any], source: Source, now: datetime) -> SourceHealth:
    success = moment(row["last_success_at"])
    if success is None:
        return SourceHealth(UNSURE, "first reading", "its history is being read for the first time")
    if now > freshness_deadline(source, success):
        return SourceHealth(
            WARNING, "stale", f"last read {ago(success, now)}, which is longer than its schedule allows"
        )
    if row["gaps"]:
        return SourceHealth(WARNING, "catching up", "a stretch of time is not held yet; the next run reads it")
    if row["completeness"] == "unknown":
        return SourceHealth(UNSURE, "unproven", row["reason"] or "nobody has compared the counts yet")
    return SourceHealth(GOOD, "up to date", COMPLETE[row["completeness"]])


def _gap(row: Mapping[str, Any]) -> str:
    days = row["incomplete_days"]
    if not days:
        return row["reason"] or COMPLETE["incomplete"]
    on = f"on {days[0]['day']}" if len(days) == 1 else f"on {len(days)} days"
    return f"{counted(sum(each['missing'] for each in days), 'call')} listed and not held, {on}"


COMPLETE = {
    "verified": "proved day by day against the provider’s own counts",
    "count_match": "the provider lists as many calls as are held",
    "incomplete": "the provider lists calls that are not held",
    "unknown": "the counts could not be compared",
}
