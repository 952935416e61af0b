"""Requests in flight without threads: when each of them reaches the server is drawn from a seed."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from random import Random
from typing import Any


class SeededExecutor(Executor):
    """Runs what is submitted at once, or when somebody waits for any of it: alone, or after others that overtake it.

    Everything runs in the caller's thread, so that a run with pages in flight is the same every time.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.in_flight: list[SeededFuture] = []
        self.most_in_flight = 0

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = SeededFuture(self, lambda: function(*args, **kwargs))
        self.in_flight = [*(other for other in self.in_flight if not other.cancelled()), future]
        self.most_in_flight = max(self.most_in_flight, len(self.in_flight))
        if self.random.random() < 0.5:
            self.run_until(self.random.choice(self.in_flight))
        return future

    def run_until(self, wanted: "SeededFuture") -> None:
        """Let requests reach the server in an order that is drawn, up to and with the one that is waited for."""
        while wanted in self.in_flight:
            future = self.in_flight.pop(self.random.randrange(len(self.in_flight)))
            if future.set_running_or_notify_cancel():
                future.run()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        for future in self.in_flight:
            future.cancel()
        self.in_flight.clear()


class SeededFuture(Future[Any]):
    """A request in flight."""

    def __init__(self, executor: SeededExecutor, call: Callable[[], Any]) -> None:
        super().__init__()
        self._executor, self._call = executor, call

    def run(self) -> None:
        """Send it, and keep what came."""
        try:
            self.set_result(self._call())
        except BaseException as error:  # also the end of the process that sent it
            self.set_exception(error)

    def result(self, timeout: float | None = None) -> Any:
        if not self.done():
            self._executor.run_until(self)
        return super().result(timeout)
