"""Tasks → jobs in PostgreSQL, which workers on any machine take: the tables of procrastinate, in the schema ``queue``.

A job is a source and a kind. Of the same job one waits at most, and of a source one runs: the head before what takes
long. No job is precious: one that is lost comes again with the next tick.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from etl.daemon.task_run import Task, TaskKind
from etl.db.connections import SILENCE_SECONDS, make_engine
from etl.db.statements import Statements, execute, fetch_all, fetch_value

SQL = Statements("queue")
PRIORITIES = {TaskKind.HEAD: 2, TaskKind.BACKLOG: 1, TaskKind.VERIFY: 1}
TASK = "run"  # with its arguments `source` and `kind` all that versions have to agree on
WORKER = "callhouse worker "  # how the names of a worker's sessions begin; its host and process follow
SETTINGS = {
    "search_path": "pg_catalog, queue, pg_temp",
    "synchronous_commit": "off",  # what a crash of the server loses, the next tick brings again
}


class JobQueue:
    """The queue of a database; ``name`` is what its sessions are called, beside the user's own."""

    def __init__(self, db: Engine, name: str = "callhouse") -> None:
        settings = SETTINGS | {"application_name": f"'{name}'"}
        made = make_engine(db.url, settings, silence_seconds=SILENCE_SECONDS, pool_size=2, max_overflow=4)
        self._db = made.execution_options(isolation_level="AUTOCOMMIT")  # each statement is whole by itself

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """A connection, as procrastinate's connector takes it of a pool."""
        with self._db.connect() as connection:
            yield connection.connection.driver_connection

    def submit(self, task: Task, next_run_at: datetime | None = None) -> None:
        """Let a worker run a task, unless it waits already; store when its source is read next, if that is given."""
        values = {"task": TASK, "job_id": task.job_id, "next_run_at": next_run_at}
        with self._db.connect() as connection:
            execute(connection, SQL.defer, _values(task) | values)

    def should_give_way(self, task: Task, *, had_turn: bool) -> bool:
        """Whether another job of its source waits or, after its turn, one that waits for a worker."""
        with self._db.connect() as connection:
            return bool(fetch_value(connection, SQL.waits, _values(task) | {"had_turn": had_turn}))

    def rescue(self, seconds: float, now: datetime) -> list[tuple[str, str]]:
        """Put back the jobs of workers that had no heartbeat for so long → their sources and kinds."""
        with self._db.connect() as connection:
            rows = fetch_all(connection, SQL.rescue, {"seconds": seconds, "now": now, "prefix": WORKER})
        return [(row.source, row.kind) for row in rows]

    def close(self) -> None:
        """Close the connections."""
        self._db.dispose()


def _values(task: Task) -> dict[str, Any]:
    return {"source": task.source.name, "kind": str(task.kind), "priority": PRIORITIES[task.kind]}
