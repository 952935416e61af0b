"""`etl demo`: the sandbox's four providers → a database of its own → a summary."""

import logging
import sys
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from etl import daemon, settings
from etl.cli import database
from etl.cli.demo_summary import summary
from etl.cli.parallel_runs import Interrupted, run_all
from etl.cli.terminal import progress
from etl.ops.metrics import Metrics
from etl.pipeline import sync
from etl.runtime.clock import SystemClock
from etl.runtime.urls import Listen
from etl.sandbox.socket_server import Sandbox
from etl.sandbox.world import World
from etl.sync.run import RunDependencies
from etl.web.http_server import serving

SEED, CALLS, DAYS = 7, 400, 30
DATABASE = "demo"
REQUESTS_PER_MINUTE = 6000  # the sandbox has no rate limit
CALLS_PER_HOUR, SCHEDULE = 180, "every 10s"  # live traffic on a terminal
ADDRESSES = (Listen("127.0.0.1", 8787), Listen("127.0.0.1", 0))  # a daemon may use the first


def demo(stop: threading.Event, environment: Mapping[str, str], directory: Path) -> bool:
    """Sync the sandbox and print the summary; whether every source succeeded. Only ETL_HOME is read.

    On a terminal it then runs the daemon and its page until ``stop`` is set.
    """
    url = database.embedded_url(settings.home(environment, directory), DATABASE, fresh=True)
    clock = SystemClock(stop)
    is_interactive = sys.stdin.isatty() and sys.stdout.isatty()
    with (
        Sandbox(_world(is_interactive)) as sandbox,
        tempfile.TemporaryDirectory() as empty,
        database.disposed_engine(url) as db,
    ):
        configured = settings.load(sandbox.environment(), Path(empty))
        sources = [
            replace(source, requests_per_minute=REQUESTS_PER_MINUTE, schedule=SCHEDULE)
            for source in configured.local_sources
        ]
        deps = RunDependencies(db, clock)
        began = clock.monotonic()
        try:
            with progress([source.name for source in sources]) as on_progress:
                reports = run_all(replace(deps, on_progress=on_progress), sources, "sync", sync)
        except Interrupted:
            raise Interrupted("stopped; the next `etl demo` starts over") from None
        metrics = Metrics()
        seconds = clock.monotonic() - began
        with serving(deps, sources, ADDRESSES if is_interactive else (), None, metrics) as page:
            summary(db, url.partition("?")[0], reports, seconds, page)
            if page:
                logging.getLogger("etl").setLevel(logging.WARNING)  # the page shows the rest
                daemon.serve(deps, stop, sources, metrics)
    return all(report.error is None for report in reports)


def _world(is_interactive: bool) -> World:
    """Live traffic on a terminal, a fixed world elsewhere."""
    if is_interactive:
        return World(SEED, calls=CALLS, days=DAYS, clock=lambda: datetime.now(UTC), per_hour=CALLS_PER_HOUR)
    return World(SEED, calls=CALLS, days=DAYS, now=datetime.now(UTC).replace(microsecond=0))
