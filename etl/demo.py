"""The main job without a key: the sandbox's four providers into a database of its own, and what came of it."""

import tempfile
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from etl import settings, warehouse
from etl.clock import SystemClock
from etl.display import progress
from etl.fleet import Interrupted, run_all
from etl.pipeline import sync
from etl.reader import Means
from etl.sandbox.server import Sandbox
from etl.sandbox.world import World
from etl.summary import summary

SEED, CALLS, DAYS = 7, 400, 30
DATABASE = "demo"
UNHURRIED = 6000  # requests a minute: the sandbox has no limit to respect


def demo(stop: threading.Event, environment: Mapping[str, str], directory: Path) -> bool:
    """Run it all and print the summary; whether every source was read. Of the configuration only ETL_HOME counts."""
    url = warehouse.embedded_url(settings.home(environment, directory), DATABASE, fresh=True)
    clock = SystemClock(stop)
    world = World(SEED, calls=CALLS, days=DAYS, now=datetime.now(UTC).replace(microsecond=0))
    with Sandbox(world) as sandbox, tempfile.TemporaryDirectory() as nowhere, warehouse.engine(url) as db:
        configured = settings.load(sandbox.environment(), Path(nowhere))
        sources = [replace(source, requests_per_minute=UNHURRIED) for source in configured.sources]
        began = clock.monotonic()
        try:
            with progress([source.name for source in sources]) as say:
                reports = run_all(Means(db, clock), sources, "sync", sync, say)
        except Interrupted:
            raise Interrupted("stopped; the next `etl demo` begins anew") from None
        summary(db, url.partition("?")[0], reports, clock.monotonic() - began)
    return all(report.error is None for report in reports)
