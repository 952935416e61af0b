"""One run of one source: what it works with, what it records, and how it ends."""

import logging
import random
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

import psycopg
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from etl.client.api_client import Client, Transport
from etl.client.errors import SourceError
from etl.db.engine import describe
from etl.extractors import providers
from etl.loader.batch import Counts, WriteContext
from etl.model import Provider, Source
from etl.paging import PaginationLoop
from etl.runtime.clock import Clock, Stopped
from etl.runtime.crash_report import one_line, stack
from etl.runtime.logs import event
from etl.runtime.tracing import span
from etl.state import registry
from etl.state.lease import Lease, LeaseLost, Priority
from etl.state.rate_limit import RateLimiter
from etl.state.runs import RunRecord
from etl.state.session import StateSession

log = logging.getLogger("etl.sync.run")


def one_thread() -> Executor:
    """What requests the next page of a stream while one is loaded."""
    return ThreadPoolExecutor(1)


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When received pages are committed: at this number of rows or bytes, or after these seconds."""

    rows: int = 1000
    size_bytes: int = 16 << 20
    seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come, reported after each batch."""

    source: str
    what: str
    rows: int
    total: int | None
    requests: int
    counts: Counts


ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class RunDependencies:
    """What a run works with; tests pass their own."""

    db: Engine
    clock: Clock
    random: Callable[[], float] = random.random
    transport: Callable[[Source], Transport | None] = lambda source: None
    prefetch_executor: Callable[[], Executor] | None = one_thread  # None: no page is prefetched
    batch_limits: BatchLimits = BatchLimits()
    on_progress: ProgressCallback = lambda progress: None


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


class RunRecorder:
    """What a run has done so far: its counts, notes and first error, kept for its caller and in ``ops.runs``."""

    def __init__(self, record: RunRecord, client: Client, result: RunResult, on_progress: ProgressCallback) -> None:
        self._record, self._client, self._on_progress = record, client, on_progress
        self.result = result
        self.rejects_seen: set[bytes] = set()  # the digests of all records that the run has rejected
        self._out_of_window = 0

    @property
    def run_id(self) -> int:
        """The run's key in ``ops.runs``."""
        return self._record.run_id

    def count(self, connection: Connection, counts: Counts) -> None:
        """Add a batch's counts, in the transaction of the batch."""
        self._record.count(connection, counts, self._client.requests)
        self.result.counts.add(counts)

    def count_out_of_window(self, rows: int) -> None:
        """Add rows that the provider returned although they are outside the window or partition asked for."""
        self._out_of_window += rows

    def note(self, sentence: str) -> None:
        """Add a sentence for whoever reads about the run."""
        self.result.notes.append(sentence)

    def fail(self, error: str) -> None:
        """Record an error that lets the run go on with other streams; the first one is the run's."""
        self.result.error = self.result.error or error

    def report_progress(self, step: str, rows: int, total: int | None) -> None:
        """Tell the caller how far the run has come."""
        counts = replace(self.result.counts)
        self._on_progress(Progress(self.result.source, step, rows, total, self._client.requests, counts))

    def end(self) -> None:
        """Record how the run ended."""
        result = self.result
        result.requests = self._client.requests
        if self._out_of_window:
            self.note(f"{self._out_of_window} records came from outside what was asked for; they are loaded")
        result.counts = self._record.end(result.status, result.requests, result.error, result.notes)


@dataclass(frozen=True, slots=True)
class SourceRun:
    """What a run of one source works with, the same from its first request to its last."""

    deps: RunDependencies
    source: Source
    provider: Provider
    client: Client
    state: StateSession
    lease: Lease
    recorder: RunRecorder
    is_manual: bool

    @property
    def partitions(self) -> tuple[str, ...]:
        """The keys of the source's streams: ``("",)`` where the source is one stream."""
        return self.source.partitions if self.provider.is_partitioned else ("",)

    def write_context(self) -> WriteContext:
        """Who writes, and when."""
        return WriteContext(self.source.name, self.source.provider, self.recorder.run_id, self.deps.clock.now())

    def acquire_lease(self) -> None:
        """Wait for the source's lease; a process that was asked to stop stops here."""
        self.deps.clock.sleep(0)
        self.lease.acquire(lambda: event(log, "waiting_for_lease", source=self.source.name))

    @contextmanager
    def at_priority(self, priority: Priority) -> Iterator[None]:
        """Ask for the lease and for requests at this priority until the end of the block."""
        before, self.lease.priority = self.lease.priority, priority
        try:
            yield
        finally:
            self.lease.priority = before


RunFunction = Callable[[SourceRun], object]


def run_source(deps: RunDependencies, source: Source, kind: str, work: RunFunction, *, is_manual: bool) -> RunResult:
    """Do some work on a source as one run of ``ops.runs``; an error of the source ends in its result.

    Before anything is read: :class:`~etl.state.registry.SourceMismatch`, :class:`~etl.db.engine.DatabaseProblem`.
    """
    result = RunResult(source.name, kind)
    provider = providers()[source.provider]
    with ExitStack() as closing:
        with deps.db.begin() as connection:
            registry.register(connection, source, deps.clock.now())
            pause = None if is_manual else registry.paused(connection, source.name, deps.clock.now())
        if pause:
            until, reason = pause
            result.status = "failed"
            result.error = f"{source.name}: paused until {until:%H:%M} UTC: {reason.problem}; {reason.hint}"
            return result
        state = closing.enter_context(StateSession(deps.db))
        lease = Lease(state, deps.db, source.name, deps.clock)
        closing.callback(lease.release)
        rate_limiter = RateLimiter(state, lease, source, deps.clock)
        client = Client(source, provider.credential, rate_limiter, deps.clock, deps.random, deps.transport(source))
        closing.callback(client.close)
        record = RunRecord(state, source.name, kind, lease.owner, deps.clock)
        recorder = RunRecorder(record, client, result, deps.on_progress)
        with _recorded(recorder), span("run", source=source.name, kind=kind, run_id=record.run_id):
            work(SourceRun(deps, source, provider, client, state, lease, recorder, is_manual))
    return result


@contextmanager
def _recorded(recorder: RunRecorder) -> Iterator[None]:
    """Record how the work ended, however it did."""
    result, source = recorder.result, recorder.result.source
    result.status = "failed"
    try:
        yield
        result.status = "failed" if result.error else "succeeded"
    except (SourceError, PaginationLoop, LeaseLost) as error:
        result.error = str(error) if isinstance(error, SourceError) else f"{source}: {error}"
    except (Stopped, KeyboardInterrupt):
        result.status, result.error = "interrupted", f"{source}: stopped; the next run goes on from here"
        raise
    except Exception as error:
        is_known = isinstance(error, SQLAlchemyError | psycopg.Error)
        result.error = f"{source}: {describe(error) if is_known else one_line(error)}"
        log.debug("stack trace:\n%s", stack(error))
    finally:
        recorder.end()
