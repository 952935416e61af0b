"""The sandbox's calls of sixty days → a warehouse to ask: always the same calls, in local time and one currency."""

import tempfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from sqlalchemy import Engine

from etl import settings
from etl.pipeline import sync
from etl.sandbox.in_process import SandboxTransport
from etl.sandbox.world import World
from etl.state import rates
from etl.state.rates import Rate
from etl.sync.run import RunDependencies, run_source
from tests.fakes import FakeClock

SEED, CALLS, DAYS = 7, 400, 60
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
REPORTING = """
    report_timezone = "Asia/Kolkata"
    report_currency = "USD"
    business_hours = "Mon-Sat 09:00-19:00"
"""
RATES = (("ringg", "ringg_credits", "0.012"), ("vaani", "vaani_credits", "0.05"))  # Ravan's unit is not known


def fill(db: Engine, now: datetime = NOON) -> None:
    """Load all calls of the four providers into a migrated database, as they are at a moment."""
    world = World(SEED, calls=CALLS, days=DAYS, now=now)
    transport = SandboxTransport(world)
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "etl.toml").write_text(REPORTING)
        sources = settings.load(transport.environment(), Path(directory)).sources
    deps = RunDependencies(db, FakeClock(now), transport=lambda source: transport)
    for source in sources:
        result = run_source(deps, source, "sync", sync, is_manual=True)
        if result.error:
            raise RuntimeError(result.error)
    with db.begin() as connection:
        for name, unit, rate in RATES:
            rates.add(connection, Rate(name, unit, "USD", date(2020, 1, 1), Decimal(rate)))
        connection.exec_driver_sql("ANALYZE")
