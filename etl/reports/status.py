"""The state of every source → what `etl status`, the page and programs show of it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypedDict, cast

from sqlalchemy import Engine

from etl.client.errors import PauseReason
from etl.db.statements import Statements, fetch_all
from etl.model import Source
from etl.runtime.humanize import counted
from etl.state import recount
from etl.state.adaptive_rate import stored_rate
from etl.state.recount import ZoneChange
from etl.state.settings_versions import OutdatedCalls, outdated_by_source, outdated_message

STATUS, RUNS = Statements("status"), Statements("runs")
COMPLETENESS = {
    "verified": "compared call by call, and nothing differs",
    "count_match": "as many calls are stored as the provider lists",
    "incomplete": "the provider lists calls that are not stored",
    "unknown": "the counts could not be compared",
}


class SourceStatus(TypedDict):
    """One source, ready for JSON: times are ISO 8601 in UTC.

    ``gaps`` lists the ``{from, to}`` that were not read yet; ``incomplete_days`` the ``{day, missing_count}`` that
    `etl verify` found; ``last_run`` is a row of ``ops.runs``; ``next_run_at`` is not before ``paused_until``;
    ``pause_reason`` is a :class:`PauseReason`, and ``pause_message`` says it, what to do, and until when;
    ``rate_per_minute`` is the current rate limit, lowered after refusals; ``metrics_message`` says how far the metrics
    are counted by a changed ``report_timezone``. ``outdated_calls`` were read under other settings than the source has
    now, each ``{calls, first_day, last_day, changes}``, and ``outdated_message`` says it.
    """

    source: str
    provider: str
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
    pause_message: str | None
    open_checkpoints: int
    metrics_message: str | None
    outdated_calls: list[dict[str, Any]]
    outdated_message: str | None
    requests_per_minute: int | None
    rate_per_minute: float | None


LISTED_DAYS = 5
KEYS = tuple(SourceStatus.__annotations__)


class _Known(NamedTuple):
    """What is known of all sources besides their rows, by the name of each."""

    configured: Mapping[str, Source]
    last_runs: Mapping[str, dict[str, Any]]
    zone_changes: Mapping[str, ZoneChange]
    outdated: Mapping[str, Sequence[OutdatedCalls]]


def status(db: Engine, sources: Sequence[Source], now: datetime | None = None) -> list[SourceStatus]:
    """One status for each source that is configured or stored; the number of statements is that of one source."""
    now, configured = now or datetime.now(UTC), {source.name: source for source in sources}
    with db.connect() as connection:
        rows = fetch_all(connection, STATUS.source_status)
        known = _Known(
            configured,
            {row.source: row._asdict() for row in fetch_all(connection, RUNS.last_run_of_each_source)},
            recount.zone_changes(connection, [row.source for row in rows]),
            outdated_by_source(connection, sources),
        )
    stored = {row.source for row in rows}
    return [_status(row, known, now) for row in rows] + [
        _never_read(source) for source in sources if source.name not in stored
    ]


def missing_message(row: Mapping[str, Any]) -> str | None:
    """How many calls `etl verify` found missing, and on which days; ``None`` for none."""
    days = [day["day"] for day in row["incomplete_days"]]
    if not days:
        return None
    calls = counted(sum(day["missing_count"] for day in row["incomplete_days"]), "call")
    more = f" and {len(days) - LISTED_DAYS} more days" if len(days) > LISTED_DAYS else ""
    when = ", ".join(days[:LISTED_DAYS]) + more
    return f"{calls} missing on {when}: `etl verify {row['source']} --heal` loads them"


def _status(row: Any, known: _Known, now: datetime) -> SourceStatus:
    name, rate = row.source, stored_rate(row, now)
    source, last_run, zone_change = known.configured.get(name), known.last_runs.get(name), known.zone_changes.get(name)
    outdated = known.outdated.get(name, ())
    paused_until = row.paused_until if row.paused_until and row.paused_until > now else None
    found = {
        **{column: _plain(value) for column, value in row._asdict().items()},
        "calls": int(row.calls),
        "is_configured": source is not None,
        "next_run_at": _plain(source and row.next_run_at and max(row.next_run_at, paused_until or row.next_run_at)),
        "paused_until": _plain(paused_until),
        **_pause(row, source, paused_until),
        "metrics_message": zone_change and zone_change.message,
        "outdated_calls": [each.as_dict() for each in outdated],
        "outdated_message": outdated_message(name, outdated),
        "rate_per_minute": None if rate is None else round(rate, 1),
        "gaps": [{"from": _plain(start), "to": _plain(end)} for start, end in row.gaps],
        "last_run": last_run and {column: _plain(value) for column, value in last_run.items() if column != "source"},
    }
    return cast(SourceStatus, {column: found[column] for column in KEYS})


def _pause(row: Any, source: Source | None, until: datetime | None) -> dict[str, str | None]:
    if until is None or source is None or row.pause_reason is None:
        return {"pause_reason": None, "pause_message": None}
    reason = PauseReason(row.pause_reason)
    what, at_once = f": {reason.hint(source.key_name)}", f", `etl sync {source.name}` tries at once"
    if not reason.needs_action:
        what = at_once = ""
    message = f"{reason.problem}{what}; paused until {until:%Y-%m-%d %H:%M} UTC{at_once}"
    return {"pause_reason": reason.value, "pause_message": message}


def _never_read(source: Source) -> SourceStatus:
    """The same keys as for any other source, so that a program needs no special case."""
    never = dict.fromkeys(KEYS)
    known = {"source": source.name, "provider": source.provider, "is_configured": True}
    state = {"completeness": "unknown", "reason": "never read"}
    counts = dict.fromkeys(("calls", "open_calls", "quarantined", "open_checkpoints"), 0)
    lists: dict[str, list[Any]] = {"gaps": [], "incomplete_days": [], "outdated_calls": []}
    return cast(SourceStatus, {**never, **known, **state, **counts, **lists})


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
