"""The books → one call's life: what was seen of it and when, what changed, and what reads it again."""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from etl.extractors import providers
from etl.fields.vocabulary import FLAGS
from etl.loader import raw
from etl.loader.writer import call_key
from etl.model import Source
from etl.reports.call_history_model import (
    CallDetails,
    CallHistory,
    CallRef,
    Change,
    Cost,
    ReceivedVersion,
    Rejected,
    RunEffect,
    Transcript,
)
from etl.reports.next_read import NextRead, next_read
from etl.reports.status import known_sources

HIDDEN = "(hidden)"
# The columns whose values show nothing of a person; those of any other are hidden, a column of tomorrow's too.
OPEN = frozenset({
    "direction", "outcome", "provider_status", "is_final", "agent_id", "agent_name", "campaign_name", "created_at",
    "started_at", "answered_at", "ended_at", "updated_at", "duration_seconds", "talk_seconds", "duration_basis", "cost",
    "cost_unit", "costs", "answered_by", "ended_by", "latency_ms", "turn_count", "has_transcript", "transcript",
    "quality_flags", "delisted_at",
})  # fmt: skip

CALLS = text("""
    SELECT call_key, source, provider_call_id FROM warehouse.calls WHERE call_key = ANY(:keys) ORDER BY source
""")
REJECTS = text("""
    SELECT quarantine_id, source, provider_call_id, reason, first_seen_at, last_seen_at, resolved_at, run_id
      FROM ops.quarantine
     WHERE (source, provider_call_id) IN (SELECT * FROM unnest(CAST(:sources AS text[]), CAST(:ids AS text[])))
     ORDER BY source, first_seen_at, quarantine_id
""")
CALL = text("""
    SELECT c.call_key, c.source, c.provider, c.provider_call_id, c.direction, c.outcome, c.created_at, c.ended_at,
           c.answered_at, c.from_number, c.to_number, c.cost, c.cost_unit, c.costs, c.turn_count, c.has_transcript,
           c.quality_flags, c.first_seen_at, c.changed_at, c.delisted_at,
           coalesce(c.is_final, c.created_at < CAST(:now AS timestamptz) - interval '1 day') AS is_final,
           c.created_at + make_interval(secs => s.settled_after_seconds::double precision) AS settles_at,
           seen.seen_at, seen.run_id AS seen_by, t.state AS transcript, t.asked_at, t.attempts, t.reason
      FROM warehouse.calls c
      JOIN ops.sources s USING (source)
      LEFT JOIN ops.call_last_seen seen USING (call_key)
      LEFT JOIN ops.transcript_requests t USING (call_key)
     WHERE c.call_key = :key
""")
CHANGES = text("""
    SELECT changed_at, run_id, field, old_value, new_value
      FROM warehouse.changes WHERE call_key = :key ORDER BY change_id
""")
RUNS = text("SELECT run_id, kind, status, started_at FROM ops.runs WHERE run_id = ANY(:runs) ORDER BY run_id")


def resolve(connection: Connection, wanted: str) -> list[CallRef]:
    """The calls that a text may mean: a call's key, a provider's id, or ``SOURCE:ID``."""
    wanted = wanted.encode(errors="replace").decode()  # a word of the command line may be no UTF-8
    names = known_sources(connection)
    prefix, _, rest = wanted.partition(":")
    ids = [(name, wanted) for name in names] + ([(prefix, rest)] if prefix in names else [])
    keys = [call_key(name, call_id) for name, call_id in ids] + _as_key(wanted)
    held = [
        CallRef(row.source, row.provider_call_id, row.call_key) for row in connection.execute(CALLS, {"keys": keys})
    ]
    known = {(each.source, each.provider_call_id) for each in held}
    waiting = {(row.source, row.provider_call_id) for row in _rejects(connection, ids)} - known
    return sorted(held + [CallRef(*each, None) for each in waiting])


def _as_key(wanted: str) -> list[uuid.UUID]:
    try:
        return [uuid.UUID(wanted)]
    except ValueError:
        return []


def _rejects(connection: Connection, ids: Sequence[tuple[str, str]]) -> Sequence[Row[Any]]:
    sources, of_calls = [name for name, _ in ids], [call_id for _, call_id in ids]
    return connection.execute(REJECTS, {"sources": sources, "ids": of_calls}).all()


def call_history(
    connection: Connection, call: CallRef, sources: Sequence[Source], now: datetime, *, show_values: bool = False
) -> CallHistory:
    """The life of a call that :func:`resolve` found; ``sources`` are those configured, whose sweeps read it again.

    Changed values of a person, such as numbers and summaries, are :data:`HIDDEN` unless ``show_values``.
    """
    rejected = [
        Rejected(r.quarantine_id, r.reason, r.first_seen_at, r.last_seen_at, r.resolved_at, r.run_id)
        for r in _rejects(connection, [(call.source, call.provider_call_id)])
    ]
    row = connection.execute(CALL, {"key": call.call_key, "now": now}).one_or_none()
    held = None
    if row is not None:
        source = next((each for each in sources if each.name == call.source), None)
        of_call = dict(row._mapping)
        held = _held(connection, of_call, next_read(connection, of_call, source, now), now, show_values=show_values)
    runs = _runs(connection, held, row.seen_by if row else None, rejected)
    return CallHistory(call.source, call.provider_call_id, held, rejected, runs)


def _held(
    connection: Connection, row: Mapping[str, Any], next_reading: NextRead, now: datetime, *, show_values: bool
) -> CallDetails:
    versions = _versions(connection, row["call_key"])
    is_settled = row["is_final"] and row["settles_at"] <= now
    sightings = [row["first_seen_at"], row["seen_at"], *(each.received_at for each in versions)]
    return CallDetails(
        **{name: row[name] for name in ("call_key", "provider", "direction", "outcome", "created_at", "ended_at")},
        **{name: row[name] for name in ("first_seen_at", "changed_at", "is_final", "delisted_at")},
        last_seen_at=max(at for at in sightings if at is not None),
        settles_at=row["settles_at"] if row["is_final"] and not is_settled else None,
        settled_at=row["settles_at"] if is_settled else None,
        flags={flag: FLAGS.get(flag, "") for flag in row["quality_flags"]},
        transcript=_transcript(row),
        cost=_cost(row, is_settled=is_settled),
        versions=versions,
        changes=_changes(connection, row["call_key"], show_values=show_values),
        next_reading=next_reading,
    )


def _versions(connection: Connection, key: uuid.UUID) -> list[ReceivedVersion]:
    found = raw.versions(connection, [key])[key]
    newest = {each.kind: each for each in found}
    return [
        ReceivedVersion(
            each.kind, each.received_at, each.run_id, len(each.payload), each.seq, each is newest[each.kind]
        )
        for each in sorted(found, key=lambda each: each.received_at)
    ]


def _changes(connection: Connection, key: uuid.UUID, *, show_values: bool) -> list[Change]:
    def shown(field: str, value: str | None) -> str | None:
        return value if show_values or field in OPEN or value is None else HIDDEN

    return [
        Change(r.changed_at, r.run_id, r.field, shown(r.field, r.old_value), shown(r.field, r.new_value))
        for r in connection.execute(CHANGES, {"key": key})
    ]


def _transcript(row: Mapping[str, Any]) -> Transcript:
    return Transcript(
        row["has_transcript"], row["turn_count"], _of_transcript(row), row["asked_at"], row["attempts"] or 0
    )


def _of_transcript(row: Mapping[str, Any]) -> str:
    provider = providers().get(row["provider"])
    if row["has_transcript"]:
        return "held"
    if provider is None or provider.transcript is None:
        return "none yet: it would come with the record"
    if not row["is_final"]:
        return "not asked for: it is asked for once the call is final"
    if row["answered_at"] is None:
        return "not asked for: nobody answered the call"
    if row["transcript"] is None:
        return "not asked for yet: the next run does"
    state = "not ready" if row["transcript"] == "not_ready" else row["transcript"]
    reason = f" ({row['reason']})" if row["reason"] else ""
    return f"{state}{reason}: asked for again by each sweep that reads the call"


def _cost(row: Mapping[str, Any], *, is_settled: bool) -> Cost:
    said = "held" if row["cost"] is not None else "none was sent" if is_settled else "none was sent yet"
    parts = {name: {"amount": amount, "unit": unit} for name, (amount, unit) in (row["costs"] or {}).items()}
    return Cost(row["cost"], row["cost_unit"], parts, said)


def _runs(
    connection: Connection, held: CallDetails | None, seen_by: int | None, rejected: Sequence[Rejected]
) -> list[RunEffect]:
    """The runs that the books name with the call, and what each did to it."""
    received = Counter(version.run_id for version in held.versions) if held else Counter()
    changed = Counter(change.run_id for change in held.changes) if held else Counter()
    quarantined = Counter(each.run_id for each in rejected)
    numbers = sorted(run for run in {*received, *changed, *quarantined, seen_by} if run is not None)
    known = {row.run_id: row for row in connection.execute(RUNS, {"runs": numbers})}

    def touch(number: int) -> RunEffect:
        run = known.get(number)
        return RunEffect(
            number,
            run.kind if run else None,
            run.status if run else None,
            run.started_at if run else None,
            received[number],
            changed[number],
            quarantined[number],
            number == seen_by,
        )

    return [touch(number) for number in numbers]
