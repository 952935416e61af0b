"""Query results, kept for a short time: however many people look at the page, each query runs once, and rarely."""

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from etl.runtime.clock import Clock

T = TypeVar("T")

COST_FACTOR = 10  # a result lives ten times as long as it took: a page keeps one connection busy a tenth of the time
MAX_ENTRIES = 100


class Cache:
    """Results by key; one thread computes a result while the others wait for it."""

    def __init__(self, clock: Clock, ttl_seconds: float) -> None:
        self._clock, self._ttl_seconds = clock, ttl_seconds
        self._results: dict[Hashable, tuple[float, Any]] = {}
        self._locks: dict[Hashable, threading.Lock] = {}
        self._all = threading.Lock()

    def get(self, key: Hashable, compute: Callable[[], T]) -> T:
        """The result under this key, computed again once it has expired."""
        with self._all:
            if len(self._locks) > MAX_ENTRIES:
                self._locks.clear()
                self._results.clear()
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            started = self._clock.monotonic()
            expires, result = self._results.get(key, (started, None))
            if started < expires:
                return result  # type: ignore[no-any-return]
            result = compute()
            took = self._clock.monotonic() - started
            self._results[key] = (started + took + max(self._ttl_seconds, COST_FACTOR * took), result)
            return result

    def clear(self) -> None:
        """Forget every result, after a change."""
        with self._all:
            self._results.clear()
