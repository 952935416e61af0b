"""One of many machines that share the work: takes jobs off the queue and runs them, until it is asked to stop."""

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from etl import __version__
from etl.daemon.job_queue import TASK, WORKER, JobQueue
from etl.daemon.jobs import MAX_WORKERS
from etl.daemon.task_run import Task, TaskKind
from etl.daemon.task_runner import TaskRunner, Tempo
from etl.db.connections import SILENCE_SECONDS, make_engine
from etl.db.engine import DatabaseProblem, describe
from etl.db.revisions import require_compatible
from etl.model import Source
from etl.ops.metrics import Metrics
from etl.runtime.crash_report import one_line
from etl.runtime.logs import event
from etl.sync.run import RunDependencies

try:
    from procrastinate import App, SyncPsycopgConnector
    from procrastinate.exceptions import ConnectorException
    from procrastinate.manager import JobManager
except ModuleNotFoundError:
    raise DatabaseProblem("a worker needs procrastinate: pip install 'callhouse[queue]'") from None

POLLS = {TaskKind.HEAD: 1, TaskKind.BACKLOG: 4, TaskKind.VERIFY: 20}  # what takes long may wait

log = logging.getLogger("etl.daemon")


def work(
    deps: RunDependencies,
    stop: threading.Event,
    sources: Sequence[Source],
    metrics: Metrics | None = None,
    tempo: Tempo | None = None,
) -> bool:
    """Run jobs until ``stop`` is set; whether all then ended in time. ``sources`` are looked up for each job.

    A run that is asked to stop commits what it has, and its job is put back. Raises
    :class:`~etl.daemon.task_runner.WatchdogTimeout`, and :class:`~etl.db.engine.DatabaseProblem` where the database was
    migrated to a revision that this version does not work with.
    """
    logging.getLogger("procrastinate").setLevel(logging.CRITICAL)  # what matters is logged here
    name = f"{WORKER}{socket.gethostname()}:{os.getpid()}"[:63]  # by which another worker ends our sessions
    db = make_engine(
        deps.db.url, {"application_name": f"'{name}'"}, silence_seconds=SILENCE_SECONDS, pool_size=5, max_overflow=25
    )
    queue = JobQueue(db, name)
    try:
        return _Worker(replace(deps, db=db), stop, sources, metrics or Metrics(), tempo or Tempo(), queue).work()
    finally:
        queue.close()
        db.dispose()


class _QueueConnector(SyncPsycopgConnector):
    """Runs procrastinate's own statements in threads, on connections of ours."""

    async def open_async(self, pool: Any = None) -> None:
        self.open(pool)

    async def close_async(self) -> None:
        """The connections are the queue's."""

    async def execute_query_async(self, query: Any, **arguments: Any) -> None:
        await asyncio.to_thread(self.execute_query, query, **arguments)

    async def execute_query_one_async(self, query: Any, **arguments: Any) -> dict[str, Any]:
        return await asyncio.to_thread(self.execute_query_one, query, **arguments)

    async def execute_query_all_async(self, query: Any, **arguments: Any) -> list[dict[str, Any]]:
        return await asyncio.to_thread(self.execute_query_all, query, **arguments)


class _JobManager(JobManager):
    """Goes on after a heartbeat that failed: procrastinate would send none after it, and tell nobody."""

    async def update_heartbeat(self, worker_id: int) -> None:
        with suppress(SQLAlchemyError, ConnectorException):
            await super().update_heartbeat(worker_id)


class _Run:
    """A task that runs in a thread, while a job waits for its end."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop, self._loop, self.ended = stop, asyncio.get_running_loop(), asyncio.Event()
        self.is_unfinished = False

    def run(self, runner: TaskRunner, queue: JobQueue, task: Task) -> None:
        """Run the task."""
        try:
            done = runner.run(task, queue)
            if self._stop.is_set():
                self.is_unfinished = done.was_interrupted
            else:
                self.is_unfinished = done.requeue and task.kind is not TaskKind.HEAD  # which the schedule brings again
        finally:
            self.end()

    def end(self) -> None:
        """Let the job end, whether or not the thread does."""
        with suppress(RuntimeError):  # the loop may have been closed meanwhile
            self._loop.call_soon_threadsafe(self.ended.set)


class _Worker:
    def __init__(
        self,
        deps: RunDependencies,
        stop: threading.Event,
        sources: Sequence[Source],
        metrics: Metrics,
        tempo: Tempo,
        queue: JobQueue,
    ) -> None:
        self._deps, self._stop, self._sources, self._tempo, self._queue = deps, stop, sources, tempo, queue
        self._runner = TaskRunner(deps, sources, metrics, tempo)
        self._runner.begin(sources)
        self._runs: dict[str, _Run] = {}
        self._app = App(connector=_QueueConnector())
        self._app.job_manager = _JobManager(self._app.connector)
        self._app.task(name=TASK)(self._run_job)
        self._is_drained = True

    def work(self) -> bool:
        """Run until asked to stop; whether all runs ended."""
        taking = threading.Thread(target=self._take_jobs, name="jobs", daemon=True)
        taking.start()
        event(log, "worker_started", version=__version__)
        try:
            self._watch()
        finally:
            self._stop.set()
            taking.join(self._tempo.grace_seconds + 1)
        all_ended = self._is_drained and not taking.is_alive() and not self._runner.abandoned
        self._runner.end()
        event(log, "worker_stopped", all_runs_ended=all_ended)
        return all_ended

    def _watch(self) -> None:
        """Check the runs of this process, and the other workers, until the end."""
        while True:
            try:
                with self._deps.db.connect() as connection:
                    require_compatible(connection)
                for source, kind in self._queue.rescue(self._tempo.stalled_seconds, self._deps.clock.now()):
                    event(log, "job_rescued", level=logging.WARNING, source=source, kind=kind)
            except SQLAlchemyError as error:
                self._log_error(error)
            if self._stop.wait(self._tempo.watchdog_interval_seconds):
                return
            self._runner.check(self._free)

    def _take_jobs(self) -> None:
        """Take jobs until asked to stop, also after the database was gone for a while."""
        while not self._stop.is_set():
            try:
                asyncio.run(self._serve())
            except (SQLAlchemyError, ConnectorException) as error:
                self._log_error(error.__cause__ or error)
                self._stop.wait(self._tempo.poll_seconds)

    async def _serve(self) -> None:
        """A few jobs of each kind at once, as in the daemon, until one of the three fails or the process ends."""
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: self._log_error(context["exception"]))
        async with self._app.open_async(self._queue):
            workers = [asyncio.create_task(self._serve_kind(kind)) for kind in TaskKind]
            while not self._stop.is_set() and not any(each.done() for each in workers):
                await asyncio.wait(workers, timeout=self._tempo.poll_seconds, return_when=asyncio.FIRST_COMPLETED)
            for each in workers:
                each.cancel()  # each then waits for its jobs
            ends = await asyncio.gather(*workers, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _serve_kind(self, kind: TaskKind) -> None:
        await self._app.run_worker_async(
            queues=[str(kind)],
            name=str(kind),
            concurrency=MAX_WORKERS[kind],
            fetch_job_polling_interval=self._tempo.poll_seconds * POLLS[kind],
            abort_job_polling_interval=3600,  # nobody aborts a job
            shutdown_graceful_timeout=self._tempo.grace_seconds,
            listen_notify=False,  # a lock that becomes free notifies nobody, so it polls anyway
            delete_jobs="always",  # ops.runs has what was done
            install_signal_handlers=False,
            update_heartbeat_interval=self._tempo.heartbeat_seconds,
            stalled_worker_timeout=self._tempo.stalled_seconds,
        )

    async def _run_job(self, source: str, kind: str, **_newer: Any) -> None:
        """Run a job. Arguments that a newer version adds are its own."""
        try:
            found = next((each for each in self._sources if each.name == source), None)
            if found is None:
                reason = "no source of this name is configured here: a daemon and its workers need the same sources"
                event(log, "job_dropped", level=logging.WARNING, source=source, kind=kind, reason=reason)
            else:
                await self._run(Task(found, TaskKind(kind)))
        except Exception as error:
            self._log_error(error)

    async def _run(self, task: Task) -> None:
        """Run a task in a thread of its own, which is left behind where it hangs; what did not end is put back."""
        run = self._runs[task.job_id] = _Run(self._stop)
        threading.Thread(target=run.run, args=[self._runner, self._queue, task], name=task.job_id, daemon=True).start()
        try:
            await run.ended.wait()
        except asyncio.CancelledError:
            self._is_drained, run.is_unfinished = False, True
            raise
        finally:
            if run.is_unfinished:
                await asyncio.to_thread(self._queue.submit, task)

    def _free(self, task: Task) -> None:
        """Give the place of a run that hangs to another job."""
        self._runs[task.job_id].end()

    def _log_error(self, error: BaseException) -> None:
        """Most often the database is gone for a while: the jobs of this process may be another's by then."""
        is_database = isinstance(error, SQLAlchemyError) or type(error).__module__.startswith("psycopg")
        text = describe(error) if is_database else one_line(error)
        event(log, "queue_failed", level=logging.WARNING, error=text)
