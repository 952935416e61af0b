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
from etl.loader.batch import Arrival, Batch, Counts, Held
from etl.loader.writer import Entry, Writing
from etl.model import Provider, Reject, Source
from etl.paging import EndlessList
from etl.runtime.clock import Clock, Stopped
from etl.runtime.crash_report import in_a_line, trace
from etl.runtime.logs import event
from etl.runtime.tracing import span
from etl.state import drift, last_seen, quarantine, registry
from etl.state.lease import Lane, Lease, LeaseLost
from etl.state.rate_limit import Pace
from etl.state.runs import Run
from etl.state.session import Desk

log = logging.getLogger("etl.sync.run")

# A call that is marked missing is held with no content: when it comes again, its row has to be written.
HELD = text("""
    SELECT call_key, CASE WHEN missing_since IS NULL THEN record_digest END AS digest, seen_seq
      FROM warehouse.calls WHERE call_key = ANY(CAST(:keys AS uuid[]))
""")


@dataclass(frozen=True, slots=True)
class Means:
    """What a run works with; tests pass their own."""

    db: Engine
    clock: Clock
    random: Callable[[], float] = random.random
    transport: Callable[[Source], Transport | None] = lambda source: None
    ahead: int = 2  # how many pages of a list may be in flight beside the one that is read


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
class Report:
    """How a run of a source ended."""

    source: str
    kind: str
    status: str = "running"
    counts: Counts = field(default_factory=Counts)
    requests: int = 0
    error: str | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Reader:
    """One run at work on one source: what the functions below pass to each other."""

    means: Means
    source: Source
    provider: Provider
    client: Client
    desk: Desk
    lease: Lease
    run: Run
    report: Report
    say: "Say"
    by_hand: bool
    rejects_seen: set[bytes] = field(default_factory=set)
    outside: int = 0  # records from outside what was asked for
    filter_ignored: set[str] = field(default_factory=set)  # the telephone numbers whose list shows other calls too
    swept_from: datetime | None = None  # how far back a sweep of this run reads

    @property
    def phones(self) -> tuple[str, ...]:
        """The telephone numbers that have a list each; the empty one where the source is one list."""
        return self.source.phones if self.provider.needs_phones else ("",)

    def writing(self) -> Writing:
        """Who writes, and when."""
        return Writing(self.source.name, self.source.provider, self.run.run_id, self.means.clock.now())

    def take_turn(self) -> None:
        """Wait for the source's lease; a process that was asked to end does so here."""
        self.means.clock.sleep(0)
        self.lease.take(lambda: event(log, "waiting for another process", source=self.source.name))

    @contextmanager
    def lane(self, lane: Lane) -> Iterator[None]:
        """A piece of work that others at the source go before, or that goes before them."""
        before, self.lease.lane = self.lease.lane, lane
        try:
            yield
        finally:
            self.lease.lane = before

    def held(self, arrivals: Sequence[Arrival]) -> dict[UUID, Held]:
        """What the warehouse holds of some arrivals."""
        keys = uuid_array(each.key for each in arrivals if each.key)
        return {row.call_key: Held(row.digest, row.seen_seq) for row in self.desk.all(HELD, {"keys": keys})}

    def progress(self, what: str, rows: int, total: int | None) -> None:
        """Say how far the run has come."""
        counts = replace(self.report.counts)
        self.say(Progress(self.source.name, what, rows, total, self.client.requests, counts))

    def load(self, connection: Connection, batch: Batch) -> Writing:
        """Write all that came in a batch, in a transaction of the lease."""
        writing = self.writing()
        rows = writer.rows_of(connection, batch.unknown())
        entries, rejects, counts = batch.settle(writing, rows, self.rejects_seen)
        self.write(connection, writing, entries, counts, rejects, batch.unchanged(rejects))
        last_seen.note(connection, writing, batch.held)
        return writing

    def write(
        self,
        connection: Connection,
        writing: Writing,
        entries: Sequence[Entry],
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
        raw.keep(connection, writing, written)
        quarantine.put(connection, writing, rejects)
        quarantine.resolve(connection, writing, {*unchanged, *(entry.row["provider_call_id"] for entry in written)})
        for new in drift.note(connection, writing, (each for entry in written for each in entry.drift)):
            event(log, "drift", level=logging.WARNING, source=writing.source, **new._asdict())
        self.run.count(connection, counts, self.client.requests)
        self.report.counts.add(counts)
        return rejects


Work = Callable[[Reader], None]


Say = Callable[[Progress], None]


def run(means: Means, source: Source, kind: str, work: Work, say: Say, *, by_hand: bool) -> Report:
    """Do some work on a source as one run of the books; what goes wrong with the source ends in the report.

    Before anything is read: :class:`~etl.state.registry.ForeignSource`, :class:`~etl.db.engine.DatabaseProblem`.
    """
    report = Report(source.name, kind)
    provider = providers()[source.provider]
    with ExitStack() as closing:
        with means.db.begin() as connection:
            registry.register(connection, source, means.clock.now())
            pause = None if by_hand else registry.paused(connection, source.name, means.clock.now())
        if pause:
            report.status, report.error = "failed", f"{source.name}: set aside until {pause[0]:%H:%M} UTC: {pause[1]}"
            return report
        desk = closing.enter_context(Desk(means.db))
        lease = Lease(desk, means.db, source.name, means.clock)
        closing.callback(lease.give_up)
        pace = Pace(desk, lease, source, means.clock)
        client = Client(source, provider.credential, pace, means.clock, means.random, means.transport(source))
        closing.callback(client.close)
        books = Run(desk, source.name, kind, lease.owner, means.clock)
        reader = Reader(means, source, provider, client, desk, lease, books, report, say, by_hand)
        with _ending(reader), span("run", source=source.name, kind=kind, run_id=books.run_id):
            work(reader)
    return report


@contextmanager
def _ending(reader: Reader) -> Iterator[None]:
    """However the work ends, the books say how."""
    report, source = reader.report, reader.source.name
    report.status = "failed"
    try:
        yield
        report.status = "failed" if report.error else "succeeded"
    except (SourceError, EndlessList, LeaseLost) as error:
        report.error = str(error) if str(error).startswith(source) else f"{source}: {error}"
    except (Stopped, KeyboardInterrupt):
        report.status, report.error = "interrupted", f"{source}: stopped; the next run goes on from here"
        raise
    except Exception as error:
        is_known = isinstance(error, SQLAlchemyError | psycopg.Error)
        report.error = f"{source}: {describe(error) if is_known else in_a_line(error)}"
        log.debug("the way to the error:\n%s", trace(error))
    finally:
        report.requests = reader.client.requests
        if reader.outside:
            report.notes.append(f"{reader.outside} records came from outside what was asked for; they are loaded")
        report.counts = reader.run.end(report.status, report.requests, report.error, report.notes)
