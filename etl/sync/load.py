"""A batch of received records → the warehouse, in one transaction of the source's lease."""

import logging
from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import Connection

from etl.db.engine import uuid_array
from etl.db.statements import Statements
from etl.loader import raw, writer
from etl.loader.batch import Batch, Counts, ReceivedRecord, StoredVersion
from etl.loader.writer import RowChange, WriteContext
from etl.model import Reject
from etl.runtime.logs import event
from etl.state import drift, last_seen, quarantine
from etl.sync.run import SourceRun

log = logging.getLogger("etl.sync.load")

SQL = Statements("calls")


def stored_versions(run: SourceRun, arrivals: Sequence[ReceivedRecord]) -> dict[UUID, StoredVersion]:
    """The stored version of each received record's call, where there is one."""
    keys = uuid_array(arrival.key for arrival in arrivals if arrival.key)
    return {
        row.call_key: StoredVersion(row.digest, row.latest_request_seq)
        for row in run.state.fetch_all(SQL.stored_versions, {"keys": keys})
    }


def load(connection: Connection, run: SourceRun, batch: Batch) -> WriteContext:
    """Write all that came in a batch, in a transaction of the lease."""
    writing = run.write_context()
    rows = writer.fetch_rows(connection, batch.changed_keys())
    entries, rejects, counts = batch.plan_writes(writing, rows, run.recorder.rejects_seen)
    write(connection, run, writing, entries, counts, rejects, batch.unchanged(rejects))
    last_seen.touch(connection, writing, batch.stored)
    return writing


def write(
    connection: Connection,
    run: SourceRun,
    writing: WriteContext,
    entries: Sequence[RowChange],
    counts: Counts,
    rejects: Sequence[Reject] = (),
    unchanged: Collection[str] = (),
) -> list[Reject]:
    """Write a batch's entries and rejects, with the counts and the drift that follow; all that became no row.

    ``unchanged`` are the ids of calls that were seen as they are held: what waited of them is resolved too.
    """
    refused = writer.write(connection, writing, entries)
    bad = {id(entry) for entry, _ in refused}
    rejects = [*rejects, *(reject for _, reject in refused)]
    written = [entry for entry in entries if id(entry) not in bad]
    for entry in written:
        counts.count(entry)
    again = {entry.records[-1].digest for entry, _ in refused} & run.recorder.rejects_seen
    counts.quarantined += len(refused) - len(again)
    counts.unchanged += len(again)
    run.recorder.rejects_seen.update(entry.records[-1].digest for entry, _ in refused)
    raw.archive(connection, writing, written)
    quarantine.put(connection, writing, rejects)
    quarantine.resolve(connection, writing, {*unchanged, *(entry.row["provider_call_id"] for entry in written)})
    for new in drift.record(connection, writing, (each for entry in written for each in entry.drift)):
        event(log, "schema_drift", level=logging.WARNING, source=writing.source, **new._asdict())
    run.recorder.count(connection, counts)
    return rejects
