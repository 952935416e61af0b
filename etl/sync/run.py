"""One run at work on one source: what it works with, its books, and how it writes and ends."""

import logging
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

import psycopg
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from etl.client.api_client import Client, Transport
from etl.client.errors import SourceError
from etl.db.engine import describe, uuid_array
from etl.extractors import providers
from etl.loader import raw, writer
from etl.loader.batch import Batch, Counts, ReceivedRecord, StoredVersion
from etl.loader.writer import RowChange, WriteContext
from etl.model import Provider, Reject, Source
from etl.paging import PaginationLoop
from etl.runtime.clock import Clock, Stopped
from etl.runtime.crash_report import one_line, stack
from etl.runtime.logs import event
from etl.runtime.tracing import span
from etl.state import drift, last_seen, quarantine, registry
from etl.state.lease import Lease, LeaseLost, Priority
from etl.state.rate_limit import RateLimiter
from etl.state.runs import RunRecord
from etl.state.session import StateSession

log = logging.getLogger("etl.sync.run")

# A call that is marked missing is held with no content: when it comes again, its row has to be written.
HELD = text("""
    SELECT call_key, CASE WHEN delisted_at IS NULL THEN content_hash END AS digest, latest_request_seq
      FROM warehouse.calls WHERE call_key = ANY(CAST(:keys AS uuid[]))
""")


@dataclass(frozen=True, slots=True)
class RunDependencies:
    """What a run works with; tests pass their own."""

    db: Engine
    clock: Clock
    random: Callable[[], float] = random.random
    transport: Callable[[Source], Transport | None] = lambda source: None
    prefetch_pages: int = 2  # how many pages of a list may be in flight beside the one that is read


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come, said after each batch."""

    source: str
    what: str
    rows: int
    total: int | None
    requests: int
    counts: Counts


@dataclass(slots=True)
class RunResult:
    """How a run of a source ended."""

    source: str
    kind: str
    status: str = "running"
    counts: Counts = field(default_factory=Counts)
    requests: int = 0
    error: str | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class SourceRun:
    """One run at work on one source: what the functions below pass to each other."""

    deps: RunDependencies
    source: Source
    provider: Provider
    client: Client
    state: StateSession
    lease: Lease
    record: RunRecord
    result: RunResult
    on_progress: "ProgressCallback"
    is_manual: bool
    rejects_seen: set[bytes] = field(default_factory=set)
    out_of_window_count: int = 0  # records from outside what was asked for
    filter_ignored: set[str] = field(default_factory=set)  # the telephone numbers whose list shows other calls too
    lookback_start: datetime | None = None  # how far back a sweep of this run reads

    @property
    def partitions(self) -> tuple[str, ...]:
        """The telephone numbers that have a list each; the empty one where the source is one list."""
        return self.source.partitions if self.provider.is_partitioned else ("",)

    def write_context(self) -> WriteContext:
        """Who writes, and when."""
        return WriteContext(self.source.name, self.source.provider, self.record.run_id, self.deps.clock.now())

    def acquire_lease(self) -> None:
        """Wait for the source's lease; a process that was asked to end does so here."""
        self.deps.clock.sleep(0)
        self.lease.acquire(lambda: event(log, "waiting for another process", source=self.source.name))

    @contextmanager
    def at_priority(self, lane: Priority) -> Iterator[None]:
        """A piece of work that others at the source go before, or that goes before them."""
        before, self.lease.priority = self.lease.priority, lane
        try:
            yield
        finally:
            self.lease.priority = before

    def stored_versions(self, arrivals: Sequence[ReceivedRecord]) -> dict[UUID, StoredVersion]:
        """What the warehouse holds of some arrivals."""
        keys = uuid_array(each.key for each in arrivals if each.key)
        return {
            row.call_key: StoredVersion(row.digest, row.latest_request_seq)
            for row in self.state.fetch_all(HELD, {"keys": keys})
        }

    def report_progress(self, what: str, rows: int, total: int | None) -> None:
        """Say how far the run has come."""
        counts = replace(self.result.counts)
        self.on_progress(Progress(self.source.name, what, rows, total, self.client.requests, counts))

    def load(self, connection: Connection, batch: Batch) -> WriteContext:
        """Write all that came in a batch, in a transaction of the lease."""
        writing = self.write_context()
        rows = writer.fetch_rows(connection, batch.changed_keys())
        entries, rejects, counts = batch.plan_writes(writing, rows, self.rejects_seen)
        self.write(connection, writing, entries, counts, rejects, batch.unchanged(rejects))
        last_seen.touch(connection, writing, batch.stored)
        return writing

    def write(
        self,
        connection: Connection,
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
        again = {entry.records[-1].digest for entry, _ in refused} & self.rejects_seen
        counts.quarantined += len(refused) - len(again)
        counts.unchanged += len(again)
        self.rejects_seen.update(entry.records[-1].digest for entry, _ in refused)
        raw.archive(connection, writing, written)
        quarantine.put(connection, writing, rejects)
        quarantine.resolve(connection, writing, {*unchanged, *(entry.row["provider_call_id"] for entry in written)})
        for new in drift.record(connection, writing, (each for entry in written for each in entry.drift)):
            event(log, "drift", level=logging.WARNING, source=writing.source, **new._asdict())
        self.record.count(connection, counts, self.client.requests)
        self.result.counts.add(counts)
        return rejects


RunFunction = Callable[[SourceRun], None]


ProgressCallback = Callable[[Progress], None]


def run_source(
    deps: RunDependencies, source: Source, kind: str, work: RunFunction, say: ProgressCallback, *, by_hand: bool
) -> RunResult:
    """Do some work on a source as one run of the books; what goes wrong with the source ends in the report.

    Before anything is read: :class:`~etl.state.registry.ForeignSource`, :class:`~etl.db.engine.DatabaseProblem`.
    """
    report = RunResult(source.name, kind)
    provider = providers()[source.provider]
    with ExitStack() as closing:
        with deps.db.begin() as connection:
            registry.register(connection, source, deps.clock.now())
            pause = None if by_hand else registry.paused(connection, source.name, deps.clock.now())
        if pause:
            report.status, report.error = "failed", f"{source.name}: set aside until {pause[0]:%H:%M} UTC: {pause[1]}"
            return report
        state = closing.enter_context(StateSession(deps.db))
        lease = Lease(state, deps.db, source.name, deps.clock)
        closing.callback(lease.release)
        pace = RateLimiter(state, lease, source, deps.clock)
        client = Client(source, provider.credential, pace, deps.clock, deps.random, deps.transport(source))
        closing.callback(client.close)
        stream = RunRecord(state, source.name, kind, lease.owner, deps.clock)
        run = SourceRun(deps, source, provider, client, state, lease, stream, report, say, by_hand)
        with _ending(run), span("run", source=source.name, kind=kind, run_id=stream.run_id):
            work(run)
    return report


@contextmanager
def _ending(run: SourceRun) -> Iterator[None]:
    """However the work ends, the books say how."""
    report, source = run.result, run.source.name
    report.status = "failed"
    try:
        yield
        report.status = "failed" if report.error else "succeeded"
    except (SourceError, PaginationLoop, LeaseLost) as error:
        report.error = str(error) if str(error).startswith(source) else f"{source}: {error}"
    except (Stopped, KeyboardInterrupt):
        report.status, report.error = "interrupted", f"{source}: stopped; the next run goes on from here"
        raise
    except Exception as error:
        is_known = isinstance(error, SQLAlchemyError | psycopg.Error)
        report.error = f"{source}: {describe(error) if is_known else one_line(error)}"
        log.debug("the way to the error:\n%s", stack(error))
    finally:
        report.requests = run.client.requests
        if run.out_of_window_count:
            report.notes.append(
                f"{run.out_of_window_count} records came from outside what was asked for; they are loaded"
            )
        report.counts = run.record.end(report.status, report.requests, report.error, report.notes)
