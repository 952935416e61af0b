"""A sandbox world, a database and a fake clock → runs of the pipeline, and what the warehouse holds afterwards."""

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

import httpx
from sqlalchemy import Engine, NullPool, create_engine, event, text
from sqlalchemy.exc import SQLAlchemyError

from etl import pipeline, settings
from etl.loader import raw
from etl.model import Source
from etl.sandbox.expected import expected_rows
from etl.sandbox.faults import parse_fault
from etl.sandbox.in_process import SandboxTransport
from etl.sandbox.world import World
from etl.sync import run
from etl.sync.run import RunDependencies, RunFunction, RunResult
from tests.fakes import FakeClock

PROVIDERS = ("ringg", "ravan", "autocalls", "vaani")
NOW = datetime(2025, 5, 1, 12, tzinfo=UTC)
KEYS = [f"sandbox-{provider}-key" for provider in PROVIDERS]
FAST = 60_000  # requests per minute: no test waits for the rate limit, and its world does not change meanwhile

logging.getLogger("etl").setLevel(logging.DEBUG)


@dataclass
class Harness:
    """A database, sources that read a sandbox world, and the ``transport`` between them."""

    db: Engine
    world: World
    clock: FakeClock
    transport: httpx.BaseTransport
    requests_per_minute: int = FAST

    @cached_property
    def sources(self) -> dict[str, Source]:
        environment = SandboxTransport(self.world).environment()
        found = settings.load(environment, Path("/nonexistent")).local_sources
        return {each.name: replace(each, requests_per_minute=self.requests_per_minute) for each in found}

    def dependencies(self, clock: FakeClock | None = None) -> RunDependencies:
        """The dependencies of a run, as a process of its own would have them."""
        return RunDependencies(self.db, clock or self.clock, Random(1).random, lambda source: self.transport)

    def run(
        self, name: str, work: RunFunction = pipeline.sync, kind: str = "sync", *, by_hand: bool = True
    ) -> RunResult:
        """Run one source once, as a new process would."""
        return run.run_source(self.dependencies(), self.sources[name], kind, work, is_manual=by_hand)

    def sync(self, name: str) -> RunResult:
        """Run a sync that has to succeed."""
        report = self.run(name)
        assert (report.status, report.error) == ("succeeded", None)
        return report

    def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """The rows of a query."""
        with self.db.connect() as connection:
            return [dict(row) for row in connection.execute(text(query), values).mappings()]

    def scalar(self, query: str, **values: Any) -> Any:
        """The only value of a query."""
        with self.db.connect() as connection:
            return connection.execute(text(query), values).scalar_one()

    def execute(self, statement: str, **values: Any) -> None:
        """Run a statement and commit."""
        with self.db.begin() as connection:
            connection.execute(text(statement), values)

    def stored_ids(self, name: str) -> set[str]:
        """The provider's ids of the stored calls."""
        return {row["id"] for row in self.rows(IDS, source=name)}

    def versions_of(self, call_id: str) -> list[bytes]:
        """The versions of a call's record as received, oldest first."""
        key = self.scalar("SELECT call_key FROM warehouse.calls WHERE provider_call_id = :id", id=call_id)
        with self.db.connect() as connection:
            return [version.payload for version in raw.versions(connection, [key])[key]]

    def tuple_counts(self) -> dict[str, int]:
        """How many tuples were inserted, updated or deleted so far, for each table of `warehouse` and `raw`."""
        self.db.dispose()  # a session reports its counts when it ends, a moment after its client has gone
        while self.scalar(OTHERS):
            time.sleep(0.01)
        return {row["name"]: row["tuples"] for row in self.rows(TUPLES)}


VERSIONS = "SELECT coalesce(sum(cardinality(call_keys)), 0) FROM raw.payloads"
IDS = "SELECT provider_call_id AS id FROM warehouse.calls WHERE source = :source"
OTHERS = """
    SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
TUPLES = """
    SELECT schemaname || '.' || relname AS name, n_tup_ins + n_tup_upd + n_tup_del AS tuples
      FROM pg_stat_user_tables WHERE schemaname IN ('warehouse', 'raw')
"""


def make_harness(
    db: Engine, world: World | None = None, *faults: str, clock: FakeClock | None = None, **rate: int
) -> Harness:
    """A harness over a world that stands still, unless the world's clock is the one that is given."""
    world = world or World(3, calls=40, now=NOW)
    transport = SandboxTransport(world, [parse_fault(fault) for fault in faults])
    return Harness(db, world, clock or FakeClock(world.now()), transport, **rate)


def make_live_harness(
    db: Engine, calls: int = 60, *, per_hour: float = 0.0, order: str = "desc", days: float = 10
) -> Harness:
    """A harness whose world lives by the same clock."""
    clock = FakeClock(NOW)
    world = World(5, calls=calls, days=days, order=order, clock=clock.now, per_hour=per_hour)
    return make_harness(db, world, clock=clock)


def requests_of(harness: Harness, name: str = "", *, lists: bool = True) -> list[Any]:
    """The requests that the sandbox received: those for lists, or those for transcripts."""
    transport = harness.transport
    while not isinstance(transport, SandboxTransport):
        transport = transport.inner  # type: ignore[attr-defined]
    return [
        each for each in transport.requests if name in ("", each.provider) and ("/transcript/" in each.path) != lists
    ]


CALLS = "SELECT * FROM bi_pii.calls WHERE source = :source"
TURNS = """
    SELECT c.provider_call_id AS id, t.speaker, t.text
      FROM bi_pii.transcript_turns t JOIN bi_pii.calls c USING (call_key)
     WHERE c.source = :source AND t.speaker <> 'system'  -- a tool's doing is a turn, but nothing that was said
     ORDER BY c.provider_call_id, t.turn_index
"""


def differences(
    harness: Harness, name: str, at: datetime | None = None, besides: Collection[str] = (), *, provider: str = ""
) -> list[str]:
    """Where the warehouse differs from the expected rows: one line per call and column, ``besides`` excepted.

    ``provider`` is the provider of a source whose name is another.
    """
    turns: dict[str, list[tuple[str, str]]] = {}
    for row in harness.rows(TURNS, source=name):
        turns.setdefault(row["id"], []).append((row["speaker"], row["text"]))
    stored = {row["provider_call_id"]: row for row in harness.rows(CALLS, source=name)}
    wanted: dict[str, dict[str, Any]] = {
        str(each["provider_call_id"]): each for each in expected_rows(harness.world, provider or name, at)
    }
    found = [f"{call_id}: not stored" for call_id in sorted(wanted.keys() - stored.keys())]
    found += [f"{call_id}: not at the provider" for call_id in sorted(stored.keys() - wanted.keys())]
    for call_id in sorted(wanted.keys() & stored.keys()):
        row = {**stored[call_id], "turns": turns.get(call_id, [])}
        for column, value in wanted[call_id].items():
            if column not in besides and row[column] != value:
                found.append(f"{call_id}.{column}: {row[column]!r} is stored, {value!r} is expected")
    return found


def counts_add_up(harness: Harness, name: str = "%") -> bool:
    """Whether the counts of every run, or of every run of a source, add up to the records that it received."""
    runs = harness.rows("SELECT * FROM ops.runs WHERE source LIKE :name", name=name)
    return bool(runs) and all(
        run["received"] == run["inserted"] + run["updated"] + run["unchanged"] + run["quarantined"] for run in runs
    )


class InterceptingTransport(httpx.BaseTransport):
    """Calls ``before`` with the number of each request, from 1, and the request; then passes the request on.

    A response from ``before`` is returned instead.
    """

    def __init__(
        self, inner: httpx.BaseTransport, before: Callable[[int, httpx.Request], httpx.Response | None]
    ) -> None:
        self.inner, self.before, self.count = inner, before, 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.count += 1
        return self.before(self.count, request) or self.inner.handle_request(request)

    def close(self) -> None:
        self.inner.close()


def _refuse(*_: object) -> None:
    raise Killed


class Killed(BaseException):
    """Ends a process at any moment."""


def kill(harness: Harness) -> None:
    """End the process as its database sees it: its sessions are gone, none is opened, and nothing is written."""
    event.listen(harness.db, "checkout", _refuse)
    with create_engine(harness.db.url, poolclass=NullPool).connect() as connection:
        connection.execute(text(TERMINATE))
    raise Killed


TERMINATE = """
    SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


def restart(harness: Harness) -> None:
    """Go on as another process, where one was killed: it may connect."""
    if event.contains(harness.db, "checkout", _refuse):
        event.remove(harness.db, "checkout", _refuse)
        harness.db.dispose()


def run_until_killed(harness: Harness, name: str) -> bool:
    """Run a sync that may be killed before its end; whether it was."""
    try:
        return harness.run(name).status != "succeeded"
    except (Killed, SQLAlchemyError):
        return True
    finally:
        restart(harness)


def run_killed_at(harness: Harness, name: str, at: int) -> bool:
    """Run a sync that is killed at the request of this number, unless it ends before; whether it was killed."""

    def perhaps_kill(number: int, request: httpx.Request) -> None:
        if number == at:
            kill(harness)

    sandbox, harness.transport = harness.transport, InterceptingTransport(harness.transport, perhaps_kill)
    killed = run_until_killed(harness, name)
    harness.transport = sandbox
    return killed


def hours(count: float) -> timedelta:
    """A number of hours."""
    return timedelta(hours=count)
