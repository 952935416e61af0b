"""Jobs that are due → threads that run them: APScheduler's executor of one kind of task."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime

from apscheduler.executors.base import BaseExecutor
from apscheduler.job import Job


class QueueExecutor(BaseExecutor):  # type: ignore[misc]
    """Runs at most ``workers`` jobs at once, first come, first served; a job that returns ``True`` is queued again.

    APScheduler's own thread pool can neither tell whether jobs wait, so that a long one lets them in, nor replace the
    thread of a job that hangs.
    """

    def __init__(self, workers: int) -> None:
        super().__init__()
        self._free = workers
        self._queue: deque[Job] = deque()
        self._running: dict[str, threading.Thread] = {}
        self._changed = threading.Condition()

    def has_waiting(self) -> bool:
        """Whether jobs wait for a thread."""
        return bool(self._queue)

    def abandon(self, job_id: str) -> None:
        """Replace the thread of a job that hangs; the job may start again."""
        with self._changed:
            thread = self._running.get(job_id)
        if thread is not None:
            self._end(job_id, thread)

    def shutdown(self, wait: bool = True) -> None:
        """Start nothing more."""
        with self._changed:
            self._queue.clear()

    def is_idle_within(self, seconds: float) -> bool:
        """Wait for the running jobs; whether all of them ended."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._running, seconds)

    def _do_submit_job(self, job: Job, run_times: Sequence[datetime]) -> None:
        with self._changed:
            self._queue.append(job)
            self._start_threads()

    def _start_threads(self) -> None:
        while self._free and self._queue:
            job = self._queue.popleft()
            self._free -= 1
            thread = threading.Thread(target=self._run, args=[job], name=job.id, daemon=True)
            self._running[job.id] = thread
            thread.start()

    def _run(self, job: Job) -> None:
        is_unfinished = False
        try:
            is_unfinished = job.func(*job.args)
        finally:
            self._end(job.id, threading.current_thread(), job if is_unfinished else None)

    def _end(self, job_id: str, thread: threading.Thread, again: Job | None = None) -> None:
        """Free the thread of a job, once: a job that was abandoned may still end by itself."""
        with self._changed:
            if self._running.get(job_id) is not thread:
                return
            del self._running[job_id]
            self._free += 1
            if again is not None:
                self._queue.append(again)
        if again is None:
            self._run_job_success(job_id, [])  # the job may be submitted again; not under our lock: it takes another
        with self._changed:
            self._start_threads()
            self._changed.notify_all()


def are_idle_within(executors: Sequence[QueueExecutor], seconds: float) -> bool:
    """Wait for all jobs; whether they ended."""
    deadline = time.monotonic() + seconds
    return all(executor.is_idle_within(max(0.0, deadline - time.monotonic())) for executor in executors)
