"""One run of one source: what it works with, what it records, and how it ends."""

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Concatenate, ParamSpec, TypeVar
from uuid import UUID

import psycopg
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from etl.client.api_client import Client, Transport
from etl.client.errors import PAUSE, AccessRefused, PauseReason, SourceError, SourcePaused
from etl.db.engine import TRANSIENT, DatabaseProblem, describe, retried
from etl.extractors import providers
from etl.fields.person import Removals, since
from etl.loader.batch import Counts, WriteContext
from etl.model import Provider, Source
from etl.paging import PaginationLoop
from etl.runtime.clock import Clock, Stopped
from etl.runtime.crash_report import one_line, stack
from etl.runtime.logs import event
from etl.runtime.tracing import span
from etl.state import registry, removed_calls, runs
from etl.state.lease import Lease, LeaseLost, Priority
from etl.state.rate_limit import RateLimiter
from etl.state.registry import SourceMismatch
from etl.state.session import IdleSessions, StateSession
from etl.state.settings_versions import outdated_calls, outdated_message

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger("etl.sync.run")
MAX_LOGGED_DRIFT = 50  # of a run


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When received pages are committed: at this number of rows, of bytes in memory, or after these seconds."""

    rows: int = 1000
    size_bytes: int = 32 << 20
    seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come, reported after each batch."""

    source: str
    what: str
    rows: int
    total: int | None
    requests: int


ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class RunDependencies:
    """What a run works with; tests pass their own."""

    db: Engine
    clock: Clock
    random: Callable[[], float] = random.random
    transport: Callable[[Source], Transport | None] = lambda source: None
    batch_limits: BatchLimits = BatchLimits()
    on_progress: ProgressCallback = lambda progress: None
    idle_sessions: IdleSessions | None = None  # where runs take and leave the session for their state
    observe: Callable[["SourceRun"], AbstractContextManager[object]] = nullcontext  # from its start to its end


@dataclass(slots=True)
class RunResult:
    """How a run of a source ended, or how far it has come."""

    source: str
    kind: str
    status: str = "running"
    counts: Counts = field(default_factory=Counts)
    requests: int = 0
    error: str | None = None  # the first one
    notes: list[str] = field(default_factory=list)
    run_id: int = 0
    drift: int = 0  # fields, words and types that are new, or too many to be listed
    crashes: int = 0  # runs before this one whose process ended before they had stored a page
    out_of_window: int = 0  # rows that came although they are outside the window or partition asked for


@dataclass(frozen=True, slots=True)
class SourceRun:
    """What a run of one source works with, the same from its first request to its last, and its result so far."""

    deps: RunDependencies
    source: Source
    provider: Provider
    client: Client
    state: StateSession
    lease: Lease
    result: RunResult
    is_manual: bool
    masking_key: bytes
    settings_id: int
    rejects_seen: set[bytes] = field(default_factory=set)  # the digests of all records that the run has rejected
    erased: set[UUID] = field(default_factory=set)  # the tokens of erased people, as of the last lease

    @property
    def partitions(self) -> tuple[str, ...]:
        """The keys of the source's streams: ``("",)`` where the source is one stream."""
        return self.source.partitions if self.provider.is_partitioned else ("",)

    def write_context(self) -> WriteContext:
        """Who writes, when, under which settings, and what is not stored."""
        source, now, kept = self.source, self.deps.clock.now(), self.source.retention
        if self.lease.erasures != len(self.erased):
            self.erased.clear()
            self.erased.update(self.state.run(removed_calls.erased_tokens))
        removals = Removals(self.masking_key, self.erased, since(kept.calls, now), since(kept.transcripts, now))
        of_run = self.result.run_id, now, self.masking_key, self.settings_id
        return WriteContext(source.name, source.provider, *of_run, removals)

    def acquire_lease(self) -> None:
        """Wait for the source's lease; a process that was asked to stop stops here."""
        self.deps.clock.sleep(0)
        self.lease.acquire(lambda: event(log, "waiting_for_lease", source=self.source.name))

    def transaction(self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in a transaction of the lease; again, a few times, where the server ended it."""
        seen, notes = set(self.rejects_seen), len(self.result.notes)

        def attempt() -> T:
            self.rejects_seen.intersection_update(seen)
            del self.result.notes[notes:]
            with self.lease.transaction() as connection:
                return work(connection, *args, **kwargs)

        return retried(attempt, self.deps.clock.sleep, TRANSIENT)

    @contextmanager
    def at_priority(self, priority: Priority) -> Iterator[None]:
        """Ask for the lease and for requests at this priority until the end of the block."""
        before, self.lease.priority = self.lease.priority, priority
        try:
            yield
        finally:
            self.lease.priority = before

    def fail(self, what: str, error: Exception) -> None:
        """Record and log an error that lets the run go on with other streams."""
        message = error_message(self.source.name, error)
        self.result.error = self.result.error or message
        event(log, what, level=logging.WARNING, source=self.source.name, error=message)

    def report_progress(self, step: str, rows: int, total: int | None) -> None:
        """Tell the caller how far the run has come."""
        self.deps.on_progress(Progress(self.source.name, step, rows, total, self.client.requests))

    def end(self) -> None:
        """Record how the run ended."""
        result = self.result
        if result.out_of_window:
            result.notes.append(f"{result.out_of_window} records came from outside what was asked for; they are loaded")
        if result.drift > MAX_LOGGED_DRIFT:
            more = f"{result.drift - MAX_LOGGED_DRIFT} more unexpected fields, words and types were received"
            result.notes.append(f"{more}; ops.schema_drift lists the first thousand of a source")
            event(log, "schema_drift_more", source=result.source, count=result.drift - MAX_LOGGED_DRIFT)
        result.requests = self.client.requests
        ended = {"status": result.status, "now": self.deps.clock.now(), "error": result.error, "notes": result.notes}
        keys = {"run_id": result.run_id, "source": result.source, "requests": result.requests}
        result.counts = self.state.run(runs.end, keys | ended)


RunFunction = Callable[[SourceRun], object]


def run_source(deps: RunDependencies, source: Source, kind: str, work: RunFunction, *, is_manual: bool) -> RunResult:
    """Do some work on a source as one run of ``ops.runs``; whatever goes wrong is the result's error.

    Only before anything is read: :class:`~etl.state.registry.SourceMismatch`, :class:`~etl.db.engine.DatabaseProblem`.
    """
    result = RunResult(source.name, kind, "failed")
    try:
        with _opened(deps, result, source, is_manual=is_manual) as run:
            work(run)
            result.status = "failed" if result.error else "succeeded"
    except (SourceMismatch, DatabaseProblem, Stopped):
        raise
    except Exception as error:
        result.status, result.error = "failed", error_message(source.name, error)
    return result


@contextmanager
def _opened(deps: RunDependencies, result: RunResult, source: Source, *, is_manual: bool) -> Iterator[SourceRun]:
    """A run with its session, client and row in ``ops.runs``, where it is recorded how it ends."""
    provider = providers()[source.provider]
    with ExitStack() as closing:
        state = closing.enter_context(StateSession(deps.db, deps.clock.sleep, deps.idle_sessions))
        _register(deps, source, is_manual=is_manual)
        lease = Lease(state, deps.db, source.name, deps.clock)
        closing.callback(lease.release)
        rate_limiter = RateLimiter(state, lease, source, deps.clock)
        client = Client(source, provider.credential, rate_limiter, deps.clock, deps.random, deps.transport(source))
        closing.callback(client.close)
        begun = state.run(runs.begin, source, result.kind, state.owner, deps.clock.now())
        result.run_id, result.crashes = begun.run_id, begun.crashes
        numbers = begun.masking_key, begun.settings_id
        run = SourceRun(deps, source, provider, client, state, lease, result, is_manual, *numbers)
        closing.enter_context(deps.observe(run))
        closing.callback(run.end)
        if begun.is_under_other_settings and result.kind != "replay":
            left = outdated_message(source.name, state.run(outdated_calls, source))
            result.notes += [left] if left else []
        try:
            with span("run", source=source.name, kind=result.kind, run_id=result.run_id):
                yield run
                state.is_reusable = result.error is None
        except (Stopped, KeyboardInterrupt):
            result.status, result.error = "interrupted", "stopped; the next run goes on from here"
            raise
        except Exception as error:
            if isinstance(error, AccessRefused):
                rate_limiter.suspend(deps.clock.now() + PAUSE, error.reason)
            result.error = error_message(source.name, error)


def _register(deps: RunDependencies, source: Source, *, is_manual: bool) -> None:
    def register() -> tuple[datetime, PauseReason] | None:
        with deps.db.begin() as connection:
            return registry.register(connection, source, deps.clock.now())

    pause = retried(register, deps.clock.sleep, TRANSIENT)
    if pause and not is_manual:
        until, reason = pause
        problem = f"paused until {until:%H:%M} UTC: {reason.problem}"
        raise SourcePaused(source.name, problem, reason.hint(source.key_name), None, until)


def error_message(source: str, error: BaseException) -> str:
    """An error of a source → its sentence without the source's name; an unexpected one is also logged."""
    if isinstance(error, SourceError | SourceMismatch | PaginationLoop | LeaseLost | DatabaseProblem):
        return str(error).removeprefix(f"{source}: ")
    log.debug("stack trace:\n%s", stack(error))
    return describe(error) if isinstance(error, SQLAlchemyError | psycopg.Error) else one_line(error)
