"""Received records and stored rows → what one transaction writes. Pure."""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple
from uuid import UUID

from etl.db import tables
from etl.db.engine import json_bytes
from etl.fields.tokens import customer_of
from etl.loader.batch import ReceivedRecord, WriteContext
from etl.loader.merge import FieldChange, Row, compare, merge
from etl.model import Call, Drift, Provider, Reject, Turn
from etl.transformer import transform_record

COLUMNS = tuple(sys.intern(str(column.name)) for column in tables.calls.columns)  # SQLAlchemy's are slow as keys
values_of = itemgetter(*COLUMNS)
_of_record = itemgetter(*COLUMNS[COLUMNS.index("direction") : COLUMNS.index("extra") + 1])


@dataclass(slots=True)
class Insert:
    """A new call: its row as COPY takes it."""

    values: tuple[Any, ...]  # in the order of COLUMNS
    turns: tuple[Turn, ...] | None  # None: it has no transcript yet
    records: Sequence[ReceivedRecord]
    drift: tuple[Drift, ...] = ()
    before, columns, fields = None, (), ()  # nothing is stored that differs

    @property
    def row(self) -> dict[str, Any]:
        """The columns by name."""
        return dict(zip(COLUMNS, self.values, strict=True))


@dataclass(slots=True)
class RowChange:
    """What becomes of a stored call: its row, and the difference from the one that is stored."""

    before: Row
    row: dict[str, Any]
    turns: tuple[Turn, ...] | None  # None: the transcript stays as it is; empty: what is stored is none
    records: Sequence[ReceivedRecord]
    now: InitVar[datetime]
    drift: tuple[Drift, ...] = ()
    columns: list[str] = field(init=False)  # the columns of the stored row that differ
    fields: list[FieldChange] = field(init=False)  # what a user sees of the difference

    def __post_init__(self, now: datetime) -> None:
        """Compare the rows, which is done once; where a user sees a change, the row says when."""
        self.columns, self.fields = compare(self.before, self.row)
        if self.turns is not None and self.before["has_transcript"]:
            self.fields.append(("transcript", f"{self.before['turn_count']} turns", f"{len(self.turns)} turns"))
        if self.fields:
            self.row["changed_at"] = now
            self.columns.append("changed_at")


Change = Insert | RowChange


class BatchPlan(NamedTuple):
    """What a transaction writes of what it received."""

    changes: Sequence[Change]
    received: int
    rejected: Sequence[ReceivedRecord] = ()  # each with its ``error``
    pages: int = 0


def plan(
    ctx: WriteContext, provider: Provider, batch: Sequence[ReceivedRecord], stored: Mapping[UUID, Row]
) -> BatchPlan:
    """Decide for each record of a batch: a new row, a change of the ``stored`` one, nothing, or rejected."""
    changes: dict[str | None, Change] = {}  # by id, whose hash is known, as a key's is not
    rejected: list[ReceivedRecord] = []
    for record in batch:
        earlier = changes.get(record.call_id)
        known = earlier.records[-1].digest if earlier else record.stored_digest
        if record.context is None or record.key is None:
            rejected.append(record._replace(error=record.error or "the record has no usable id"))
        elif record.digest != known:
            call = transform_record(provider, record.context)
            if isinstance(call, Reject):
                rejected.append(record._replace(error=call.reason))
            elif isinstance(earlier, Insert) or (earlier is None and not (stored and record.key in stored)):
                changes[record.call_id] = insert(ctx, call, record, earlier)
            else:
                changes[record.call_id] = update(ctx, stored[record.key], call, record, earlier)
    return BatchPlan([*changes.values()], len(batch), rejected)


def insert(ctx: WriteContext, call: Call, record: ReceivedRecord, earlier: Insert | None = None) -> Insert:
    """What a record makes of a call that is not stored, after an ``earlier`` one of the same batch."""
    if earlier:
        row, turns = _merged(ctx, earlier.row, call, record)
        turns = earlier.turns if turns is None else turns
        return Insert(values_of(row), turns, (*earlier.records, record), earlier.drift + call.drift)
    columns, turns = call.columns, call.turns or None
    values = (
        *(record.key, ctx.source, ctx.provider, call.provider_call_id, *_of_record(columns)),
        *(customer_of(columns["customer_number"], ctx.masking_key), len(call.turns)),
        *(turns is not None, columns["quality_flags"], ctx.now, ctx.now, None, record.seq, None, record.digest, None),
        *(transcript_digest(turns) if turns else None, ctx.settings_id, record.seal),
    )
    return Insert(values, turns, (record,), call.drift)


def update(
    ctx: WriteContext, before: Row, call: Call, record: ReceivedRecord, earlier: RowChange | None = None
) -> RowChange:
    """What a record makes of a stored call, after an ``earlier`` one of the same batch."""
    row, turns = _merged(ctx, earlier.row if earlier else before, call, record)
    if row["settings_id"] != ctx.settings_id and _is_all_of(row, call):
        row["settings_id"] = ctx.settings_id
    if earlier is None:
        return RowChange(before, row, turns, (record,), ctx.now, call.drift)
    row["changed_at"] = before["changed_at"]
    turns = earlier.turns if turns is None else turns
    return RowChange(before, row, turns, (*earlier.records, record), ctx.now, earlier.drift + call.drift)


def _merged(
    ctx: WriteContext, before: Row, call: Call, record: ReceivedRecord
) -> tuple[dict[str, Any], tuple[Turn, ...] | None]:
    """A row after one more record, and its turns where they are others than before."""
    row = merge(before, call, record.seq)
    row["customer_id"] = customer_of(row["customer_number"], ctx.masking_key)
    row["delisted_at"] = None  # it is listed again
    known = {before["content_hash"], *(before["previous_content_hashes"] or ())}
    if record.digest not in known:  # a version that it had before is stored already
        row["payload_seqs"] = seqs_with(before, record.seq)
    if row["latest_request_seq"] == record.seq:
        row["content_hash"] = record.digest
    row["previous_content_hashes"] = sorted((known | {record.digest}) - {row["content_hash"]}) or None
    is_newest = row["latest_request_seq"] == record.seq
    return row, set_transcript(row, call.turns) if is_newest or not row["has_transcript"] else None


def _is_all_of(row: Row, call: Call) -> bool:
    """Whether nothing of a row comes from an earlier record, which may have been read under other settings."""
    is_own = bool(call.turns) or not row["has_transcript"]
    return is_own and all(row[column] == value for column, value in call.columns.items())


def set_transcript(row: dict[str, Any], turns: tuple[Turn, ...]) -> tuple[Turn, ...] | None:
    """Replace a row's transcript as a whole → its turns; ``None`` where there are none, or the same as before."""
    digest = transcript_digest(turns)
    if not turns or digest == row["transcript_hash"]:
        return None
    row.update(turn_count=len(turns), has_transcript=True, transcript_hash=digest)
    return turns


def transcript_digest(turns: tuple[Turn, ...]) -> bytes:
    """The hash by which a transcript is known again."""
    return hashlib.blake2b(json_bytes(turns), digest_size=16).digest()


def seqs_of(row: Row) -> Sequence[int]:
    """The numbers of the requests that brought versions of a call, in the order in which they came."""
    return row["payload_seqs"] or (row["latest_request_seq"],)


def seqs_with(row: Row, seq: int) -> list[int]:
    """The same with one more."""
    return [*dict.fromkeys((*seqs_of(row), seq))]
