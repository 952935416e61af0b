"""The database, and one request per source → whether each is right, and how to mend it."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
from sqlalchemy.exc import SQLAlchemyError

from etl.cli.database import opened
from etl.client.api_client import Client
from etl.client.errors import PauseReason, SourceError
from etl.db.engine import DatabaseProblem, describe
from etl.extractors import providers
from etl.model import PageRequest, Paging, Source, Window
from etl.runtime.clock import Clock
from etl.settings import Settings
from etl.state import registry
from etl.state.registry import SourceMismatch


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What was found of the database or of one source."""

    of: str
    is_right: bool
    text: str


class _OneRequest:
    """A gate for a single request, which asks nobody and is remembered by nobody."""

    def acquire(self) -> int:
        return 0

    def back_off_until(self, until: datetime) -> None:
        raise _ToldToWait(until)

    def on_rate_limited(self, seq: int) -> None:
        pass

    def suspend(self, until: datetime, reason: PauseReason) -> None:
        pass


class _ToldToWait(Exception):
    def __init__(self, until: datetime) -> None:
        self.until = until


def check_database(settings: Settings, sources: Sequence[Source]) -> CheckResult:
    """Whether the database is reachable, of this program's revision, and holds the same accounts as configured."""
    try:
        with opened(settings) as db, db.connect() as connection:  # nothing is committed
            for source in sources:
                registry.register(connection, source, datetime.now(UTC))
            at = f"{db.url.host or 'local socket'}:{db.url.port or 5432}/{db.url.database}"
    except (DatabaseProblem, SourceMismatch) as problem:
        return CheckResult("database", False, str(problem))
    except SQLAlchemyError as error:
        return CheckResult("database", False, f"{describe(error)}; grant its user the right, or use the tables' owner")
    return CheckResult("database", True, f"reachable and migrated, {at}")


def check(
    source: Source, clock: Clock, transport: Callable[[Source], httpx.BaseTransport | None] = lambda source: None
) -> CheckResult:
    """Ask a source for one call and say what came of it."""
    provider = providers()[source.provider]
    client = Client(source, provider.credential, _OneRequest(), clock, random.random, transport(source))
    now = clock.now()
    first = 1 if provider.paging is Paging.PAGES else 0
    phone = source.partitions[0] if provider.is_partitioned else ""
    ask = PageRequest(source, Window(now - timedelta(days=1), now), first, 1, phone)
    try:
        page = client.get(provider.ask(ask), partial(provider.read, ask)).value
    except _ToldToWait as told:
        return CheckResult(
            source.name, False, f"asks to be left alone until {told.until:%H:%M:%S} UTC; then check again"
        )
    except SourceError as error:
        return CheckResult(source.name, False, f"{error.problem}; {error.hint}")
    finally:
        client.close()
    shown = "no call of the last day" if not page.records else "answers"
    listed = f", {page.total:,} calls listed" if page.total is not None else ""
    return CheckResult(source.name, True, f"{provider.title} {shown}{listed}")
