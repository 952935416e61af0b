"""A batch of received records → the warehouse, in one transaction of the source's lease."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import Connection

from etl.db.engine import uuid_array
from etl.db.statements import Statements
from etl.loader import raw, writer
from etl.loader.batch import Batch, Counts, ReceivedRecord, StoredVersion, WriteContext, read_received
from etl.loader.plan import BatchPlan, RejectedRecord, RowChange, plan
from etl.runtime.logs import event
from etl.state import drift, last_seen, quarantine
from etl.sync.run import SourceRun

log = logging.getLogger("etl.sync.load")

SQL = Statements("calls")


class BatchResult(NamedTuple):
    """What a transaction wrote."""

    ctx: WriteContext
    counts: Counts
    rejected: Sequence[RejectedRecord]


def receive(run: SourceRun, payloads: Sequence[bytes], seq: int) -> list[ReceivedRecord]:
    """The records of a response, each with the stored version of its call."""
    return with_stored(run, [read_received(run.provider, run.source, payload, seq) for payload in payloads])


def with_stored(run: SourceRun, records: Sequence[ReceivedRecord]) -> list[ReceivedRecord]:
    """The same records with what is stored of their calls by now."""
    keys = uuid_array(record.key for record in records if record.key)
    rows = run.state.fetch_all(SQL.stored_versions, {"keys": keys})
    stored = {row.call_key: StoredVersion(row.digest, row.latest_request_seq) for row in rows}
    return [record._replace(stored=stored[record.key]) if record.key in stored else record for record in records]


def load(connection: Connection, run: SourceRun, batch: Batch, *, is_listed: bool = True) -> BatchResult:
    """Load a batch, in a transaction of the lease; ``is_listed`` unless its records come from quarantine."""
    ctx = run.write_context()
    stored = writer.fetch_rows(connection, batch.changed_keys())
    result = write(connection, run, ctx, plan(ctx, run.provider, batch, stored, run.recorder.rejects_seen))
    if is_listed:
        last_seen.touch(connection, ctx, batch.stored_keys())
    return result


def write(connection: Connection, run: SourceRun, ctx: WriteContext, planned: BatchPlan) -> BatchResult:
    """Write what is planned: rows, raw payloads, quarantine, schema drift, and the counts of the run."""
    written, refused = writer.write(connection, ctx, planned.changes)
    counts = _counts(planned.counts, written, refused, run.recorder.rejects_seen)
    rejected = [*planned.rejected, *refused]
    raw.archive(connection, ctx, written)
    quarantine.put(connection, ctx, rejected)
    quarantine.resolve(connection, ctx, {*planned.unchanged, *(c.row["provider_call_id"] for c in written)})
    for new in drift.record(connection, ctx, [found for change in written for found in change.drift]):
        event(log, "schema_drift", level=logging.WARNING, source=ctx.source, **new._asdict())
    run.recorder.count(connection, counts)
    run.recorder.rejects_seen.update(reject.record.digest for reject in rejected)
    return BatchResult(ctx, counts, rejected)


def _counts(
    planned: Counts, written: Sequence[RowChange], refused: Sequence[RejectedRecord], seen_rejects: set[bytes]
) -> Counts:
    """What became of each record; one whose content the run has rejected before counts as unchanged."""
    inserted, updated = sum(c.before is None for c in written), sum(bool(c.fields) for c in written)
    repeated = sum(reject.record.digest in seen_rejects for reject in refused)
    return replace(
        planned,
        inserted=inserted,
        updated=updated,
        unchanged=planned.unchanged + len(written) - inserted - updated + repeated,
        quarantined=planned.quarantined + len(refused) - repeated,
    )
