"""Callhouse on Airflow 3: syncs every source each quarter of an hour, verifies it each night, backfills it on demand.

Each task runs one `etl` command on one source, in Callhouse's own environment. Who may write a source is decided by
its lease in the warehouse, so that these DAGs, a daemon and a command by hand may run at once. Put this file into the
DAGs folder; docs/airflow.md explains the two settings.
"""

import json
import os
import signal
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from threading import Event, Timer
from typing import Any

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import DAG, BaseOperator, Param, task
from airflow.sdk.exceptions import AirflowException, AirflowFailException

ETL = os.environ.get("CALLHOUSE_ETL", "/opt/callhouse/bin/etl")
DIRECTORY = os.environ.get("CALLHOUSE_DIRECTORY", "/etc/callhouse")  # with .env and etl.toml: no secret is in Airflow
STOPPED = {1, -signal.SIGTERM}  # the exit statuses of a command that was asked to stop
INVALID = {2, 78}  # the command line, or the configuration: another try ends in the same way
SOURCES_AT_ONCE = 8
TURN = timedelta(minutes=10)  # of a sync: a first one may take hours, and the other sources would wait for it
COMMON: dict[str, Any] = {
    "start_date": datetime(2026, 1, 1, tzinfo=UTC),
    "catchup": False,
    "max_active_runs": 1,
    "tags": ["callhouse"],
    "default_args": {"retries": 2},
}


def check(status: int, command: str) -> None:
    """Fail the task where a command failed, for good where another try cannot help."""
    if status in INVALID:
        raise AirflowFailException(f"etl {command}: exit status {status}: the log says what to correct")
    if status:
        raise AirflowException(f"etl {command}: exit status {status}: the next try goes on from what was committed")


@task
def list_sources(params: dict[str, Any] | None = None) -> list[str]:
    """The sources in `params`, or all that are configured."""
    if chosen := (params or {}).get("sources"):
        return list(chosen)
    listed = subprocess.run([ETL, "sources", "list", "--json"], cwd=DIRECTORY, stdout=subprocess.PIPE, check=False)
    check(listed.returncode, "sources list")
    return [each["source"] for each in json.loads(listed.stdout)]


class EtlOperator(BaseOperator):
    """One `etl` command on one source; where it has a turn, it is stopped after it, and the next run goes on."""

    template_fields = ("command",)

    def __init__(self, *, command: Sequence[str], source: str, turn: timedelta | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.command, self.source, self.turn = command, source, turn

    def execute(self, context: Any) -> None:
        """Run it; its output is the task's log."""
        self.is_stopping, self.hook, turn_is_over = Event(), SubprocessHook(), Event()

        def end_turn() -> None:
            turn_is_over.set()
            self.on_kill()

        timer = Timer(self.turn.total_seconds(), end_turn) if self.turn else None
        if timer:
            timer.start()
        try:
            words = [word for word in self.command if word]  # the template of an option that is not given is empty
            status = self.hook.run_command([ETL, *words, self.source], cwd=DIRECTORY).exit_code
        finally:
            if timer:
                timer.cancel()
        if status in STOPPED and turn_is_over.is_set():
            self.log.info("There is more to read: the next run goes on from here")
        else:
            check(status, f"{self.command[0]} {self.source}")

    def on_kill(self) -> None:
        """Ask the command to stop: it ends within ten seconds. A second signal would kill it."""
        if not self.is_stopping.is_set():
            self.is_stopping.set()
            self.hook.send_sigterm()


def on_each_source(task_id: str, command: Sequence[str], turn: timedelta | None = None) -> None:
    """One mapped task per source."""
    EtlOperator.partial(
        task_id=task_id,
        command=command,
        turn=turn,
        max_active_tis_per_dagrun=SOURCES_AT_ONCE,
        map_index_template="{{ task.source }}",
    ).expand(source=list_sources())


with DAG("callhouse_sync", schedule="*/15 * * * *", description="Load what is new or changed", **COMMON):
    on_each_source("sync", ["sync"], TURN)

with DAG("callhouse_verify", schedule="30 2 * * *", description="Compare with the vendors' own counts", **COMMON):
    on_each_source("verify", ["verify", "--heal"])

with DAG(
    "callhouse_backfill",
    schedule=None,
    description="Load a period of history",
    params={
        "first_day": Param(type="string", format="date", description="In the time zone of each source"),
        "end_day": Param(None, type=["null", "string"], format="date", description="The day after the last; none: now"),
        "again": Param(False, type="boolean", description="Read what is stored, too"),
        "sources": Param([], type="array", items={"type": "string"}, description="None: all of them"),
    },
    **COMMON,
):
    on_each_source(
        "backfill",
        [
            "backfill",
            "--from={{ params.first_day }}",
            "{{ '--to=' ~ params.end_day if params.end_day else '' }}",
            "{{ '--again' if params.again else '' }}",
        ],
    )
