"""A stored row and a newer record of the same call → its row now. Null never overwrites a value. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from etl.db.engine import as_json
from etl.model import Call

Row = Mapping[str, Any]
FieldChange = tuple[str, str | None, str | None]  # the field, and its old and new value as text

STATUS = ("provider_status", "outcome", "is_live", "is_final", "is_answered")
EMPTY = {None, "unknown"}  # the values of a column about which no record says anything
NEVER, EVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)  # where a record has no time of change
INTERNAL = frozenset({
    "latest_request_seq", "payload_seqs", "content_hash", "previous_content_hashes", "transcript_hash", "changed_at",
    "first_seen_at", "is_live", "customer_id", "settings_id", "first_seal",
})  # fmt: skip


def merge(stored: Row, call: Call, seq: int) -> dict[str, Any]:
    """The columns of a call after its record from request ``seq``.

    A record of an earlier request, or with an older ``updated_at``, only fills what is empty. A final status never goes
    back to a live one, whichever record had it.
    """
    new = call.columns
    newer = seq >= stored["latest_request_seq"] and (new["updated_at"] or EVER) >= (stored["updated_at"] or NEVER)
    row = dict(stored)
    for column, value in new.items():
        if column in STATUS or column == "quality_flags" or _is_empty(value):
            continue
        if newer or _is_empty(stored[column]):
            row[column] = value
    if newer:
        row["quality_flags"] = new["quality_flags"]
        row["latest_request_seq"] = seq
    if newer or _has_no_status(stored) or (stored["is_live"] is not False and new["is_live"] is False):
        row.update(_status(stored, new))
    return row


def _is_empty(value: Any) -> bool:
    return value in ({}, []) if isinstance(value, (dict, list)) else value in EMPTY


def _has_no_status(row: Row) -> bool:
    return row["provider_status"] is None and row["outcome"] == "unknown"


def _status(stored: Row, new: Row) -> dict[str, Any]:
    """The columns that a status decides: they change together or not at all."""
    goes_back = stored["is_live"] is False and new["is_live"] is not False
    loses_its_answer = stored["answered_at"] is not None and new["answered_at"] is None and not new["is_answered"]
    if _has_no_status(new) or goes_back or loses_its_answer:
        return {}
    group = {column: new[column] for column in STATUS}
    if group["provider_status"] is None:
        group["provider_status"] = stored["provider_status"]
    group["is_final"] = stored["is_final"] or group["is_final"]
    return group


def compare(before: Row, after: Row) -> tuple[list[str], list[FieldChange]]:
    """The columns that differ, and of these the changes that a user sees: no internal columns, no link's signature."""
    columns = [name for name, value in after.items() if value != before[name]]
    changes = [
        (name, _text(before[name]), _text(after[name]))
        for name in columns
        if name not in INTERNAL and not (name == "recording_url" and _is_same_link(before[name], after[name]))
    ]
    return columns, changes


def _is_same_link(one: str | None, other: str | None) -> bool:
    return bool(one and other and one.partition("?")[0] == other.partition("?")[0])


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    return as_json(value) if isinstance(value, (dict, list, bool)) else str(value)
