"""One backfill → where its time went: microseconds per call of each stage, on this side and while the database works.

Functions of the pipeline are timed from outside, each less what it calls of the others; the sources are read one after
the other, so that a time is nobody else's.
"""

import functools
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from etl import batch, copying, fetch, loader, pipeline, reader
from etl.batch import Batch
from etl.client import client
from etl.reader import Reader
from etl.state import drift, lease, lists, pace, quarantine, runs


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
    ("books", quarantine, ("put", "resolve")),
    ("books", drift, ("note",)),
    ("books", runs.Run, ("count", "end")),
    ("books", lists, ("load_list", "save_place", "finish_walk", "save_list", "swept", "held")),
    ("books", lease.Lease, ("take", "give_up")),
    ("commit", pipeline, ("_commit",)),
    ("walk", pipeline, ("_walk",)),
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
