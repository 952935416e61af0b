"""Raw payloads, and records in quarantine → the rows that today's transformer makes of them, without any request."""

import uuid
from collections.abc import Callable, Sequence
from itertools import accumulate, count, groupby

from sqlalchemy import Connection

from etl.db.engine import uuid_array
from etl.db.statements import Statements, execute, fetch_all
from etl.decode import decode
from etl.extractors import providers
from etl.fields.turns import has_transcript
from etl.loader import raw, writer
from etl.loader.batch import ReceivedRecord, WriteContext, read_received
from etl.loader.merge import Row
from etl.loader.plan import BatchPlan, Insert, RowChange, insert, seqs_of, set_transcript
from etl.loader.raw import PayloadVersion
from etl.model import Call, InvalidResponse, Provider, RecordContext, Source, TranscriptNotReady, Turn
from etl.runtime.humanize import counted
from etl.state import quarantine, removed_calls
from etl.state.settings_versions import outdated_calls
from etl.sync.load import load, receive, write
from etl.sync.run import SourceRun
from etl.transformer import transform_record

BATCH = 500  # calls
PAYLOADS, TRANSCRIPTS = Statements("payloads"), Statements("transcripts")
FIRST = -(1 << 63)  # below the number of any answer
OLDER_THAN_ALL = 1 << 62  # such a record fills what is empty, and overwrites nothing that a response brought
NO_TRANSCRIPT: Row = {"turn_count": 0, "has_transcript": False}
KEPT = (
    "first_seen_at", "changed_at", "delisted_at", "latest_request_seq", "payload_seqs", "content_hash",
    "previous_content_hashes", "transcript_hash", "first_seal",
)  # fmt: skip


def replay(run: SourceRun, on_changes: Callable[[Sequence[RowChange]], None]) -> None:
    """Write what today's transformer makes of the raw payloads, call by call; ``on_changes`` gets what changed."""
    after: int | None = FIRST
    calls = 0
    while after is not None:
        run.acquire_lease()
        changes, after = run.transaction(_replay_next, run, after)  # nobody adds payloads to it meanwhile
        on_changes(changes)
        calls += len(changes)
        run.report_progress("replay", calls, None)
    if left := sum(each.calls for each in run.state.run(outdated_calls, run.source)):
        stay = "1 call stays as it was" if left == 1 else f"{left:,} calls stay as they were"
        run.result.notes.append(f"{stay} read: no payload of it is stored that can be read")
    if run.source.retention.raw and (gone := run.state.run(removed_calls.without_raw, run.source.name)):
        run.result.notes.append(f"raw payloads of {counted(gone, 'call')} are removed (keep_raw): not replayed")


def _replay_next(connection: Connection, run: SourceRun, after: int) -> tuple[list[RowChange], int | None]:
    ctx = run.write_context()
    changes, last = rebuild_next(connection, ctx, run.source, after)
    write(connection, run, ctx, BatchPlan([change for change in changes if change.columns], len(changes)))
    refused = uuid_array(change.row["call_key"] for change in changes if change.turns == ())
    execute(connection, TRANSCRIPTS.forget, {"keys": refused})
    return changes, last


def retry(run: SourceRun) -> None:
    """Try every record in quarantine; one that is rejected again stays, with its reason of today."""
    with run.deps.db.connect() as connection:
        waiting = quarantine.listed(connection, [run.source.name])
    sizes = accumulate(row.size_bytes for row in waiting)
    numbered = zip(count(), sizes, waiting, strict=False)
    for _, rows in groupby(numbered, lambda each: (each[0] // BATCH, each[1] // run.deps.batch_limits.size_bytes)):
        run.acquire_lease()
        seq = run.state.fetch_one(PAYLOADS.older_than_all, {"older": OLDER_THAN_ALL}).seq
        payloads = run.state.run(quarantine.payloads, [row.quarantine_id for *_, row in rows])
        run.transaction(load, run, receive(run, payloads, seq), is_listed=False)


def rebuild_next(
    connection: Connection, ctx: WriteContext, source: Source, after: int
) -> tuple[list[RowChange], int | None]:
    """The next calls in the order in which they came first, and the last response with them; none at the end."""
    found = fetch_all(connection, PAYLOADS.next_calls, {"source": source.name, "after": after, "batch": BATCH})
    keys = list(dict.fromkeys(row.call_key for row in found if row.call_key))
    return rebuild(connection, ctx, source, keys), found[-1].seq if found else None


def rebuild(connection: Connection, ctx: WriteContext, source: Source, keys: Sequence[uuid.UUID]) -> list[RowChange]:
    """Some calls as their payloads make them; one whose transcript is gone counts as one that had none."""
    versions, rows = raw.versions(connection, keys), writer.fetch_rows(connection, keys)
    keys = [key for key in keys if key in rows]  # others were removed meanwhile
    turns: dict[uuid.UUID, list[Turn]] = {key: [] for key in keys}
    for key, *turn in fetch_all(connection, TRANSCRIPTS.stored_turns, {"keys": uuid_array(keys)}):
        turns[key].append(Turn(*turn))
    gone = {key: NO_TRANSCRIPT if rows[key]["has_transcript"] and not turns[key] else {} for key in keys}
    return [_rebuild(ctx, source, {**rows[key], **gone[key]}, tuple(turns[key]), versions[key]) for key in keys]


def _rebuild(
    ctx: WriteContext, source: Source, stored: Row, stored_turns: tuple[Turn, ...], versions: Sequence[PayloadVersion]
) -> RowChange:
    """The row that a call's versions make, merged in their order, as a change of the stored row."""
    provider, newest = providers()[source.provider], stored["content_hash"]
    change: Insert | None = None
    known, refused = dict[bytes, tuple[Call, ReceivedRecord]](), False  # refused: what holds no transcript
    for version in versions:
        if version.kind == "transcript" and change:
            turns = _turns(provider, RecordContext(source, {}, stored["provider_call_id"], change.row), version.payload)
            change.turns, refused = turns or change.turns, refused or not turns
        elif version.kind == "call" and (found := _read(provider, source, version, stored["call_key"])):
            known[found[1].digest] = found
            change = insert(ctx, *found, change)
            refused = refused or (not found[0].turns and has_transcript(provider.turns, found[1].context))
    is_whole = {version.seq for version in versions} == set(seqs_of(stored))
    if change is None or not is_whole:  # its versions cannot be read any more, or not all: the row stays as it is
        return RowChange(stored, dict(stored), None, (), ctx.now)
    if change.row["content_hash"] != newest and newest in known:  # a content that it had before, and that came again
        call, record = known[newest]
        change = insert(ctx, call, record._replace(seq=stored["latest_request_seq"]), change)
    turns = change.turns or (() if refused else stored_turns)
    row = change.row | {name: stored[name] for name in KEPT} | {"turn_count": len(turns), "has_transcript": bool(turns)}
    is_same = turns == stored_turns
    row["transcript_hash"] = row["transcript_hash"] if is_same else None  # whatever the stored row says
    return RowChange(stored, row, None if is_same else set_transcript(row, turns) or (), change.records[-1:], ctx.now)


def _read(
    provider: Provider, source: Source, version: PayloadVersion, key: uuid.UUID
) -> tuple[Call, ReceivedRecord] | None:
    record = read_received(provider, source, version.payload, version.seq)
    call = transform_record(provider, record.context) if record.context else None
    return (call, record._replace(key=key)) if isinstance(call, Call) else None


def _turns(provider: Provider, context: RecordContext, payload: bytes) -> tuple[Turn, ...]:
    try:
        return provider.transcript.read(context, decode(payload)) if provider.transcript else ()
    except (InvalidResponse, TranscriptNotReady):
        return ()
