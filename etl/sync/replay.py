"""Raw payloads → the rows that today's transformer makes of them, without any request."""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine

from etl.db.engine import uuid_array
from etl.db.statements import Statements, fetch_all
from etl.decode import decode
from etl.extractors import providers
from etl.loader import raw, writer
from etl.loader.batch import Counts, ReceivedRecord, WriteContext, read_received
from etl.loader.merge import Row
from etl.loader.plan import BatchPlan, RowChange, hash_transcript, next_row, with_difference
from etl.loader.raw import PayloadVersion
from etl.model import Call, InvalidResponse, Provider, Source, TranscriptNotReady, Turn
from etl.sync.load import write
from etl.sync.run import SourceRun
from etl.transformer import transform_record

BATCH = 500  # calls
PAYLOADS, TRANSCRIPTS = Statements("payloads"), Statements("transcripts")
FIRST = -(1 << 63)  # below the number of any answer


class ReplayCall(NamedTuple):
    """What is stored of a call: its row, its turns, and the versions of its records."""

    row: Mapping[str, Any]
    turns: tuple[Turn, ...]
    versions: Sequence[PayloadVersion]


@dataclass(slots=True)
class ReplayDiff:
    """What a replay changes: how many calls, how often each column, and an example of each."""

    calls: int = 0
    changed: int = 0
    columns: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)  # the key of one call per column

    def add(self, change: RowChange) -> None:
        """Add one call's changes."""
        columns = dict.fromkeys([name for name, *_ in change.fields] + ["transcript"] * (change.turns is not None))
        self.calls += 1
        self.changed += bool(columns)
        for column in columns:
            self.columns[column] += 1
            self.examples.setdefault(column, str(change.row["call_key"]))


def replay(run: SourceRun, difference: ReplayDiff) -> None:
    """Write what today's transformer makes of a source's raw payloads, call by call."""
    after: int | None = FIRST
    while after is not None:
        run.acquire_lease()
        with run.lease.transaction() as connection:  # which nobody adds payloads to meanwhile
            calls, after = _next_calls(connection, run.source, after)
            _replay(connection, run, calls, difference)
        run.recorder.report_progress("replay", difference.calls, None)


def _replay(connection: Connection, run: SourceRun, calls: Sequence[ReplayCall], difference: ReplayDiff) -> None:
    ctx = run.write_context()
    rebuilt = [rebuild(ctx, run.provider, run.source, call) for call in calls]
    for change in rebuilt:
        difference.add(change)
    changes = [change for change in rebuilt if change.fields]
    counts = Counts(received=len(calls), unchanged=len(calls) - len(changes))
    write(connection, run, ctx, BatchPlan(changes, counts))


def compare(db: Engine, source: Source, difference: ReplayDiff) -> None:
    """The same without writing anything."""
    provider = providers()[source.provider]
    ctx = WriteContext(source.name, source.provider, None, datetime.now(UTC))
    after: int | None = FIRST
    while after is not None:
        with db.connect() as connection:
            calls, after = _next_calls(connection, source, after)
        for call in calls:
            difference.add(rebuild(ctx, provider, source, call))


def _next_calls(connection: Connection, source: Source, after: int) -> tuple[list[ReplayCall], int | None]:
    """The next calls in the order in which they came first, and the last response with them; none at the end."""
    found = fetch_all(connection, PAYLOADS.next_calls, {"source": source.name, "after": after, "batch": BATCH})
    keys = list(dict.fromkeys(row.call_key for row in found if row.call_key))
    versions, rows = raw.versions(connection, keys), writer.fetch_rows(connection, keys)
    turns: dict[uuid.UUID, list[Turn]] = {key: [] for key in keys}
    for key, *turn in fetch_all(connection, TRANSCRIPTS.stored_turns, {"keys": uuid_array(keys)}):
        turns[key].append(Turn(*turn))
    return [ReplayCall(rows[key], tuple(turns[key]), versions[key]) for key in keys], found[-1].seq if found else None


def rebuild(ctx: WriteContext, provider: Provider, source: Source, stored: ReplayCall) -> RowChange:
    """The row that a call's versions make, merged in their order, as a change of the stored row."""
    row: dict[str, Any] = {}
    record: ReceivedRecord | None = None
    turns: tuple[Turn, ...] | None = None
    versions: dict[bytes, tuple[Call, ReceivedRecord]] = {}
    for version in stored.versions:
        if version.kind == "transcript":
            turns = _turns(provider, version.payload) or turns
        elif found := _read(provider, source, version, stored.row["call_key"]):
            call, record = versions[found[1].digest] = found
            row, replaced = next_row(ctx, row or None, call, record)
            turns = replaced or turns
    if record is None:  # none of its versions can be read any more: the row stays as it is
        return RowChange(stored.row, dict(stored.row), None, ())
    newest = stored.row["content_hash"]
    if row["content_hash"] != newest and newest in versions:  # a content that it had before, and that came again
        call, record = versions[newest]
        row, replaced = next_row(ctx, row, call, record._replace(seq=stored.row["latest_request_seq"]))
        turns = replaced or turns
    return with_difference(_over(stored, row, turns, record), ctx)


def _read(
    provider: Provider, source: Source, version: PayloadVersion, key: uuid.UUID
) -> tuple[Call, ReceivedRecord] | None:
    record = read_received(provider, source, version.payload, version.seq)
    call = transform_record(provider, record.context) if record.context else None
    return (call, record._replace(key=key)) if isinstance(call, Call) else None


def _turns(provider: Provider, payload: bytes) -> tuple[Turn, ...] | None:
    if provider.transcript is None:
        return None
    try:
        return provider.transcript.read(decode(payload))
    except (InvalidResponse, TranscriptNotReady):
        return None


KEPT = (
    "first_seen_at", "changed_at", "delisted_at", "latest_request_seq", "payload_seqs", "content_hash",
    "previous_content_hashes", "transcript_hash",
)  # fmt: skip


def _over(stored: ReplayCall, row: Row, turns: tuple[Turn, ...] | None, record: ReceivedRecord) -> RowChange:
    """The rebuilt row and turns as a change, whatever the stored row says of its transcript."""
    kept = {name: stored.row[name] for name in KEPT}
    now = turns or stored.turns
    rebuilt = {**row, **kept, "turn_count": len(now), "has_transcript": bool(now)}
    replaced = turns if turns and turns != stored.turns else None
    if replaced is not None:
        rebuilt["transcript_hash"] = hash_transcript(replaced)
    return RowChange(stored.row, rebuilt, replaced, (record,))
