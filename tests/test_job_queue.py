"""The tables of the queue are those of the pinned procrastinate, and what versions agree on stays."""

import os

import pytest
from procrastinate.jobs import Job
from sqlalchemy import Engine, text

from etl.daemon import job_queue
from etl.daemon.job_queue import JobQueue
from etl.daemon.task_run import Task, TaskKind
from tests import procrastinate_schema
from tests.harness import make_harness


def test_its_tables_are_those_of_the_installed_package() -> None:
    if os.environ.get("ETL_REGENERATE"):
        procrastinate_schema.write()
        pytest.skip("written anew")
    assert procrastinate_schema.FILE.read_text() == procrastinate_schema.written()


def test_a_job_is_what_every_version_can_read(db: Engine) -> None:
    """Versions share a queue during an upgrade: where any of it changes, a revision has to exclude older ones."""
    queue = JobQueue(db)
    queue.submit(Task(make_harness(db).sources["ringg"], TaskKind.HEAD))
    queue.close()
    with db.connect() as connection:
        row = connection.execute(text("SELECT * FROM queue.procrastinate_jobs")).mappings().one()
    job = Job.from_row(dict(row))
    assert (job.task_name, job.queue, job.lock, job.queueing_lock) == ("run", "head", "ringg", "head ringg")
    assert (job.task_kwargs, job.priority, job.scheduled_at) == ({"source": "ringg", "kind": "head"}, 2, None)
    assert {str(kind) for kind in job_queue.PRIORITIES} == {"head", "backlog", "verify"}
