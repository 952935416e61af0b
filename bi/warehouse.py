"""The sandbox's calls of sixty days → a warehouse to ask: always the same calls, in local time and one currency."""

import contextlib
import secrets
import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Engine

from etl import settings
from etl.db import revisions
from etl.db.connections import open_engine
from etl.pipeline import sync
from etl.sandbox.in_process import SandboxTransport
from etl.sandbox.world import World
from etl.state import rates
from etl.state.rates import Rate
from etl.sync.run import RunDependencies, run_source
from tests.fakes import FakeClock
from tests.postgres import shared_server

SEED, CALLS, DAYS = 7, 400, 60
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
REPORTING = """
    report_timezone = "Asia/Kolkata"
    report_currency = "USD"
    business_hours = "Mon-Sat 09:00-19:00"
"""
RATES = (("ringg", "ringg_credits", "0.012"), ("vaani", "vaani_credits", "0.05"))  # Ravan's unit is not known


class Login(NamedTuple):
    """Where the warehouse is, for its owner and for a BI tool."""

    db: Engine
    port: int
    user: str
    password: str
    database: str

    def uri(self, driver: str = "") -> str:
        """An address of SQLAlchemy's kind."""
        return f"postgresql{driver}://{self.user}:{self.password}@127.0.0.1:{self.port}/{self.database}"


def fill(db: Engine, now: datetime = NOON) -> None:
    """Load all calls of the four providers into a migrated database, as they are at a moment."""
    world = World(SEED, calls=CALLS, days=DAYS, now=now)
    transport = SandboxTransport(world)
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "etl.toml").write_text(REPORTING)
        sources = settings.load(transport.environment(), Path(directory)).local_sources
    deps = RunDependencies(db, FakeClock(now), transport=lambda source: transport)
    for source in sources:
        result = run_source(deps, source, "sync", sync, is_manual=True)
        if result.error:
            raise RuntimeError(result.error)
    with db.begin() as connection:
        for name, unit, rate in RATES:
            rates.add(connection, Rate(name, unit, "USD", date(2020, 1, 1), Decimal(rate)))
        connection.exec_driver_sql("ANALYZE")


@contextlib.contextmanager
def serving(now: datetime) -> Iterator[Login]:
    """A fresh PostgreSQL with these calls, and a user of BI tools; gone in the end."""
    with tempfile.TemporaryDirectory() as directory, shared_server(Path(directory)) as server:
        db = open_engine(server.url())
        revisions.migrate(db)
        fill(db, now)
        password = secrets.token_urlsafe(16)
        with db.begin() as connection:
            connection.exec_driver_sql(f"CREATE ROLE dashboards LOGIN PASSWORD '{password}' IN ROLE bi_reader")
        yield Login(db, server.port, "dashboards", password, server.url().rpartition("/")[2])
        db.dispose()
