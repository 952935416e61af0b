"""A query's answer, kept for a while: however many readers look, the database is asked once, and seldom."""

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from etl.runtime.clock import Clock

T = TypeVar("T")

SHARE = 10  # an answer is kept for so many times as long as it took: a page takes a tenth of one connection at most
KEPT = 100


class Cache:
    """Answers by name; one thread works an answer out while the others wait for it."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock, self._seconds = clock, seconds
        self._answers: dict[Hashable, tuple[float, Any]] = {}
        self._locks: dict[Hashable, threading.Lock] = {}
        self._all = threading.Lock()

    def __call__(self, name: Hashable, work: Callable[[], T]) -> T:
        """The answer under this name, worked out anew where it is too old."""
        with self._all:
            if len(self._locks) > KEPT:
                self._locks.clear()
                self._answers.clear()
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            began = self._clock.monotonic()
            until, answer = self._answers.get(name, (began, None))
            if began < until:
                return answer  # type: ignore[no-any-return]
            answer = work()
            took = self._clock.monotonic() - began
            self._answers[name] = (began + took + max(self._seconds, SHARE * took), answer)
            return answer

    def clear(self) -> None:
        """Something was changed: ask anew."""
        with self._all:
            self._answers.clear()
