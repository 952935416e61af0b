"""One backfill → where its time went: microseconds per call of each stage, on this side and while the database works.

``python -m benchmarks.stages [CALLS]``. Functions of the pipeline are timed from outside, each less what it calls of
the others; the sources are read one after the other, so that a time is nobody else's. The timing itself costs a little.
"""

import functools
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import report
from benchmarks.environments import ROOT
from benchmarks.measure import server_seconds
from benchmarks.rounds import Bench, Simulator, bench
from etl import pipeline, settings
from etl.cli.app import tune_gc
from etl.client import api_client
from etl.db import copy
from etl.db.connections import open_engine
from etl.loader import batch, plan, raw, writer
from etl.model import Source
from etl.runtime.clock import SystemClock
from etl.state import drift, last_seen, lease, lookbacks, quarantine, rate_limit, runs, streams
from etl.sync import load, pager, run, window
from etl.sync.checkpoint import CoverageRecorder
from etl.sync.run import RunDependencies


class Spent(NamedTuple):
    """Seconds of one stage: on the clock, and of this process's processors."""

    wall: float
    cpu: float


class Stopwatch:
    """Exclusive times by stage: a stage's clock stands still while another runs inside it."""

    def __init__(self) -> None:
        self._spent: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self._local = threading.local()

    @property
    def spent(self) -> dict[str, Spent]:
        """What was measured so far."""
        return {stage: Spent(*seconds) for stage, seconds in self._spent.items()}

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        @functools.wraps(function)
        def inner(*args: Any, **kwargs: Any) -> Any:
            with self.stage(stage):
                return function(*args, **kwargs)

        return inner

    @contextmanager
    def stage(self, stage: str) -> Iterator[None]:
        """Everything inside, less what is measured by itself."""
        outer: list[float] | None = getattr(self._local, "inner", None)
        self._local.inner = inner = [0.0, 0.0]
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            passed = time.perf_counter() - wall, time.thread_time() - cpu
            mine = self._spent[stage]
            for n in (0, 1):
                mine[n] += passed[n] - inner[n]
                if outer is not None:
                    outer[n] += passed[n]
            self._local.inner = outer


STAGES: tuple[tuple[str, object, tuple[str, ...]], ...] = (
    ("request: response", api_client.Client, ("_send",)),
    ("request: rate limit", rate_limit.RateLimiter, ("acquire",)),
    ("read: split the page", api_client, ("decode",)),
    ("request: page", pager.Pager, ("page",)),
    ("parse: values and content hash", batch, ("read_record",)),
    ("parse: id, key, time", window, ("read_received",)),
    ("stored: versions", window, ("with_stored",)),
    ("stored: rows", writer, ("fetch_rows",)),
    ("plan: transform", plan, ("transform_record",)),
    ("plan: merge and compare", load, ("plan",)),
    ("write: COPY", copy, ("_copy",)),
    ("write: rows", writer, ("write",)),
    ("write: raw payloads", raw, ("archive",)),
    ("state", quarantine, ("put", "resolve")),
    ("state", drift, ("record",)),
    ("state", last_seen, ("touch",)),
    ("state", runs, ("count", "end")),
    ("state", streams, ("load_stream", "save_checkpoint", "finish_checkpoint", "save_stream", "count_stored")),
    ("state", lookbacks, ("mark_done",)),
    ("state", lease.Lease, ("acquire", "release")),
    ("commit", window, ("_write",)),
    ("commit", CoverageRecorder, ("finish", "note")),
    ("scan", window, ("_load",)),
    ("the rest", run, ("run_source",)),
)


@contextmanager
def watched(watch: Stopwatch) -> Iterator[None]:
    """Every stage timed, until the end; a function that is gone is an error, or its time would be another stage's."""
    before = [(stage, place, name, getattr(place, name)) for stage, place, names in STAGES for name in names]
    for stage, place, name, function in before:
        setattr(place, name, watch.timed(stage, function))
    try:
        yield
    finally:
        for _, place, name, function in before:
            setattr(place, name, function)


def profile(measuring: Bench, simulator: Simulator, calls: int) -> list[str]:
    """One backfill of all sources, in this process, as a table in Markdown."""
    measuring.renew(migrated=True)
    engine, watch = open_engine(measuring.url), Stopwatch()
    before = server_seconds(measuring.postmaster)
    with watched(watch):
        for source in sources(simulator):
            done = run.run_source(RunDependencies(engine, SystemClock()), source, "sync", pipeline.sync, is_manual=True)
            if done.status != "succeeded":
                raise RuntimeError(done.error)
    engine.dispose()
    time.sleep(0.3)  # its sessions end after it
    return _table(watch.spent, server_seconds(measuring.postmaster) - before, 4 * calls)


def sources(simulator: Simulator) -> list[Source]:
    """The four providers at the simulator, with a rate limit that never binds."""
    said = simulator.info
    keys = {f"{name.upper()}_API_KEY": key for name, key in said["keys"].items()}
    hosts = {f"{name.upper()}_BASE_URL": f"{said['origin']}/{name}" for name in said["keys"]}
    found = settings.load(
        {**keys, **hosts, "RAVAN_PHONES": ",".join(said["phones"])}, Path("/nonexistent")
    ).local_sources
    return [replace(source, requests_per_minute=600_000) for source in found]


def _table(spent: dict[str, Spent], server: float, calls: int) -> list[str]:
    lines = ["| stage | µs per call | of it on the processor |", "|---|--:|--:|"]
    lines += [f"| {stage} | {s.wall / calls * 1e6:.1f} | {s.cpu / calls * 1e6:.1f} |" for stage, s in spent.items()]
    wall, cpu = (sum(each[n] for each in spent.values()) / calls * 1e6 for n in (0, 1))
    lines += [f"| all of it | {wall:.1f} | {cpu:.1f} |", f"| the database's processes | | {server / calls * 1e6:.1f} |"]
    return [
        f"{calls:,} calls, one source after the other, by `python -m benchmarks.stages {calls // 4}`:",
        "",
        *lines,
        "",
    ]


def main() -> None:
    """The table, on the terminal and in the page."""
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    tune_gc()  # as `etl` does
    with bench(calls) as (measuring, simulator):
        lines = profile(measuring, simulator, calls)
    sys.stdout.write("\n".join(lines))
    report.put(ROOT / "docs" / "benchmarks.md", "python -m benchmarks.stages", lines)


if __name__ == "__main__":
    main()
