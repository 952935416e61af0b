"""``python -m bi.airflow.trial``: the DAGs in a real Airflow, on a sandbox: exact, also where tasks fail or are killed.

Airflow is installed from its lock file into an environment of its own, and runs each DAG as `airflow dags test` does.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bi.environments import installed
from etl.db import revisions
from etl.db.connections import open_engine
from etl.sandbox.expected import expected_rows
from etl.sandbox.socket_server import Sandbox
from etl.sandbox.world import World
from tests.fakes import FakeClock
from tests.harness import PROVIDERS, Harness, differences
from tests.postgres import shared_server

DAGS = Path(__file__).resolve().parent.parent.parent / "deploy" / "airflow"
CALLS, DAYS = 400, 30
WRAPPER = '#!/bin/sh\necho $$ > "{folder}/pid"\nexec "{etl}" "$@"\n'
SOURCE = """
[sources.{name}]
provider = "{provider}"
api_key = "env:{key}"
base_url = "{origin}"
requests_per_minute = 2000
"""


class Airflow:
    """An installed Airflow with the DAGs, and a directory of Callhouse's; all its data lies in one directory."""

    def __init__(self, installed: Path, home: Path, directory: Path) -> None:
        self.home, self.directory, self._program = home, directory, installed / "bin" / "airflow"
        (wrapper := directory / "etl").write_text(
            WRAPPER.format(folder=directory, etl=Path(sys.executable).parent / "etl")
        )
        wrapper.chmod(0o755)
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "OPENLINEAGE"))},
            "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS), "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1", "CALLHOUSE_ETL": str(wrapper),
            "CALLHOUSE_DIRECTORY": str(directory),
        }  # fmt: skip

    def run(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a command of Airflow; its output goes to a file beside the logs."""
        with (self.home / "output.txt").open("ab") as output:
            return subprocess.Popen(
                [self._program, *words], env=self._environment, cwd=self.directory, stdout=output, stderr=output
            )

    def test(self, dag: str, **params: Any) -> dict[tuple[str, str], tuple[str, int]]:
        """Run a DAG once to its end → the state and the number of tries of each task and source."""
        self.start(dag, **params).wait()
        return self.outcome()

    def start(self, dag: str, **params: Any) -> subprocess.Popen[bytes]:
        """Start a run of a DAG."""
        return self.run("dags", "test", dag, *(["--conf", json.dumps(params)] if params else []))

    def outcome(self) -> dict[tuple[str, str], tuple[str, int]]:
        """The tasks of the latest run."""
        with sqlite3.connect(self.home / "airflow.db") as database:
            rows = database.execute("""
                SELECT task_id, coalesce(rendered_map_index, ''), state, try_number FROM task_instance
                 WHERE run_id = (SELECT run_id FROM dag_run ORDER BY id DESC LIMIT 1)
                   AND dag_id = (SELECT dag_id FROM dag_run ORDER BY id DESC LIMIT 1)
            """).fetchall()
        return {(task, source): (state, tries) for task, source, state, tries in rows}

    def files_with(self, texts: Iterable[str]) -> list[str]:
        """The files of Airflow, its database and logs among them, in which one of these stands."""
        wanted = [text.encode() for text in texts]
        return [
            str(path)
            for path in sorted(self.home.rglob("*"))
            if path.is_file() and any(text in path.read_bytes() for text in wanted)
        ]

    def kill_command(self, number: signal.Signals) -> None:
        """Send the running `etl` a signal."""
        os.kill(int((self.directory / "pid").read_text()), number)


def configure(directory: Path, sandbox: Sandbox, database_url: str, wrong: Mapping[str, str]) -> list[str]:
    """Write .env and etl.toml, with a key that is refused for the sources in ``wrong`` → the secrets in them."""
    given = sandbox.environment()
    secrets = {name: value for name, value in given.items() if name.endswith("_API_KEY")} | {"WRONG_KEY": "a-wrong-key"}
    phones = f"phones = {json.dumps(given['RAVAN_PHONES'].split(','))}\n"
    text = ""
    for name, provider in ({each: each for each in PROVIDERS} | dict(wrong)).items():
        key = "WRONG_KEY" if name in wrong else f"{provider.upper()}_API_KEY"
        origin = given[f"{provider.upper()}_BASE_URL"]
        text += SOURCE.format(name=name, provider=provider, key=key, origin=origin)
        text += phones if provider == "ravan" else ""
    (directory / "etl.toml").write_text(text)
    lines = {"DATABASE_URL": database_url, **secrets}
    (directory / ".env").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    return [*secrets.values(), database_url.partition("@")[0].rpartition(":")[2]]


@contextmanager
def after_requests(sandbox: Sandbox, steps: Mapping[int, Callable[[], None]]) -> Any:
    """Call each step once, as soon as Vaani has served this number of requests."""
    is_over = threading.Event()

    def watch() -> None:
        left = dict(steps)
        while left and not is_over.wait(0.01):
            count = sum(request.provider == "vaani" for request in list(sandbox.requests))
            for number in [number for number in left if count >= number]:
                left.pop(number)()

    watching = threading.Thread(target=watch)
    watching.start()
    yield
    is_over.set()
    watching.join()


class Trial:
    """What was expected, and what came instead."""

    def __init__(self, airflow: Airflow, sandbox: Sandbox, harness: Harness) -> None:
        self.airflow, self.sandbox, self.harness, self.wrong = airflow, sandbox, harness, list[str]()

    def expect(self, what: str, found: object, expected: object) -> None:
        """Note a difference."""
        if found != expected:
            self.wrong.append(f"{what}: {found!r} instead of {expected!r}")

    def backfill(self) -> None:
        """A range of days of one source is stored, and nothing else."""
        first, end = (datetime.now(UTC) - timedelta(days=days) for days in (20, 10))
        days = {"first_day": f"{first:%Y-%m-%d}", "end_day": f"{end:%Y-%m-%d}"}
        outcome = self.airflow.test("callhouse_backfill", sources=["ringg"], **days)
        self.expect("tasks of a backfill", outcome[("backfill", "ringg")], ("success", 1))
        wanted = {
            row["provider_call_id"]
            for row in expected_rows(self.harness.world, "ringg")
            if days["first_day"] <= f"{row['created_at']:%Y-%m-%d}" < days["end_day"]
        }
        self.expect("calls of a backfill", self.harness.stored_ids("ringg"), wanted)
        self.expect("sources of a backfill", self.harness.scalar("SELECT count(DISTINCT source) FROM ops.runs"), 1)

    def unknown_source(self) -> None:
        """A command line that cannot succeed is tried once."""
        outcome = self.airflow.test("callhouse_backfill", sources=["nobody"], first_day="2026-01-01")
        self.expect("an unknown source", outcome[("backfill", "nobody")], ("failed", 1))

    def sync(self) -> None:
        """All sources are exact, although one is killed and stopped on its way, and another has a wrong key."""
        run = self.airflow.start("callhouse_sync")
        steps = {80: lambda: self.airflow.kill_command(signal.SIGKILL), 160: run.terminate}
        with after_requests(self.sandbox, steps):
            run.wait()
        outcome = self.airflow.outcome()
        self.expect("the source with a wrong key", outcome[("sync", "refused")], ("failed", 3))
        self.expect("the source that was killed", outcome[("sync", "vaani")], ("success", 3))
        for name in ("ringg", "ravan", "autocalls"):
            self.expect(name, outcome[("sync", name)], ("success", 1))
        for name in PROVIDERS:
            self.expect(f"{name}: what differs", differences(self.harness, name), [])
        runs = self.harness.rows("SELECT status, requests FROM ops.runs WHERE source = 'vaani' ORDER BY run_id")
        self.expect("runs of the killed source", [run["status"] for run in runs], ["interrupted"] * 2 + ["succeeded"])
        paths = Counter(request.path for request in self.sandbox.requests if "/transcript/" in request.path)
        again = sum(count - 1 for count in paths.values())
        sys.stdout.write(f"killed and stopped: {again} of {len(paths)} transcripts were requested again\n")
        self.expect("resumed with less than half left", again < len(paths) / 2, True)

    def verify(self) -> None:
        """Every source is compared, and nothing is missing."""
        outcome = self.airflow.test("callhouse_verify")
        for name in PROVIDERS:
            self.expect(f"{name} verified", outcome[("verify", name)], ("success", 1))

    def invalid_configuration(self) -> None:
        """A configuration that is invalid is tried once."""
        with (self.airflow.directory / "etl.toml").open("a") as file:
            file.write("[sources.no]\nprovider = 'nobody'\n")
        outcome = self.airflow.test("callhouse_sync")
        self.expect("an invalid configuration", outcome[("list_sources", "")], ("failed", 1))


def main() -> None:
    """Print what is wrong; the status is 1 where something is."""
    installation, began = installed("airflow"), time.monotonic()
    world = World(3, calls=CALLS, days=DAYS, now=datetime.now(UTC))
    with (
        tempfile.TemporaryDirectory() as name,
        shared_server(Path(name) / "server") as server,
        Sandbox(world) as sandbox,
    ):
        (home := Path(name) / "airflow").mkdir()
        (directory := Path(name) / "callhouse").mkdir()
        db = open_engine(server.url())
        revisions.migrate(db)
        secrets = configure(directory, sandbox, server.url(), {"refused": "ringg"})
        airflow = Airflow(installation, home, directory)
        airflow.run("db", "migrate").wait()
        trial = Trial(airflow, sandbox, Harness(db, world, FakeClock(world.now()), None))  # type: ignore[arg-type]
        for step in (trial.backfill, trial.unknown_source, trial.sync, trial.verify, trial.invalid_configuration):
            step()
        trial.expect("files of Airflow with a secret", airflow.files_with(secrets), [])
        db.dispose()
        if trial.wrong:
            sys.exit("\n".join([(home / "output.txt").read_text()[-20_000:], *trial.wrong]))
    sys.stdout.write(f"three DAGs in {time.monotonic() - began:.0f} seconds: exact, and no secret in Airflow\n")


if __name__ == "__main__":
    main()
