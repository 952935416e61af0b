"""A batch of received records → the warehouse, in one transaction of the source's lease."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from etl.db.engine import uuid_array
from etl.db.statements import Statements
from etl.loader import raw, writer
from etl.loader.batch import Counts, ReceivedRecord, WriteContext, read_received
from etl.loader.known_bytes import glimpse, seal
from etl.loader.plan import BatchPlan, plan
from etl.runtime.logs import event
from etl.state import drift, last_seen, quarantine, removed_calls, runs
from etl.state.removed_calls import REMOVED
from etl.sync.run import MAX_LOGGED_DRIFT, SourceRun

log = logging.getLogger("etl.sync.load")

SQL = Statements("calls")


def receive(run: SourceRun, payloads: Sequence[bytes], seq: int) -> list[ReceivedRecord]:
    """The records of a response, each with the stored version of its call; known bytes are read no further."""
    seen = [glimpse(run.provider, run.source, payload, seq) for payload in payloads]
    versions = dict(_stored_versions(run, seen))
    records = [_known(run, record, versions.get(record.key)) or _read(run, record) for record in seen]
    if others := [
        whole for whole, glimpsed in zip(records, seen, strict=True) if whole.key not in (None, glimpsed.key)
    ]:
        versions |= _stored_versions(run, others)
    return [_compared(run, record, versions.get(record.key)) for record in records]


def with_stored(run: SourceRun, records: Sequence[ReceivedRecord]) -> list[ReceivedRecord]:
    """Records that were read whole, each with the stored version of its call."""
    versions = _stored_versions(run, records)
    return [_compared(run, record, versions.get(record.key)) for record in records]


def _stored_versions(run: SourceRun, records: Sequence[ReceivedRecord]) -> Mapping[UUID | None, Any]:
    rows = run.state.fetch_all(SQL.stored_versions, {"keys": uuid_array(r.key for r in records if r.key)})
    return {row.call_key: row for row in rows}


def _known(run: SourceRun, record: ReceivedRecord, version: Any) -> ReceivedRecord | None:
    """A glimpsed record whose bytes have the content that is stored of its call."""
    if version is None or None in (version.digest, version.seal):
        return None
    if version.seal != seal(run.provider, record, version.digest):
        return None
    known = {"digest": version.digest, "stored_digest": version.digest, "stored_seq": version.latest_request_seq}
    return record._replace(**known, seal=version.seal, is_whole=False)


def _compared(run: SourceRun, record: ReceivedRecord, version: Any) -> ReceivedRecord:
    if not record.is_whole:
        return record
    sealed = seal(run.provider, record, record.digest)
    if version is None:
        return record._replace(seal=sealed)
    if version.latest_request_seq == REMOVED:  # it counts as stored and unchanged, whatever it says now
        return record._replace(stored_seq=REMOVED, stored_digest=record.digest)
    return record._replace(stored_seq=version.latest_request_seq, stored_digest=version.digest, seal=sealed)


def _read(run: SourceRun, record: ReceivedRecord) -> ReceivedRecord:
    return read_received(run.provider, run.source, record.payload, record.seq)


def _whole(run: SourceRun, record: ReceivedRecord) -> ReceivedRecord:
    """A record of known bytes, read whole."""
    return record._replace(context=_read(run, record).context, is_whole=True)


def load(
    connection: Connection, run: SourceRun, batch: Sequence[ReceivedRecord], pages: int = 1, *, is_listed: bool = True
) -> WriteContext:
    """Load a batch, in a transaction of the lease; ``is_listed`` unless its records come from quarantine."""
    ctx = run.write_context()
    known = [record for record in batch if record.key and record.stored_seq is not None]
    changed = {record.key for record in known if record.key and record.digest != record.stored_digest}
    if changed:  # what came of them besides, in known bytes, may be a change of it
        batch = [r if r.is_whole or r.key not in changed else _whole(run, r) for r in batch]
    stored = writer.fetch_rows(connection, changed)
    if is_listed:  # before a call is removed that came
        last_seen.touch(connection, ctx, {r.key: r.seal for r in known if r.key and r.stored_seq != REMOVED})
        removed_calls.see(connection, [r.key for r in known if r.key and r.stored_seq == REMOVED], ctx.now)
    rejected = write(connection, run, ctx, plan(ctx, run.provider, batch, stored)._replace(pages=pages))
    quarantine.resolve(connection, ctx, [r for r in batch if r.call_id and r.call_id not in rejected])
    return ctx


def write(connection: Connection, run: SourceRun, ctx: WriteContext, planned: BatchPlan) -> set[str | None]:
    """Write rows, raw payloads, quarantine, schema drift, and the run's counts → the ids of the rejected records.

    Whatever else became of a record, a call that comes twice, one that is removed or a reject that the run has seen,
    counts as unchanged.
    """
    kept = removed_calls.keep(connection, ctx, planned.changes, run.partitions) if ctx.removals else planned.changes
    written, refused = writer.write(connection, ctx, kept)
    rejects = [
        each for each in (*planned.rejected, *refused) if not ctx.removals.mention(each.payload, run.source.region)
    ]
    rejected = {reject.digest: reject for reject in rejects}
    new = [reject for digest, reject in rejected.items() if digest not in run.rejects_seen]
    run.rejects_seen.update(rejected)
    raw.archive(connection, ctx, written)
    if oldest := ctx.removals.transcripts_since:
        late = [change.row["call_key"] for change in written if change.turns and change.row["created_at"] < oldest]
        removed_calls.forget_transcripts(connection, late, ctx.now)
    quarantine.put(connection, ctx, new)
    found, unlisted = drift.record(connection, ctx, [each for change in written for each in change.drift])
    for each in found[: max(0, MAX_LOGGED_DRIFT - run.result.drift)]:
        event(log, "schema_drift", level=logging.WARNING, source=ctx.source, **each._asdict())
    run.result.drift += len(found) + unlisted
    inserted, updated = sum(c.before is None for c in written), sum(bool(c.fields) for c in written)
    unchanged = planned.received - inserted - updated - len(new)
    counts = Counts(planned.pages, planned.received, inserted, updated, unchanged, len(new))
    run.result.counts = runs.count(connection, run.result.run_id, counts, run.client.requests)
    return {reject.call_id for reject in rejected.values()}
