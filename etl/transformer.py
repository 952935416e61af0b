"""A record → its call's row, turns and schema drift, or a reject with the reason why there is no row."""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from etl.decode.tolerant import RepairedRecord
from etl.fields import SENTIMENT, SUMMARY, between, in_analysis, is_empty, json_type
from etl.fields.row_code import ReadRow, compiled
from etl.fields.vocabulary import MAX_WORD_LENGTH
from etl.model import Call, Drift, Field, Provider, RecordContext, Reject, Source
from etl.runtime.redaction import bare_links

MAX_DRIFT = 50  # per record: one with a thousand new keys is reported once, not a thousand times

DEFAULTS: Mapping[str, Any] = {
    **dict.fromkeys((
        "direction", "outcome", "provider_status", "is_live", "is_final", "is_answered", "agent_id", "agent_name",
        "agent_version", "campaign_name", "from_number", "to_number", "customer_number", "agent_number",
        "customer_name", "customer_email", "created_at", "started_at", "answered_at", "ended_at", "updated_at",
        "duration_seconds", "talk_seconds", "duration_basis", "cost", "cost_unit", "costs", "answered_by", "ended_by",
        "recording_url", "summary", "sentiment", "error_message", "latency_ms", "analysis", "metadata", "extra",
    )),
    **dict.fromkeys(("direction", "outcome", "answered_by", "ended_by"), "unknown"),
    "quality_flags": [],
}  # fmt: skip
"""Every column that a record decides, and its value where the record has none."""


class _Mapping(NamedTuple):
    """What is read of a provider's records."""

    read_row: ReadRow
    read: frozenset[str]  # the paths that columns use up
    heads: frozenset[str]  # keys of which parts are known
    known: frozenset[str]  # paths that go to ``extra`` on purpose


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
    mapping.read_row(context)
    turns = provider.turns.read(context)
    extra = _extra(mapping, context, record)
    for path in context.extra_paths:  # values that a field could not use
        _keep(extra, record, path)
    row["extra"] = extra or None
    if isinstance(record, RepairedRecord):
        context.flags += record.flags
    row["quality_flags"] = sorted(set(context.flags)) if context.flags else []
    return Call(call_id, row, turns, tuple(dict.fromkeys(context.drift))[:MAX_DRIFT] if context.drift else ())


@cache
def mapping_of(provider: Provider) -> _Mapping:
    """A provider's fields, checked and indexed once; ``ValueError`` where a column needs one that is read after it."""
    columns = {**provider.columns, **{name: field for name, field in DERIVED.items() if name not in provider.columns}}
    _check_order(provider.name, columns)
    fields = (provider.call_id, provider.created_at, provider.turns, *columns.values())
    paths = frozenset(path for field in fields for path in field.paths)
    heads = frozenset(path.partition(".")[0] for path in paths | provider.extra if "." in path)
    return _Mapping(compiled(provider.name, columns), paths, heads, provider.extra)


def _check_order(provider: str, columns: Mapping[str, Field]) -> None:
    """A column can only need what is read before it, or what keeps its default."""
    unread = set(columns)
    for name, field in columns.items():
        if late := unread.intersection(field.needs):
            raise ValueError(f"{provider}: column {name} needs {', '.join(sorted(late))}, which is read after it")
        unread.remove(name)


def _extra(mapping: _Mapping, context: RecordContext, values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """What no column keeps: keys that no field reads; of one that is read in parts, the others."""
    extra: dict[str, Any] = {}
    read, known = mapping.read, mapping.known
    for key in [key for key in values if (prefix + key if prefix else key) not in read]:
        path, value = prefix + key, values[key]
        if path in mapping.heads and isinstance(value, dict):
            value = _extra(mapping, context, value, f"{path}.")
        elif path not in known and not (path in mapping.heads and is_empty(value)):
            context.drift += [Drift(bare_links(path)[:MAX_WORD_LENGTH], "new_field", json_type(value))]
        if not is_empty(value):
            extra[key] = value
    return extra


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


DERIVED: Mapping[str, Field] = {
    "is_answered": Field(
        (), lambda context: context.row["outcome"] in ("completed", "transferred"), needs=("outcome",)
    ),
    "customer_number": _side(inbound="from_number", outbound="to_number"),
    "agent_number": _side(inbound="to_number", outbound="from_number"),
    "talk_seconds": between("answered_at", "ended_at"),
    "cost_unit": Field((), lambda context: context.source.cost_unit),
    "sentiment": in_analysis(*SENTIMENT),
    "summary": in_analysis(*SUMMARY),
}
"""Columns that follow from others in the same way for every provider, unless its mapping names them itself."""
