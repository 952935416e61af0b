"""The main job without a key: the sandbox's four providers into a database of its own, and what came of it."""

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
from etl.cli.terminal import progress
from etl.ops.metrics import Metrics
from etl.pipeline import sync
from etl.runtime.clock import SystemClock
from etl.runtime.urls import Listen
from etl.sandbox.socket_server import Sandbox
from etl.sandbox.world import World
from etl.sync.parallel import Interrupted, run_all
from etl.sync.run import RunDependencies
from etl.web.http_server import serving

SEED, CALLS, DAYS = 7, 400, 30
DATABASE = "demo"
UNHURRIED = 6000  # requests a minute: the sandbox has no limit to respect
PER_HOUR, OFTEN = 180, "every 10s"  # what goes on while somebody watches
PLACES = (Listen("127.0.0.1", 8787), Listen("127.0.0.1", 0))  # a daemon of the user's may have the first


def demo(stop: threading.Event, environment: Mapping[str, str], directory: Path) -> bool:
    """Run it all and print the summary; whether every source was read. Of the configuration only ETL_HOME counts.

    On a terminal it then goes on with its page, until ``stop`` is set.
    """
    url = database.embedded_url(settings.home(environment, directory), DATABASE, fresh=True)
    clock = SystemClock(stop)
    is_watched = sys.stdin.isatty() and sys.stdout.isatty()
    with (
        Sandbox(_world(is_watched)) as sandbox,
        tempfile.TemporaryDirectory() as nowhere,
        database.disposed_engine(url) as db,
    ):
        configured = settings.load(sandbox.environment(), Path(nowhere))
        sources = [replace(source, requests_per_minute=UNHURRIED, schedule=OFTEN) for source in configured.sources]
        deps = RunDependencies(db, clock)
        began = clock.monotonic()
        try:
            with progress([source.name for source in sources]) as say:
                reports = run_all(deps, sources, "sync", sync, say)
        except Interrupted:
            raise Interrupted("stopped; the next `etl demo` begins anew") from None
        metrics = Metrics()
        seconds = clock.monotonic() - began
        with serving(deps, sources, PLACES if is_watched else (), None, metrics) as page:
            summary(db, url.partition("?")[0], reports, seconds, page)
            if page:
                logging.getLogger("etl").setLevel(logging.WARNING)  # the page says the rest
                daemon.serve(deps, stop, sources, metrics)
    return all(report.error is None for report in reports)


def _world(is_watched: bool) -> World:
    """A world that goes on while somebody watches, and one that stands still where the end is all that is asked for."""
    if is_watched:
        return World(SEED, calls=CALLS, days=DAYS, clock=lambda: datetime.now(UTC), per_hour=PER_HOUR)
    return World(SEED, calls=CALLS, days=DAYS, now=datetime.now(UTC).replace(microsecond=0))
