"""OpenLineage events of runs, as a real receiver gets them, and that no receiver stops or delays a run."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine

from etl import pipeline
from etl.db import tables
from etl.ops.lineage import observer
from etl.sandbox.socket_server import Sandbox
from etl.sandbox.world import World
from etl.sync.run import run_source
from tests.commands import environment, start_etl, stop_etl
from tests.harness import KEYS, NOW, make_harness

URL = "OPENLINEAGE_URL"
PRIVATE = "SELECT provider_call_id, from_number, to_number, customer_name, customer_email, summary FROM bi_pii.calls"
WITHOUT = """
import sys
sys.modules["openlineage"] = None
sys.argv[1:] = ["sync"]
import etl.__main__
"""


class Receiver(ThreadingHTTPServer):
    """Keeps what is posted to it; answers with `status`, or not before `may_answer` is set."""

    daemon_threads, block_on_close = True, False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Posted)
        self.events, self.bodies, self.status = list[dict[str, Any]](), list[bytes](), 200
        self.arrived, self.may_answer = threading.Condition(), threading.Event()
        self.may_answer.set()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def wait_for(self, is_it: Callable[[dict[str, Any]], bool]) -> None:
        with self.arrived:
            assert self.arrived.wait_for(lambda: any(map(is_it, self.events)), timeout=60), self.events


class Posted(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.arrived:
            self.server.bodies.append(body)
            self.server.events.append(json.loads(body))
            self.server.arrived.notify_all()
        self.server.may_answer.wait()
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as served:
        threading.Thread(target=served.serve_forever, args=(0.02,), daemon=True).start()
        yield served
        served.may_answer.set()
        served.shutdown()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(World(3, calls=30, days=5, now=NOW)) as served:
        yield served


@pytest.fixture
def configured(sandbox: Sandbox, database_url: str, receiver: Receiver) -> dict[str, str]:
    """The environment of one source and a receiver."""
    source = {name: value for name, value in sandbox.environment().items() if name.startswith("AUTOCALLS")}
    return {**source, "DATABASE_URL": f"{database_url}?sslmode=disable", URL: receiver.url}


def etl(*words: str, cwd: Path, given: dict[str, str]) -> tuple[int, str]:
    """A process of its own: events are sent until it ends."""
    with start_etl(*words, cwd=cwd, given=given) as process:
        _, err = process.communicate(timeout=60)
    return process.returncode, err


def outline(receiver: Receiver) -> list[tuple[str, str]]:
    return [(event["eventType"], event["job"]["name"]) for event in receiver.events]


def test_every_command_that_runs_sends_its_start_and_its_end(
    tmp_path: Path, configured: dict[str, str], receiver: Receiver, db: Engine, sandbox: Sandbox
) -> None:
    commands = (["sync"], ["backfill", "--from", "2025-04-20", "--again"], ["verify"], ["replay"])
    for words in commands:
        assert etl(*words, cwd=tmp_path, given=configured)[0] == 0
    assert outline(receiver) == [
        (state, f"autocalls.{words[0]}") for words in commands for state in ("START", "COMPLETE")
    ]
    harness = make_harness(db)
    runs = harness.rows("SELECT * FROM ops.runs ORDER BY run_id")
    assert len({event["run"]["runId"] for event in receiver.events}) == len(runs) == 4
    assert all(UUID(event["run"]["runId"]) and event["job"]["namespace"] == "callhouse" for event in receiver.events)
    url = db.url
    warehouse = f"postgres://{url.host}:{url.port}"
    for run, end in zip(runs, receiver.events[1::2], strict=True):
        assert datetime.fromisoformat(end["eventTime"]) >= run["started_at"]
        [given], outputs = end["inputs"], {each["name"]: each for each in end["outputs"]}
        calls = outputs[f"{url.database}.warehouse.calls"]
        assert calls["namespace"] == warehouse
        assert calls["outputFacets"]["outputStatistics"]["rowCount"] == run["inserted"] + run["updated"]
        assert [each["name"] for each in calls["facets"]["schema"]["fields"]] == [c.name for c in tables.calls.columns]
        if run["kind"] == "replay":
            assert (given["namespace"], given["name"]) == (warehouse, f"{url.database}.raw.payloads")
        else:
            assert (given["namespace"], given["name"]) == (sandbox.origin, "/autocalls/user/calls")
            assert given["inputFacets"]["inputStatistics"]["rowCount"] == run["received"]
    assert runs[0]["inserted"] == 30
    sent = b"".join(receiver.bodies).decode()
    assert [key for key in KEYS if key in sent] == []
    private = {value for row in harness.rows(PRIVATE) for value in row.values() if value}
    assert len(private) > 60
    assert [value for value in private if value in sent] == []


def test_a_run_that_fails_says_why_and_one_that_is_stopped_is_aborted(
    tmp_path: Path, configured: dict[str, str], receiver: Receiver, sandbox: Sandbox
) -> None:
    assert etl("sync", cwd=tmp_path, given={**configured, "AUTOCALLS_API_KEY": "a-wrong-key"})[0] == 1
    assert outline(receiver) == [("START", "autocalls.sync"), ("FAIL", "autocalls.sync")]
    error = receiver.events[1]["run"]["facets"]["errorMessage"]["message"]
    assert re.search("401", error)
    assert "a-wrong-key" not in error

    (tmp_path / "etl.toml").write_text(
        '[sources.slow]\nprovider = "vaani"\napi_key = "env:VAANI_API_KEY"\nrequests_per_minute = 1\n'
    )
    vaani = {name: value for name, value in sandbox.environment().items() if name.startswith("VAANI")}
    process = start_etl("sync", cwd=tmp_path, given={**configured, **vaani})
    receiver.wait_for(lambda event: event["job"]["name"] == "slow.sync")
    assert stop_etl(process)[0] == 1
    assert outline(receiver)[2:] == [("START", "slow.sync"), ("ABORT", "slow.sync")]


def test_the_runs_of_the_daemon_are_sent_too(tmp_path: Path, configured: dict[str, str], receiver: Receiver) -> None:
    given = {**configured, "ETL_LISTEN": "off", "OPENLINEAGE_NAMESPACE": "agency"}
    process = start_etl("daemon", cwd=tmp_path, given=given)
    receiver.wait_for(lambda event: event["eventType"] == "COMPLETE")
    assert stop_etl(process)[0] == 0
    assert {event["job"]["namespace"] for event in receiver.events} == {"agency"}


@pytest.mark.parametrize("fault", ["down", "refuses", "hangs", "misconfigured"])
def test_no_receiver_fails_a_run(
    tmp_path: Path, configured: dict[str, str], receiver: Receiver, fault: str, db: Engine
) -> None:
    if fault == "down":
        configured[URL] = "http://127.0.0.1:9"
    elif fault == "misconfigured":
        configured["OPENLINEAGE__TRANSPORT__TYPE"] = "nonsense"
    elif fault == "refuses":
        receiver.status = 400
    else:
        receiver.may_answer.clear()
    status, err = etl("sync", cwd=tmp_path, given=configured)
    assert status == 0
    assert make_harness(db).scalar("SELECT status FROM ops.runs") == "succeeded"
    assert "Traceback" not in err
    if fault in ("refuses", "misconfigured"):  # the client tries again for as long where there is no answer
        assert err.count("lineage_failed") == 1


def test_events_are_dropped_while_many_wait(
    db: Engine, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.may_answer.clear()
    monkeypatch.setenv(URL, receiver.url)
    harness = make_harness(db)
    deps = replace(harness.dependencies(), observe=observer(db.url, {URL: receiver.url}, max_waiting=1))
    for name in ("autocalls", "ringg", "vaani"):
        assert run_source(deps, harness.sources[name], "sync", pipeline.sync, is_manual=True).status == "succeeded"
        receiver.wait_for(lambda event: event["eventType"] == "START")
    assert "lineage_dropped" in caplog.messages
    assert len(receiver.events) == 1


def test_without_the_extra_a_line_says_so_and_without_a_receiver_there_is_none(
    tmp_path: Path, configured: dict[str, str]
) -> None:
    for given, count in ((configured, 1), ({**configured, URL: ""}, 0)):
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT], cwd=tmp_path, env=environment(tmp_path, given),
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr.count("pip install 'callhouse[lineage]'")) == (0, count)
