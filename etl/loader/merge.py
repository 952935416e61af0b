"""A held row and a newer record of the same call → the row as it is now, never poorer than it was."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from etl.db.engine import as_json
from etl.model import Call

Row = Mapping[str, Any]

STATUS = ("provider_status", "outcome", "is_live", "is_final", "is_answered")
UNSAID = {None, "unknown"}  # what a column holds when nobody said anything
NEVER, EVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)  # where no time of change is said
BOOKKEEPING = frozenset(
    {
        "latest_request_seq", "payload_seqs", "content_hash", "previous_content_hashes", "transcript_hash",
        "changed_at", "first_seen_at", "is_live", "is_answered",
    }
)  # fmt: skip


def merge(held: Row, call: Call, seq: int) -> dict[str, Any]:
    """The columns of a call after its record with observation number ``seq``.

    An older answer, or one with an older ``updated_at``, only fills what was empty; a terminal status, whichever answer
    said it, never goes back to a live one; nothing empty replaces a value.
    """
    new = call.columns
    newer = seq >= held["latest_request_seq"] and (new["updated_at"] or EVER) >= (held["updated_at"] or NEVER)
    row = dict(held)
    for column, value in new.items():
        if column in STATUS or column == "quality_flags" or _unsaid(value):
            continue
        if newer or _unsaid(held[column]):
            row[column] = value
    if newer:
        row["quality_flags"] = new["quality_flags"]
        row["latest_request_seq"] = seq
    if newer or _says_nothing(held) or (held["is_live"] is not False and new["is_live"] is False):
        row.update(_status(held, new))
    return row


def _unsaid(value: Any) -> bool:
    return value in ({}, []) if isinstance(value, (dict, list)) else value in UNSAID


def _says_nothing(row: Row) -> bool:
    return row["provider_status"] is None and row["outcome"] == "unknown"


def _status(held: Row, new: Row) -> dict[str, Any]:
    """The group of columns that a status decides, which moves as one or not at all."""
    goes_back = held["is_live"] is False and new["is_live"] is not False
    lost_its_answer = held["answered_at"] is not None and new["answered_at"] is None and not new["is_answered"]
    if _says_nothing(new) or goes_back or lost_its_answer:
        return {}
    group = {column: new[column] for column in STATUS}
    if group["provider_status"] is None:
        group["provider_status"] = held["provider_status"]
    group["is_final"] = held["is_final"] or group["is_final"]
    return group


def changes(before: Row, after: Row) -> list[tuple[str, str | None, str | None]]:
    """Each changed column as (field, old, new) text; the query of a recording's link is no part of what it says."""
    return [
        (field, _text(before[field]), _text(value))
        for field, value in after.items()
        if field not in BOOKKEEPING and not _same(field, before[field], value)
    ]


def _same(field: str, a: Any, b: Any) -> bool:
    if field == "recording_url" and a and b:
        return bool(a.partition("?")[0] == b.partition("?")[0])
    return bool(a == b)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    return as_json(value) if isinstance(value, (dict, list, bool)) else str(value)
