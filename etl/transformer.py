"""A record → its call's row, turns and schema drift, or a reject with the reason why there is no row."""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from etl.decode import read_record
from etl.decode.tolerant import RepairedRecord
from etl.fields import between, is_empty, json_type
from etl.fields.vocabulary import MAX_WORD_LENGTH, normalize
from etl.model import Call, Drift, Field, InvalidResponse, Provider, RecordContext, Reject, Source

MAX_DRIFT = 50  # per record: one with a thousand new keys is reported once, not a thousand times

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
"""Every column that a record decides, and its value where the record has none."""


class _Mapping(NamedTuple):
    """What is read of a provider's records, and which keys that uses up."""

    columns: tuple[tuple[str, Any], ...]
    whole: frozenset[str]  # keys that one field reads whole
    parts: Mapping[str, frozenset[str]]  # keys of which fields read parts, and the parts
    known: frozenset[str]  # paths that go to ``extra`` on purpose


def transform(provider: Provider, source: Source, payload: bytes) -> Call | Reject:
    """One record's bytes → rows. Never raises, whatever the bytes are."""
    try:
        record, _ = read_record(payload)
    except InvalidResponse as error:
        return Reject(str(error))
    return transform_record(provider, read_identity(provider, source, record))


def read_identity(provider: Provider, source: Source, record: Mapping[str, Any]) -> RecordContext:
    """Read the id and the creation time, which are read of every record, whether its content is known or not."""
    context = RecordContext(source, record)
    context.call_id = provider.call_id.read(context)
    context.row["created_at"] = provider.created_at.read(context)
    return context


def transform_record(provider: Provider, context: RecordContext) -> Call | Reject:
    """A record whose identity is read → rows."""
    mapping, record, call_id = mapping_of(provider), context.record, context.call_id
    if call_id is None:
        return Reject("the record has no usable id")
    row = context.row = {**DEFAULTS, **context.row}
    if row["created_at"] is None:
        return Reject("created_at is not a time" if context.flags else "created_at is missing", call_id)
    for name, read in mapping.columns:
        row[name] = read(context)
    turns = provider.turns.read(context)
    row["extra"] = _extra(mapping, context) or None
    if isinstance(record, RepairedRecord):
        context.flags += record.flags
    row["quality_flags"] = sorted(set(context.flags)) if context.flags else []
    return Call(call_id, row, turns, tuple(dict.fromkeys(context.drift)) if context.drift else ())


@cache
def mapping_of(provider: Provider) -> _Mapping:
    """A provider's fields, checked and indexed once; ``ValueError`` where a column needs one that is read after it."""
    columns = {**provider.columns, **{name: field for name, field in DERIVED.items() if name not in provider.columns}}
    _check_order(provider.name, columns)
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


def _check_order(provider: str, columns: Mapping[str, Field]) -> None:
    """A column can only need what is read before it, or what keeps its default."""
    unread = set(columns)
    for name, field in columns.items():
        if late := unread.intersection(field.needs):
            raise ValueError(f"{provider}: column {name} needs {', '.join(sorted(late))}, which is read after it")
        unread.remove(name)


def _extra(mapping: _Mapping, context: RecordContext) -> dict[str, Any]:
    """What no column keeps: keys that no field reads, and values that a field could not use."""
    extra: dict[str, Any] = {}
    record, whole = context.record, mapping.whole
    for key in [key for key in record if key not in whole]:
        value = record[key]
        if key in mapping.parts and isinstance(value, dict):
            value = _unread_parts(mapping, context, key, value)
        elif key not in mapping.known and not (key in mapping.parts and is_empty(value)):
            _add_drift(context, key, value)
        if not is_empty(value):
            extra[key] = value
    for path in context.extra_paths:
        _keep(extra, record, path)
    return extra


def _unread_parts(mapping: _Mapping, context: RecordContext, key: str, value: Mapping[str, Any]) -> dict[str, Any]:
    rest = {name: inner for name, inner in value.items() if name not in mapping.parts[key]}
    for name, inner in rest.items():
        if f"{key}.{name}" not in mapping.known:
            _add_drift(context, f"{key}.{name}", inner)
    return {name: inner for name, inner in rest.items() if not is_empty(inner)}


def _add_drift(context: RecordContext, path: str, value: Any) -> None:
    if len(context.drift) < MAX_DRIFT:
        context.drift.append(Drift(path[:MAX_WORD_LENGTH], "new_field", json_type(value)))


def _keep(extra: dict[str, Any], record: Mapping[str, Any], path: str) -> None:
    head, dot, rest = path.partition(".")
    value = record.get(head)
    if not dot:
        if not is_empty(value):
            extra[head] = value
    elif isinstance(value, dict) and not is_empty(value.get(rest)):
        extra[head] = {**extra.get(head, {}), rest: value[rest]}


def _side(inbound: str, outbound: str) -> Field:
    """The number of one side: which column that is depends on the direction of the call."""

    def read(context: RecordContext) -> Any:
        column = {"inbound": inbound, "outbound": outbound}.get(context.row["direction"])
        return context.row[column] if column else None

    return Field((), read, needs=("direction", inbound, outbound))


def _sentiment(context: RecordContext) -> str | None:
    """The item ``sentiment`` of the analysis: a scalar, or one within ``{"value": …}``."""
    analysis = context.row["analysis"]
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
    "is_answered": Field((), lambda context: context.row["outcome"] == "completed", needs=("outcome",)),
    "customer_number": _side(inbound="from_number", outbound="to_number"),
    "agent_number": _side(inbound="to_number", outbound="from_number"),
    "talk_seconds": between("answered_at", "ended_at"),
    "cost_unit": Field((), lambda context: context.source.cost_unit),
    "sentiment": Field((), _sentiment, needs=("analysis",)),
}
"""Columns that follow from others in the same way for every provider, unless its mapping names them itself."""
