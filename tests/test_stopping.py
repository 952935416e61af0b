"""What a command does that is asked to stop while a peer, the database or a provider, does not answer."""

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import pytest
from sqlalchemy import Engine, make_url, text

from etl.sandbox.socket_server import Sandbox
from etl.sandbox.world import World
from tests.commands import start_etl, stop_etl
from tests.fakes import wait_until
from tests.scripted_server import sends, serve, stuck_proxy

STATUSES = text("SELECT status FROM ops.runs")
WAITING = "etl: stopping; waiting for the database. Ctrl-C again ends it at once; what was committed is kept"
ENDED = "etl: stopped without an answer of the database; the same command goes on from what was committed"


@pytest.fixture
def stuck(tmp_path: Path, database_url: str) -> Iterator[subprocess.Popen[str]]:
    """A sync whose database falls silent in the middle of it."""
    url = make_url(database_url)
    with (
        Sandbox(World(3, calls=90, days=5, now=datetime.now(UTC))) as served,
        stuck_proxy(url.port or 0) as proxy,
    ):
        through = url.set(port=proxy.port).render_as_string(hide_password=False)
        variables = {name: value for name, value in served.environment().items() if name.startswith("VAANI")}
        process = start_etl("sync", cwd=tmp_path, given={**variables, "DATABASE_URL": f"{through}?sslmode=disable"})
        wait_until(lambda: len(served.requests) >= 2)
        proxy.is_stuck.set()
        time.sleep(1)  # its next statement is sent by now
        yield process
        process.kill()
        process.communicate()


def first_line(stream: IO[str] | None, start: str) -> str:
    assert stream
    return next(line for line in stream if line.startswith(start)).rstrip()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_says_what_it_waits_for_and_a_second_ends_it(
    stuck: subprocess.Popen[str], number: signal.Signals
) -> None:
    stuck.send_signal(number)
    assert first_line(stuck.stderr, "etl: ") == WAITING
    assert stuck.poll() is None
    stuck.send_signal(number)
    assert stuck.wait(2) == -number


def test_one_signal_ends_it_within_ten_seconds(stuck: subprocess.Popen[str]) -> None:
    began = time.monotonic()
    code, _, err = stop_etl(stuck, signal.SIGHUP)
    assert (code, err.splitlines()[-2:]) == (1, [WAITING, ENDED])
    assert time.monotonic() - began < 10


def test_a_silent_provider_keeps_no_command_from_ending(tmp_path: Path, database_url: str, db: Engine) -> None:
    gone = threading.Event()
    with serve(sends(b"H", b"T", pause=60, gone=gone)) as silent:
        given = {
            "RINGG_API_KEY": "k", "RINGG_BASE_URL": f"http://127.0.0.1:{silent.port}",
            "DATABASE_URL": f"{database_url}?sslmode=disable",
        }  # fmt: skip
        process = start_etl("sync", cwd=tmp_path, given=given)
        wait_until(lambda: silent.heard)
        began = time.monotonic()
        code, _, err = stop_etl(process, signal.SIGINT)
        assert time.monotonic() - began < 6
        assert code == 1
        assert "etl: stopped; what was read is kept, and the same command goes on from here" in err
        gone.set()
    with db.connect() as connection:
        assert connection.scalars(STATUSES).all() == ["interrupted"]


def test_a_question_ends_at_once(tmp_path: Path, database_url: str) -> None:
    url = make_url(database_url)
    with stuck_proxy(url.port or 0) as proxy:
        proxy.is_stuck.set()
        through = url.set(port=proxy.port).render_as_string(hide_password=False)
        process = start_etl("status", cwd=tmp_path, given={"DATABASE_URL": f"{through}?sslmode=disable"})
        wait_until(lambda: proxy.ends)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(2) == -signal.SIGINT
        process.communicate()
