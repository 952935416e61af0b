"""Runs → OpenLineage events, sent by a thread of its own; nothing without OpenLineage's own environment variables."""

import atexit
import importlib.util
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from queue import Full, Queue
from threading import Thread
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL

from etl.runtime.logs import event
from etl.sync.run import SourceRun

if TYPE_CHECKING:
    from etl.ops.lineage_events import RunState

log = logging.getLogger("etl.ops.lineage")

SETTINGS = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", "OPENLINEAGE__TRANSPORT")  # also with more after them
MISSING = "OpenLineage is configured, but not installed: pip install 'callhouse[lineage]'"
MAX_WAITING = 1000  # events
FLUSH_SECONDS = 2.0  # of the time that a supervisor gives a process to stop
STATES: Mapping[str, "RunState"] = {"succeeded": "COMPLETE", "failed": "FAIL", "interrupted": "ABORT"}
Observer = Callable[[SourceRun], AbstractContextManager[object]]


def observer(database: URL, environ: Mapping[str, str], max_waiting: int = MAX_WAITING) -> Observer:
    """What sends an event as each run starts and as it ends, where the environment names a receiver.

    A run never waits for it: an event is dropped while ``max_waiting`` others wait for the receiver.
    """
    if not any(value and name.startswith(SETTINGS) for name, value in environ.items()):
        return nullcontext
    if importlib.util.find_spec("openlineage") is None:
        log.warning(MISSING)
        return nullcontext
    return partial(_observed, database, _Sender(max_waiting))


@contextmanager
def _observed(database: URL, sender: "_Sender", run: SourceRun) -> Iterator[None]:
    from etl.ops.lineage_events import RunMoment, run_event

    now, source, result = run.deps.clock.now, run.source, run.result
    start = RunMoment("START", started_at := now(), started_at, source, result.kind, result.run_id)
    sender.put(partial(run_event, start, database))
    try:
        yield
    finally:
        end = start._replace(state=STATES[result.status], at=now(), counts=result.counts, error=result.error)
        sender.put(partial(run_event, end, database))


def _end() -> None:
    """In place of an event: there will be no more."""


class _Sender:
    """Sends events one after the other, in the order of their happening."""

    def __init__(self, max_waiting: int) -> None:
        self._waiting: Queue[Callable[[], Any]] = Queue(max_waiting)
        self._thread = Thread(target=self._send_all, name="lineage", daemon=True)
        self._thread.start()
        atexit.register(self._flush)

    def put(self, make_event: Callable[[], Any]) -> None:
        """Send an event soon; it is made in the thread, too."""
        try:
            self._waiting.put_nowait(make_event)
        except Full:
            event(log, "lineage_dropped", level=logging.WARNING, waiting=self._waiting.maxsize)

    def _send_all(self) -> None:
        client, has_failed = None, False
        while (make_event := self._waiting.get()) is not _end:
            try:
                if client is None:
                    from openlineage.client import OpenLineageClient

                    client = OpenLineageClient()
                client.emit(make_event())
                has_failed = False
            except Exception as error:  # whatever the receiver does, the runs go on
                level = logging.DEBUG if has_failed else logging.WARNING  # once until it is back
                event(log, "lineage_failed", level=level, error=type(error).__name__)
                has_failed = True

    def _flush(self) -> None:
        """Wait for what is left, for a moment."""
        self.put(_end)
        self._thread.join(FLUSH_SECONDS)
