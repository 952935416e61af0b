"""A call → its history: when it was seen, its versions and changes, the runs involved, and when it is read next."""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from etl.db.statements import Statements, fetch_all, fetch_one
from etl.extractors import providers
from etl.fields.vocabulary import FLAGS
from etl.loader import raw
from etl.loader.batch import call_key
from etl.model import Source
from etl.reports.call_history_model import (
    CallCost,
    CallDetails,
    CallHistory,
    CallRef,
    Change,
    QuarantinedRecord,
    ReceivedVersion,
    RunEffect,
    TranscriptState,
)
from etl.reports.next_read import next_read
from etl.state import registry

HIDDEN = "(hidden)"
# The columns without personal data; the values of all others are hidden, also those of a new column.
OPEN = frozenset({
    "direction", "outcome", "provider_status", "is_final", "is_answered", "agent_id", "agent_name", "agent_version",
    "campaign_name", "created_at", "started_at", "answered_at", "ended_at", "updated_at", "duration_seconds",
    "talk_seconds", "duration_basis", "cost", "cost_unit", "costs", "answered_by", "ended_by", "latency_ms",
    "turn_count", "has_transcript", "transcript", "quality_flags", "delisted_at",
})  # fmt: skip

CALLS, QUARANTINE, RUNS = Statements("calls"), Statements("quarantine"), Statements("runs")


def resolve(connection: Connection, wanted: str) -> list[CallRef]:
    """The calls that a text may refer to: a call's key, a provider's id, or ``SOURCE:ID``."""
    wanted = wanted.encode(errors="replace").decode()  # an argument of the command line may not be UTF-8
    names = registry.known_sources(connection)
    prefix, _, rest = wanted.partition(":")
    ids = [(name, wanted) for name in names] + ([(prefix, rest)] if prefix in names else [])
    keys = [call_key(name, call_id) for name, call_id in ids] + _as_key(wanted)
    stored = [
        CallRef(row.source, row.provider_call_id, row.call_key)
        for row in fetch_all(connection, CALLS.calls_by_key, {"keys": keys})
    ]
    stored_ids = {(call.source, call.provider_call_id) for call in stored}
    rejected = {(row.source, row.provider_call_id) for row in _rejects(connection, ids)} - stored_ids
    return sorted(stored + [CallRef(source, call_id, None) for source, call_id in rejected])


def _as_key(text: str) -> list[uuid.UUID]:
    try:
        return [uuid.UUID(text)]
    except ValueError:
        return []


def _rejects(connection: Connection, ids: Sequence[tuple[str, str]]) -> Sequence[Any]:
    sources, call_ids = [name for name, _ in ids], [call_id for _, call_id in ids]
    return fetch_all(connection, QUARANTINE.rejects_of_calls, {"sources": sources, "ids": call_ids})


def call_history(
    connection: Connection, call: CallRef, sources: Sequence[Source], now: datetime, *, show_values: bool = False
) -> CallHistory:
    """The history of a call that :func:`resolve` found; ``sources`` are those configured, which may read it again.

    Values with personal data, such as numbers and summaries, are :data:`HIDDEN` unless ``show_values``.
    """
    rejected = [
        QuarantinedRecord(r.quarantine_id, r.reason, r.first_seen_at, r.last_seen_at, r.resolved_at, r.run_id)
        for r in _rejects(connection, [(call.source, call.provider_call_id)])
    ]
    found = fetch_one(connection, CALLS.call_state, {"key": call.call_key, "now": now})
    if found is None or call.call_key is None:
        runs = _runs(connection, [], [], None, rejected)
        return CallHistory(call.source, call.provider_call_id, None, [], [], None, rejected, runs)
    row = found._asdict()
    source = next((source for source in sources if source.name == call.source), None)
    versions = _versions(connection, call.call_key)
    changes = _changes(connection, call.call_key, show_values=show_values)
    return CallHistory(
        call.source,
        call.provider_call_id,
        _details(row, versions, now, show_values=show_values),
        versions,
        changes,
        next_read(connection, row, source, now),
        rejected,
        _runs(connection, versions, changes, row["seen_by"], rejected),
    )


def _details(
    row: Mapping[str, Any], versions: Sequence[ReceivedVersion], now: datetime, *, show_values: bool
) -> CallDetails:
    seen = [row["first_seen_at"], row["seen_at"], *(version.received_at for version in versions)]
    customer = " ".join(filter(None, (row["customer_number"], row["customer_name"]))) or None
    return CallDetails(
        **{name: row[name] for name in ("call_key", "provider", "direction", "outcome", "agent_name", "created_at")},
        **{name: row[name] for name in ("ended_at", "duration_seconds", "first_seen_at", "changed_at", "is_final")},
        customer=customer if show_values else customer and HIDDEN,
        summary=row["summary"] if show_values else row["summary"] and HIDDEN,
        delisted_at=row["delisted_at"],
        last_seen_at=max(at for at in seen if at is not None),
        settles_at=row["settles_at"] if row["is_final"] else None,
        flags={flag: FLAGS.get(flag, "") for flag in row["quality_flags"]},
        transcript=_transcript(row),
        cost=_cost(row, is_settled=row["is_final"] and row["settles_at"] <= now),
    )


def _versions(connection: Connection, key: uuid.UUID) -> list[ReceivedVersion]:
    found = raw.versions(connection, [key])[key]
    newest = {version.kind: version for version in found}
    return [
        ReceivedVersion(v.kind, v.received_at, v.run_id, len(v.payload), v.seq, v is newest[v.kind])
        for v in sorted(found, key=lambda version: version.received_at)
    ]


def _changes(connection: Connection, key: uuid.UUID, *, show_values: bool) -> list[Change]:
    def shown(field: str, value: str | None) -> str | None:
        return value if show_values or field in OPEN or value is None else HIDDEN

    return [
        Change(r.changed_at, r.run_id, r.field, shown(r.field, r.old_value), shown(r.field, r.new_value))
        for r in fetch_all(connection, CALLS.changes_of_call, {"key": key})
    ]


def _transcript(row: Mapping[str, Any]) -> TranscriptState:
    message = _transcript_message(row)
    return TranscriptState(row["has_transcript"], row["turn_count"], message, row["asked_at"], row["attempts"] or 0)


def _transcript_message(row: Mapping[str, Any]) -> str:
    provider = providers().get(row["provider"])
    if row["has_transcript"]:
        return "stored"
    if provider is None or provider.transcript is None:
        return "none yet: it comes with the record"
    if not row["is_final"]:
        return "not requested: it is requested once the call is final"
    if row["answered_at"] is None:
        return "not requested: the call was not answered"
    if row["transcript"] is None:
        return "not requested yet: the next run does"
    state = "not ready" if row["transcript"] == "not_ready" else row["transcript"]
    reason = f" ({row['reason']})" if row["reason"] else ""
    return f"{state}{reason}: requested again by each lookback that reads the call"


def _cost(row: Mapping[str, Any], *, is_settled: bool) -> CallCost:
    message = "stored" if row["cost"] is not None else "none was sent" if is_settled else "none was sent yet"
    parts = {name: {"amount": amount, "unit": unit} for name, (amount, unit) in (row["costs"] or {}).items()}
    return CallCost(row["cost"], row["cost_unit"], parts, message)


def _runs(
    connection: Connection,
    versions: Sequence[ReceivedVersion],
    changes: Sequence[Change],
    seen_by: int | None,
    rejected: Sequence[QuarantinedRecord],
) -> list[RunEffect]:
    """The runs that touched the call, and what each did to it."""
    received = Counter(version.run_id for version in versions)
    changed = Counter(change.run_id for change in changes)
    quarantined = Counter(record.run_id for record in rejected)
    numbers = sorted(run for run in {*received, *changed, *quarantined, seen_by} if run is not None)
    stored = {row.run_id: row for row in fetch_all(connection, RUNS.runs_by_id, {"runs": numbers})}

    def effect(number: int) -> RunEffect:
        run = stored.get(number)
        kind, status, started_at = (run.kind, run.status, run.started_at) if run else (None, None, None)
        counts = received[number], changed[number], quarantined[number]
        return RunEffect(number, kind, status, started_at, *counts, number == seen_by)

    return [effect(number) for number in numbers]
