"""A source's status row → a badge and a sentence that say whether somebody has to act (pure)."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from etl.client.errors import PauseReason
from etl.model import Source
from etl.ops.health import freshness_deadline
from etl.reports.status import COMPLETENESS, missing_message
from etl.runtime.humanize import ago, counted, moment

GOOD, UNSURE, WARNING, BAD, OFF = "good", "unsure", "warning", "bad", "off"
BADGES = (  # the worst first
    "paused", "failing", "incomplete", "stale", "catching up", "old settings", "never synced", "initial sync",
    "not compared", "up to date", "not configured",
)  # fmt: skip
QUARANTINED = "every listed call is stored or in quarantine"


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """``level`` is good, unsure, warning, bad or off; ``badge`` is one or two words, ``message`` a sentence.

    ``headline`` is the sentence for a page that shows all sources, so it names this one.
    """

    level: str
    badge: str
    message: str
    headline: str = ""


class AssessedSource(NamedTuple):
    """A row of :func:`etl.reports.status.status`, its configuration if it has one, and what follows from both."""

    row: Mapping[str, Any]
    source: Source | None
    health: SourceHealth


def worst_first(rows: Iterable[Mapping[str, Any]], sources: Iterable[Source], now: datetime) -> list[AssessedSource]:
    """Every source assessed, those that need attention first."""
    configured = {source.name: source for source in sources}
    found = [
        AssessedSource(row, source, assess(row, source, now))
        for row, source in ((row, configured.get(row["source"])) for row in rows)
    ]
    return sorted(found, key=lambda each: (BADGES.index(each.health.badge), each.row["source"]))


def count_badges(assessed: Iterable[AssessedSource]) -> dict[str, int]:
    """How many sources have each badge, the worst first, without badges that none has."""
    counts = Counter(each.health.badge for each in assessed)
    return {badge: counts[badge] for badge in BADGES if counts[badge]}


def assess(row: Mapping[str, Any], source: Source | None, now: datetime) -> SourceHealth:
    """The first rule that applies to a row of :func:`etl.reports.status.status`; no source: not configured."""
    name, last = row["source"], row["last_run"]
    if source is None:
        return SourceHealth(OFF, "not configured", "no longer configured; its stored calls stay")
    if last is None:
        return SourceHealth(UNSURE, "never synced", "the first sync has not started", f"{name} was never read")
    if row["pause_reason"]:
        problem = PauseReason(row["pause_reason"]).headline
        return SourceHealth(BAD, "paused", row["pause_message"], f"{name} {problem}")
    if last["status"] == "failed":
        return SourceHealth(BAD, "failing", last["error"] or "the last run failed", f"{name} cannot be read")
    if row["completeness"] == "incomplete":
        missing = sum(day["missing_count"] for day in row["incomplete_days"])
        calls = f"{counted(missing, 'call')} of {name} {'is' if missing == 1 else 'are'}"
        headline = f"{calls if missing else f'calls of {name} are'} missing"
        return SourceHealth(
            BAD, "incomplete", missing_message(row) or row["reason"] or COMPLETENESS["incomplete"], headline
        )
    return _assess_working(row, source, now)


def _assess_working(row: Mapping[str, Any], source: Source, now: datetime) -> SourceHealth:
    name, success = source.name, moment(row["last_success_at"])
    if success is None:
        message = "its history is being read for the first time"
        return SourceHealth(UNSURE, "initial sync", message, f"the history of {name} is being read")
    if now > freshness_deadline(source, success):
        read = f"last read {ago(success, now)}"
        message = f"{read}, which is longer than its schedule allows"
        return SourceHealth(WARNING, "stale", message, f"{name} was {read}")
    if row["gaps"]:
        message = "a period is not read yet; the next run reads it"
        return SourceHealth(WARNING, "catching up", message, f"a period of {name} is not read yet")
    if row["outdated_message"]:
        headline = f"some calls of {name} were read under other settings"
        return SourceHealth(WARNING, "old settings", row["outdated_message"], headline)
    if row["completeness"] == "unknown":
        message = row["reason"] or "the counts have not been compared yet"
        return SourceHealth(UNSURE, "not compared", message, f"{name} is not yet known to be complete")
    stored = QUARANTINED if row["quarantined"] else COMPLETENESS[row["completeness"]]
    return SourceHealth(GOOD, "up to date", stored)
