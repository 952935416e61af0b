"""Received records and stored rows → what one transaction writes. Pure."""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from etl.db import tables
from etl.db.engine import json_bytes
from etl.loader.batch import ReceivedRecord, WriteContext
from etl.loader.merge import FieldChange, Row, compare, merge
from etl.model import Call, Drift, Provider, Reject, Turn
from etl.transformer import transform_record

COLUMNS = tuple(sys.intern(str(column.name)) for column in tables.calls.columns)  # SQLAlchemy's are slow as keys
EMPTY_ROW: Mapping[str, Any] = dict.fromkeys(COLUMNS)


@dataclass(slots=True)
class RowChange:
    """What becomes of one call: a new row, or a stored row and the difference from it."""

    before: Row | None
    row: dict[str, Any]
    turns: tuple[Turn, ...] | None  # None: the transcript stays as it is; empty: what is stored is none
    records: Sequence[ReceivedRecord]
    now: InitVar[datetime]
    drift: tuple[Drift, ...] = ()
    columns: list[str] = field(init=False, default_factory=list)  # the columns of the stored row that differ
    fields: list[FieldChange] = field(init=False, default_factory=list)  # what a user sees of the difference

    def __post_init__(self, now: datetime) -> None:
        """Compare the rows, which is done once; where a user sees a change, the row says when."""
        if self.before is None:
            return
        self.columns, self.fields = compare(self.before, self.row)
        if self.turns is not None and self.before["has_transcript"]:
            self.fields.append(("transcript", f"{self.before['turn_count']} turns", f"{len(self.turns)} turns"))
        if self.fields:
            self.row["changed_at"] = now
            self.columns.append("changed_at")


class BatchPlan(NamedTuple):
    """What a transaction writes of what it received."""

    changes: Sequence[RowChange]
    received: int
    rejected: Sequence[ReceivedRecord] = ()  # each with its ``error``
    pages: int = 0


def plan(
    ctx: WriteContext, provider: Provider, batch: Sequence[ReceivedRecord], stored: Mapping[UUID, Row]
) -> BatchPlan:
    """Decide for each record of a batch: a new row, a change of the ``stored`` one, nothing, or rejected."""
    changes: dict[UUID | None, RowChange] = {}
    rejected: list[ReceivedRecord] = []
    for record in batch:
        earlier = changes.get(record.key)
        known = earlier.records[-1].digest if earlier else record.stored_digest
        if record.context is None or record.key is None:
            rejected.append(record._replace(error=record.error or "the record has no usable id"))
        elif record.digest != known:
            call = transform_record(provider, record.context)
            if isinstance(call, Reject):
                rejected.append(record._replace(error=call.reason))
            else:
                changes[record.key] = row_change(ctx, stored.get(record.key), call, record, earlier)
    return BatchPlan([*changes.values()], len(batch), rejected)


def row_change(
    ctx: WriteContext, before: Row | None, call: Call, record: ReceivedRecord, earlier: RowChange | None = None
) -> RowChange:
    """What one record makes of its call, after an ``earlier`` one of the same batch: a new row, or the stored one."""
    base = earlier.row if earlier else before
    row = _new_row(ctx, call, record) if base is None else _merged(base, call, record)
    is_newest = row["latest_request_seq"] == record.seq
    turns = set_transcript(row, call.turns) if is_newest or not row["has_transcript"] else None
    if earlier is None:
        return RowChange(before, row, turns, (record,), ctx.now, call.drift)
    if before is not None:
        row["changed_at"] = before["changed_at"]
    turns = earlier.turns if turns is None else turns
    return RowChange(before, row, turns, (*earlier.records, record), ctx.now, earlier.drift + call.drift)


def _new_row(ctx: WriteContext, call: Call, record: ReceivedRecord) -> dict[str, Any]:
    row = {**EMPTY_ROW, **call.columns, "turn_count": 0, "has_transcript": False}
    row |= {"call_key": record.key, "source": ctx.source, "provider": ctx.provider}
    row |= {"provider_call_id": call.provider_call_id, "first_seen_at": ctx.now, "changed_at": ctx.now}
    return row | {"latest_request_seq": record.seq, "content_hash": record.digest}


def _merged(before: Row, call: Call, record: ReceivedRecord) -> dict[str, Any]:
    row = merge(before, call, record.seq)
    row["delisted_at"] = None  # it is listed again
    known = {before["content_hash"], *(before["previous_content_hashes"] or ())}
    if record.digest not in known:  # a version that it had before is stored already
        row["payload_seqs"] = seqs_with(before, record.seq)
    if row["latest_request_seq"] == record.seq:
        row["content_hash"] = record.digest
    row["previous_content_hashes"] = sorted((known | {record.digest}) - {row["content_hash"]}) or None
    return row


def set_transcript(row: dict[str, Any], turns: tuple[Turn, ...]) -> tuple[Turn, ...] | None:
    """Replace a row's transcript as a whole → its turns; ``None`` where there are none, or the same as before."""
    digest = hashlib.blake2b(json_bytes(turns), digest_size=16).digest() if turns else None
    if digest in (None, row["transcript_hash"]):
        return None
    row.update(turn_count=len(turns), has_transcript=True, transcript_hash=digest)
    return turns


def seqs_of(row: Row) -> Sequence[int]:
    """The numbers of the requests that brought versions of a call, in the order in which they came."""
    return row["payload_seqs"] or (row["latest_request_seq"],)


def seqs_with(row: Row, seq: int) -> list[int]:
    """The same with one more."""
    return [*dict.fromkeys((*seqs_of(row), seq))]
