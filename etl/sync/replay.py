"""Raw payloads through the transformer again: what the program would make of them today, without any network."""

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
from etl.loader.batch import Counts, read_received
from etl.loader.merge import changes
from etl.loader.raw import PayloadVersion
from etl.loader.writer import RawRecord, RowChange, WriteContext
from etl.model import Call, InvalidResponse, Provider, Source, TranscriptNotReady, Turn
from etl.sync.load import write
from etl.sync.run import SourceRun
from etl.transformer import transform_record

BATCH = 500  # calls
PAYLOADS, TRANSCRIPTS = Statements("payloads"), Statements("transcripts")
FIRST = -(1 << 63)  # below the number of any answer


class ReplayCall(NamedTuple):
    """What the warehouse holds of a call: its row, its turns, and the versions of its records."""

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

    def add(self, entry: RowChange) -> None:
        """Take one call's differences in."""
        before = entry.before or {}
        found = changes(before, entry.row)
        if entry.turns is not None:
            found.append(("transcript", f"{before['turn_count']} turns", f"{len(entry.turns)} turns"))
        self.calls += 1
        self.changed += bool(found)
        for column, *_ in found:
            self.columns[column] += 1
            self.examples.setdefault(column, str(entry.row["call_key"]))


def replay(run: SourceRun, difference: ReplayDiff) -> None:
    """Write what today's transformer makes of a source's raw payloads, call by call."""
    after: int | None = FIRST
    while after is not None:
        run.acquire_lease()
        with run.lease.transaction() as connection:  # raw is read under it too: nobody else adds to it meanwhile
            calls, after = _next_calls(connection, run.source, after)
            _replay(connection, run, calls, difference)
        run.recorder.report_progress("replay", difference.calls, None)


def _replay(connection: Connection, run: SourceRun, calls: Sequence[ReplayCall], difference: ReplayDiff) -> None:
    writing = run.write_context()
    entries = [rebuilt(writing, run.provider, run.source, held) for held in calls]
    for entry in entries:
        difference.add(entry)
    changed = [entry for entry in entries if writer.has_changes(entry)]
    write(connection, run, writing, changed, Counts(received=len(calls), unchanged=len(calls) - len(changed)))


def compare(db: Engine, source: Source, difference: ReplayDiff) -> None:
    """The same without writing anything."""
    provider = providers()[source.provider]
    writing = WriteContext(source.name, source.provider, None, datetime.now(UTC))
    after: int | None = FIRST
    while after is not None:
        with db.connect() as connection:
            calls, after = _next_calls(connection, source, after)
        for held in calls:
            difference.add(rebuilt(writing, provider, source, held))


def _next_calls(connection: Connection, source: Source, after: int) -> tuple[list[ReplayCall], int | None]:
    """The next calls in the order in which they came first, and the last answer of them; none when all were there."""
    found = fetch_all(connection, PAYLOADS.next_calls, {"source": source.name, "after": after, "batch": BATCH})
    keys = list(dict.fromkeys(row.call_key for row in found if row.call_key))
    versions, rows = raw.versions(connection, keys), writer.fetch_rows(connection, keys)
    turns: dict[uuid.UUID, list[Turn]] = {key: [] for key in keys}
    for key, *turn in fetch_all(connection, TRANSCRIPTS.stored_turns, {"keys": uuid_array(keys)}):
        turns[key].append(Turn(*turn))
    return [ReplayCall(rows[key], tuple(turns[key]), versions[key]) for key in keys], found[-1].seq if found else None


def rebuilt(writing: WriteContext, provider: Provider, source: Source, held: ReplayCall) -> RowChange:
    """The row that a call's versions make, folded in their order, as an entry over the row that is held."""
    entry: RowChange | None = None
    turns: tuple[Turn, ...] | None = None
    came: dict[bytes, tuple[Call, RawRecord]] = {}
    for version in held.versions:
        if version.kind == "transcript":
            turns = _turns(provider, version.payload) or turns
        elif found := _read(provider, source, version):
            call, record = came[found[1].digest] = found
            entry = writer.plan_row(writing, held.row["call_key"], entry.row if entry else None, call, record)
            turns = entry.turns or turns
    if entry is None:  # nothing of it can be read any more: the row stays as it is
        return RowChange(held.row, dict(held.row))
    newest = held.row["content_hash"]
    if entry.row["content_hash"] != newest and newest in came:  # a content that it had before, and that came again
        call, record = came[newest]
        entry = writer.plan_row(
            writing, held.row["call_key"], entry.row, call, record._replace(seq=held.row["latest_request_seq"])
        )
        turns = entry.turns or turns
    return _over(held, entry, turns)


def _read(provider: Provider, source: Source, version: PayloadVersion) -> tuple[Call, RawRecord] | None:
    came = read_received(provider, source, version.payload, version.seq)
    call = transform_record(provider, came.reading, came.record.payload) if came.reading else None
    return (call, came.record) if isinstance(call, Call) else None


def _turns(provider: Provider, payload: bytes) -> tuple[Turn, ...] | None:
    if provider.transcript is None:
        return None
    try:
        return provider.transcript.read(decode(payload))
    except (InvalidResponse, TranscriptNotReady):
        return None


KEPT = (
    "first_seen_at", "changed_at", "delisted_at", "latest_request_seq", "payload_seqs", "content_hash", "previous_content_hashes",
    "transcript_hash",
)  # fmt: skip


def _over(held: ReplayCall, last: RowChange, turns: tuple[Turn, ...] | None) -> RowChange:
    """The rebuilt row and turns, where they are others than those that are there, whatever the row says of them."""
    said = turns or held.turns
    row = {**last.row, **{name: held.row[name] for name in KEPT}, "turn_count": len(said), "has_transcript": bool(said)}
    entry = RowChange(held.row, row, None, last.records)
    if turns and turns != held.turns:
        entry.turns, row["transcript_hash"] = turns, writer.hash_transcript(turns)
    return entry
