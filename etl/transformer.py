"""A record → the row of its call, its turns and what is odd about it, or a reject that says why there is none."""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from etl.decode import read_record
from etl.decode.tolerant import RepairedRecord
from etl.fields import between, is_empty, json_type
from etl.fields.vocabulary import MAX_WORD_LENGTH, normalize
from etl.model import Call, Drift, Field, InvalidResponse, Provider, RecordContext, Reject, Source

MOST_DRIFT = 50  # notes of one record: a record of a thousand new keys is one oddity, not a thousand

DEFAULTS: Mapping[str, Any] = {
    "direction": "unknown",
    "outcome": "unknown",
    **dict.fromkeys(("provider_status", "is_live", "is_final", "is_answered")),
    **dict.fromkeys(("agent_id", "agent_name", "campaign_name", "from_number", "to_number", "customer_number")),
    **dict.fromkeys(("agent_number", "customer_name", "customer_email")),
    **dict.fromkeys(("created_at", "started_at", "answered_at", "ended_at", "updated_at")),
    **dict.fromkeys(("duration_seconds", "talk_seconds", "duration_basis", "cost", "cost_unit", "costs")),
    "answered_by": "unknown",
    "ended_by": "unknown",
    **dict.fromkeys(("recording_url", "summary", "sentiment", "error_message", "latency_ms")),
    **dict.fromkeys(("analysis", "metadata", "extra")),
    "quality_flags": [],
}
"""Every column that a record decides, and what it holds where the record says nothing."""


class _Mapping(NamedTuple):
    """A provider's mapping, worked out once: what to read, and which keys that uses up."""

    columns: tuple[tuple[str, Any], ...]
    whole: frozenset[str]  # keys that a field reads whole
    parts: Mapping[str, frozenset[str]]  # keys of which fields read parts
    known: frozenset[str]  # paths that go to extra on purpose


def transform(provider: Provider, source: Source, payload: bytes) -> Call | Reject:
    """One record's exact bytes as rows. Never raises, whatever the bytes are."""
    try:
        record, _ = read_record(payload)
    except InvalidResponse as flaw:
        return Reject(str(flaw), payload)
    return transform_record(provider, read_identity(provider, source, record), payload)


def read_identity(provider: Provider, source: Source, record: Mapping[str, Any]) -> RecordContext:
    """Whose a record is and of when, which is read of every one, whether its content is known or not."""
    reading = RecordContext(source, record)
    reading.call_id = provider.call_id.read(reading)
    reading.row["created_at"] = provider.created_at.read(reading)
    return reading


def transform_record(provider: Provider, reading: RecordContext, payload: bytes) -> Call | Reject:
    """A record that was recognised as rows; ``payload`` are its exact bytes."""
    plan, record, call_id = _mapping(provider), reading.record, reading.call_id
    if call_id is None:
        return Reject("the record has no usable id", payload)
    row = reading.row = {**DEFAULTS, **reading.row}
    if row["created_at"] is None:
        return Reject("created_at is not a time" if reading.flags else "created_at is missing", payload, call_id)
    for name, read in plan.columns:
        row[name] = read(reading)
    turns = provider.turns.read(reading)
    row["extra"] = _extra(plan, reading) or None
    if isinstance(record, RepairedRecord):
        reading.flags += record.flags
    row["quality_flags"] = sorted(set(reading.flags)) if reading.flags else []
    return Call(call_id, row, turns, tuple(dict.fromkeys(reading.drift)) if reading.drift else ())


@cache
def _mapping(provider: Provider) -> _Mapping:
    columns = {**provider.columns, **{name: field for name, field in DERIVED.items() if name not in provider.columns}}
    paths = {path for field in (provider.call_id, provider.created_at, provider.turns) for path in field.paths}
    paths |= {path for field in columns.values() for path in field.paths}
    parts: dict[str, set[str]] = {}
    for path in paths | provider.extra:
        head, dot, rest = path.partition(".")
        if dot:
            parts.setdefault(head, set()).add(rest)
    read_parts = {head: frozenset(rest for rest in inner if f"{head}.{rest}" in paths) for head, inner in parts.items()}
    return _Mapping(
        tuple((name, field.read) for name, field in columns.items()),
        frozenset(path for path in paths if "." not in path),
        read_parts,
        provider.extra,
    )


def _extra(plan: _Mapping, reading: RecordContext) -> dict[str, Any]:
    """What no column holds: fields that nobody read, and those that a reader left to be kept."""
    extra: dict[str, Any] = {}
    record, whole = reading.record, plan.whole
    for key in [key for key in record if key not in whole]:
        value = record[key]
        if key in plan.parts and isinstance(value, dict):
            value = _rest(plan, reading, key, value)
        elif key not in plan.known and not (key in plan.parts and is_empty(value)):
            _drift(reading, key, value)
        if not is_empty(value):
            extra[key] = value
    for path in reading.extra_paths:
        _keep(extra, reading.record, path)
    return extra


def _rest(plan: _Mapping, reading: RecordContext, key: str, value: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: inner for name, inner in value.items() if name not in plan.parts[key]}
    for name, inner in rest.items():
        if f"{key}.{name}" not in plan.known:
            _drift(reading, f"{key}.{name}", inner)
    return {name: inner for name, inner in rest.items() if not is_empty(inner)}


def _drift(reading: RecordContext, path: str, value: Any) -> None:
    if len(reading.drift) < MOST_DRIFT:
        reading.drift.append(Drift(path[:MAX_WORD_LENGTH], "new_field", json_type(value)))


def _keep(extra: dict[str, Any], record: Mapping[str, Any], path: str) -> None:
    head, dot, rest = path.partition(".")
    value = record.get(head)
    if not dot:
        if not is_empty(value):
            extra[head] = value
    elif isinstance(value, dict) and not is_empty(value.get(rest)):
        extra[head] = {**extra.get(head, {}), rest: value[rest]}


def _is_answered(reading: RecordContext) -> bool:
    return bool(reading.row["outcome"] == "completed")


def _side(inbound: str, outbound: str) -> Field:
    """The number of one side, which is the one or the other by the direction of the call."""

    def read(reading: RecordContext) -> Any:
        column = {"inbound": inbound, "outbound": outbound}.get(reading.row["direction"])
        return reading.row[column] if column else None

    return Field((), read)


def _sentiment(reading: RecordContext) -> str | None:
    """The item ``sentiment`` of the analysis: a scalar, or one within ``{"value": …}``."""
    analysis = reading.row["analysis"]
    found: Any = None
    if isinstance(analysis, dict):
        found = analysis.get("sentiment")
    elif isinstance(analysis, list):
        named = (item for item in analysis if isinstance(item, dict) and _is_named(item.get("name")))
        found = next(named, None)
    if isinstance(found, dict):
        found = found.get("value")
    if is_empty(found) or isinstance(found, (dict, list)):
        return None
    return str(found).lower() if isinstance(found, bool) else str(found)


def _is_named(name: Any) -> bool:
    return isinstance(name, str) and len(name) <= MAX_WORD_LENGTH and normalize(name) == "sentiment"


DERIVED: Mapping[str, Field] = {
    "is_answered": Field((), _is_answered),
    "customer_number": _side(inbound="from_number", outbound="to_number"),
    "agent_number": _side(inbound="to_number", outbound="from_number"),
    "talk_seconds": between("answered_at", "ended_at"),
    "cost_unit": Field((), lambda reading: reading.source.cost_unit),
    "sentiment": Field((), _sentiment),
}
"""Columns that follow from others in the same way for every provider, unless its mapping names them itself."""
