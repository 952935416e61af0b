"""Received records and stored rows → what one transaction writes. Pure."""

import hashlib
import sys
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from etl.db import tables
from etl.db.engine import json_bytes
from etl.loader.batch import Batch, Counts, ReceivedRecord, WriteContext
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
    turns: tuple[Turn, ...] | None  # None: the transcript stays as it is
    records: Sequence[ReceivedRecord]
    drift: tuple[Drift, ...] = ()
    columns: Sequence[str] = ()  # the columns of the stored row that differ
    fields: Sequence[FieldChange] = ()  # what a user sees of the difference


class RejectedRecord(NamedTuple):
    """A record that became no row, and why; the reason shows no value of it."""

    reason: str
    record: ReceivedRecord


class BatchPlan(NamedTuple):
    """What a transaction writes, and what is counted whether or not the database accepts it."""

    changes: Sequence[RowChange]
    counts: Counts
    rejected: Sequence[RejectedRecord] = ()
    unchanged: Collection[str] = ()  # the ids of calls whose content is the stored one


def plan(
    ctx: WriteContext, provider: Provider, batch: Batch, stored: Mapping[UUID, Row], seen_rejects: AbstractSet[bytes]
) -> BatchPlan:
    """Decide for each record of a batch: a new row, an update, unchanged or rejected.

    ``stored`` are the rows of :meth:`~etl.loader.batch.Batch.changed_keys`. A call that comes twice counts once, and a
    reject that the run has seen before, by its hash in ``seen_rejects``, counts as unchanged.
    """
    counts = Counts(pages=batch.pages, received=len(batch.received))
    changes: dict[UUID | None, RowChange] = {}
    rejected: dict[bytes, RejectedRecord] = {}
    unchanged = set[str]()
    for record in batch.received:
        earlier = changes.get(record.key)
        outcome = _outcome(ctx, provider, record, earlier, stored)
        if isinstance(outcome, RowChange):
            changes[record.key] = outcome
            counts.unchanged += earlier is not None
        elif outcome is None:
            counts.unchanged += 1
            unchanged.add(str(record.call_id))
        elif record.digest in seen_rejects or record.digest in rejected:
            counts.unchanged += 1
        else:
            rejected[record.digest] = outcome
    counts.quarantined = len(rejected)
    unchanged -= {str(reject.record.call_id) for reject in rejected.values()}
    return BatchPlan(list(changes.values()), counts, list(rejected.values()), unchanged)


def _outcome(
    ctx: WriteContext,
    provider: Provider,
    record: ReceivedRecord,
    earlier: RowChange | None,
    stored: Mapping[UUID, Row],
) -> RowChange | RejectedRecord | None:
    """What becomes of a record: ``None`` where its content is the stored one, or that of an earlier record."""
    if record.context is None or record.key is None:
        return RejectedRecord(record.error or "the record has no usable id", record)
    if record.digest == earlier.records[-1].digest if earlier is not None else record.is_unchanged:
        return None
    call = transform_record(provider, record.context)
    if isinstance(call, Reject):
        return RejectedRecord(call.reason, record)
    if earlier is not None:
        return _joined(ctx, earlier, call, record)
    return row_change(ctx, stored.get(record.key) if record.stored else None, call, record)


def row_change(ctx: WriteContext, before: Row | None, call: Call, record: ReceivedRecord) -> RowChange:
    """What one record makes of its call: a new row, or the stored one merged with it."""
    row, turns = next_row(ctx, before, call, record)
    return with_difference(RowChange(before, row, turns, (record,), call.drift), ctx)


def _joined(ctx: WriteContext, earlier: RowChange, call: Call, record: ReceivedRecord) -> RowChange:
    """One change of a call that came twice with different content."""
    row, turns = next_row(ctx, earlier.row, call, record)
    if earlier.before is not None:
        row["changed_at"] = earlier.before["changed_at"]
    turns = turns if turns is not None else earlier.turns
    joined = RowChange(earlier.before, row, turns, (*earlier.records, record), earlier.drift + call.drift)
    return with_difference(joined, ctx)


def next_row(
    ctx: WriteContext, before: Row | None, call: Call, record: ReceivedRecord
) -> tuple[dict[str, Any], tuple[Turn, ...] | None]:
    """The row of a call after one more record, and the turns that replace its transcript, if they do."""
    if before is None:
        row = {
            **EMPTY_ROW,
            "call_key": record.key,
            "source": ctx.source,
            "provider": ctx.provider,
            "provider_call_id": call.provider_call_id,
            **call.columns,
            "turn_count": 0,
            "has_transcript": False,
            "first_seen_at": ctx.now,
            "changed_at": ctx.now,
            "latest_request_seq": record.seq,
            "content_hash": record.digest,
        }
    else:
        row = merge(before, call, record.seq)
        row["delisted_at"] = None  # it is listed again
        _add_version(row, before, record)
    is_newest = row["latest_request_seq"] == record.seq
    return row, set_transcript(row, call.turns) if is_newest or not row["has_transcript"] else None


def _add_version(row: dict[str, Any], before: Row, record: ReceivedRecord) -> None:
    """Note one more version of a call's content; one that it had before is stored already."""
    known = {before["content_hash"], *(before["previous_content_hashes"] or ())}
    if record.digest not in known:
        row["payload_seqs"] = seqs_with(before, record.seq)
    if row["latest_request_seq"] == record.seq:
        row["content_hash"] = record.digest
    row["previous_content_hashes"] = sorted((known | {record.digest}) - {row["content_hash"]}) or None


def set_transcript(row: dict[str, Any], turns: tuple[Turn, ...]) -> tuple[Turn, ...] | None:
    """Replace a row's transcript as a whole → its turns; ``None`` where there are none, or the same as before."""
    if not turns or (digest := hash_transcript(turns)) == row["transcript_hash"]:
        return None
    row.update(turn_count=len(turns), has_transcript=True, transcript_hash=digest)
    return turns


def with_difference(change: RowChange, ctx: WriteContext) -> RowChange:
    """Compare a change's row with the stored one, which is done once; where a user sees a change, the row says when."""
    before, row, turns = change.before, change.row, change.turns
    if before is None:
        return change
    columns, seen = compare(before, row)
    if turns is not None and before["has_transcript"]:
        seen.append(("transcript", f"{before['turn_count']} turns", f"{len(turns)} turns"))
    if seen:
        row["changed_at"] = ctx.now
        columns.append("changed_at")
    change.columns, change.fields = columns, seen
    return change


def hash_transcript(turns: Sequence[Turn]) -> bytes:
    """The hash of a transcript's content."""
    return hashlib.blake2b(json_bytes(turns), digest_size=16).digest()


def seqs_of(row: Row) -> Sequence[int]:
    """The numbers of the requests that brought versions of a call, in the order in which they came."""
    return row["payload_seqs"] or (row["latest_request_seq"],)


def seqs_with(row: Row, seq: int) -> list[int]:
    """The same with one more."""
    return [*dict.fromkeys((*seqs_of(row), seq))]
