"""The database, and one request per source → whether each works, and how to fix it."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from etl.cli.context import all_sources
from etl.cli.database import opened
from etl.client.api_client import Client
from etl.client.errors import PauseReason, SourceError
from etl.db import privileges, revisions
from etl.db.engine import DatabaseProblem, describe, location
from etl.extractors import providers
from etl.model import DateFilter, PageRequest, Source, Window
from etl.reconcile import naive_times
from etl.runtime.clock import Clock
from etl.runtime.humanize import counted
from etl.settings import Settings
from etl.state import registry
from etl.state.registry import SourceMismatch
from etl.state.settings_versions import outdated_by_source, outdated_message
from etl.sync.pager import Pager

MOST_AT_ONCE = 13  # sources that a daemon reads at once
MOST_NOTES = 10


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result for the database or for one source."""

    name: str
    is_ok: bool
    message: str


class _OneRequest:
    """A rate limiter for a single request, which shares and stores nothing."""

    def acquire(self) -> int:
        return 0

    def back_off_until(self, until: datetime) -> None:
        raise _WaitRequested(until)

    def on_rate_limited(self, seq: int) -> None:
        pass

    def suspend(self, until: datetime, reason: PauseReason) -> None:
        pass


class _WaitRequested(Exception):
    def __init__(self, until: datetime) -> None:
        self.until = until


def check_database(settings: Settings) -> tuple[CheckResult, Sequence[Source]]:
    """Whether the database is reachable, at this version's revision, and stores the accounts that are configured.

    Also returns all sources; where the database does not say which it has, those of this machine's configuration.
    Raises :class:`~etl.settings.ConfigurationError` where a source is invalid.
    """
    sources: Sequence[Source] = settings.local_sources
    try:
        with opened(settings, may_start=False) as db, db.connect() as connection:  # nothing is committed
            allowed, setting = privileges.connections(connection)
            missing = privileges.missing_grants(connection)
            if allowed < privileges.NEEDED_CONNECTIONS:
                missing.append(setting)
            if missing:
                return CheckResult("database", False, f"ask an administrator to run: {'; '.join(missing)};"), sources
            sources = all_sources(db, settings).sources
            for source in sources:
                registry.register(connection, source, datetime.now(UTC))
            difference = registry.clock_difference(connection, datetime.now(UTC))
            of_sources = _settings_notes(connection, sources)
            at, unreadable = location(db), revisions.unable_readers(db)
    except (DatabaseProblem, SourceMismatch) as problem:
        return CheckResult("database", False, str(problem)), sources
    except SQLAlchemyError as error:
        return CheckResult("database", False, describe(error)), sources
    at_once = (allowed - 1) // privileges.CONNECTIONS_PER_SOURCE
    few = f"its user may have {allowed} connections, so that no more than {at_once} sources are read at once"
    notes = [
        f"reachable and migrated, {at}",
        difference,
        few if at_once < min(len(sources), MOST_AT_ONCE) else None,
        unreadable,
        *of_sources[:MOST_NOTES],
        f"and {len(of_sources) - MOST_NOTES:,} more such notes" if len(of_sources) > MOST_NOTES else None,
    ]
    return CheckResult("database", True, "; ".join(filter(None, notes))), sources


def _settings_notes(connection: Connection, sources: Sequence[Source]) -> list[str]:
    """Sources that are no longer configured, calls read under other settings, time zones that payloads contradict."""
    removed = set(registry.known_sources(connection)).difference(source.name for source in sources)
    notes = [f"{name}: no longer configured; its stored calls stay, and nothing reads it" for name in sorted(removed)]
    outdated_calls = outdated_by_source(connection, sources)
    for source in sources:
        outdated = outdated_message(source.name, outdated_calls.get(source.name, ()))
        warning = naive_times.measured(connection, source).warning
        notes += [f"{source.name}: {note}" for note in (outdated, warning) if note]
    return notes


def check_source(
    source: Source, clock: Clock, transport: Callable[[Source], httpx.BaseTransport | None] = lambda source: None
) -> CheckResult:
    """Request one call from a source."""
    provider = providers()[source.provider]
    client = Client(source, provider.credential, _OneRequest(), clock, random.random, transport(source))
    window = Window(clock.now() - timedelta(days=1), clock.now())
    partition = source.partitions[0] if provider.is_partitioned else ""
    try:
        page = Pager(client, provider, source, partition).first_record(window)
    except _WaitRequested as limit:
        return CheckResult(
            source.name, False, f"the provider asked us to wait until {limit.until:%H:%M:%S} UTC; check again then"
        )
    except SourceError as error:
        status = f" (HTTP {error.status})" if error.status else ""
        path = provider.ask(PageRequest(source, window, 1, 1, partition)).path
        url = f"{source.base_url.rstrip('/')}{path}"
        return CheckResult(source.name, False, f"{error.problem}{status}; {error.hint}; requested: {url}")
    finally:
        client.close()
    period = "" if provider.date_filter is DateFilter.NONE else " in the last day"
    number = f" of the number ending {partition[-2:]}" if partition else ""
    calls = "no call" if not page.records else "calls" if page.total is None else counted(page.total, "call")
    found = f"{provider.title} responds and lists {calls}{number}{period}"
    return CheckResult(source.name, True, "; ".join(filter(None, [found, client.clock_difference])))
