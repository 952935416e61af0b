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
from etl import batch, copying, database, fetch, loader, payloads, pipeline, reader, settings, windows
from etl.batch import Batch
from etl.claims import Claims
from etl.cli.door import search_less
from etl.client import client
from etl.clock import SystemClock
from etl.reader import Means, Reader
from etl.state import drift, lease, lists, pace, quarantine, runs, sightings, sweeps
from etl.stream import Source


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
    ("ask: request and answer", client.Client, ("_send",)),
    ("ask: pace", pace.Pace, ("wait",)),
    ("read: split the page", client, ("decode",)),
    ("read: split the page", fetch, ("fetch",)),
    ("parse: values and digest", batch, ("read_record",)),
    ("parse: id, key, time", batch, ("arrival",)),
    ("held: what is known of them", Reader, ("held",)),
    ("transform: columns and turns", batch, ("to_call",)),
    ("merge", batch, ("enter",)),
    ("merge", Batch, ("settle",)),
    ("load: rows", loader, ("_add", "_change")),
    ("load: copy", copying, ("_copy",)),
    ("load: payloads", payloads, ("keep",)),
    ("books", quarantine, ("put", "resolve")),
    ("books", drift, ("note",)),
    ("books", sightings, ("note",)),
    ("books", runs.Run, ("count", "end")),
    ("books", lists, ("load_list", "save_place", "finish_walk", "save_list", "held")),
    ("books", sweeps, ("swept",)),
    ("books", lease.Lease, ("take", "give_up")),
    ("commit", windows, ("_commit",)),
    ("commit", Claims, ("finish", "note")),
    ("walk", windows, ("_load",)),
    ("all the rest", reader, ("run",)),
)


@contextmanager
def watched(watch: Stopwatch) -> Iterator[None]:
    """Every stage timed, until the end."""
    before = [
        (place, name, getattr(place, name)) for _, place, names in STAGES for name in names if hasattr(place, name)
    ]
    for stage, place, names in STAGES:
        for name in names:
            if hasattr(place, name):
                setattr(place, name, watch.timed(stage, getattr(place, name)))
    try:
        yield
    finally:
        for place, name, function in before:
            setattr(place, name, function)


def profile(measuring: Bench, simulator: Simulator, calls: int) -> list[str]:
    """One backfill of all sources, in this process, as a table in Markdown."""
    measuring.renew(migrated=True)
    engine, watch = database.engine(measuring.url), Stopwatch()
    before = server_seconds(measuring.postmaster)
    with watched(watch):
        for source in _sources(simulator):
            done = reader.run(Means(engine, SystemClock()), source, "sync", pipeline.sync, lambda _: None, by_hand=True)
            if done.status != "succeeded":
                raise RuntimeError(done.error)
    engine.dispose()
    time.sleep(0.3)  # its sessions end after it
    return _table(watch.spent, server_seconds(measuring.postmaster) - before, 4 * calls)


def _sources(simulator: Simulator) -> list[Source]:
    said = simulator.said
    keys = {f"{name.upper()}_API_KEY": key for name, key in said["keys"].items()}
    hosts = {f"{name.upper()}_BASE_URL": f"{said['origin']}/{name}" for name in said["keys"]}
    found = settings.load({**keys, **hosts, "RAVAN_PHONES": ",".join(said["phones"])}, Path("/nonexistent")).sources
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
    search_less()  # as `etl` does
    with bench(calls) as (measuring, simulator):
        lines = profile(measuring, simulator, calls)
    sys.stdout.write("\n".join(lines))
    report.put(ROOT / "docs" / "benchmarks.md", "python -m benchmarks.stages", lines)


if __name__ == "__main__":
    main()
