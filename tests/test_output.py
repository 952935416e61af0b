"""What becomes of a command whose stdout, stderr or terminal is not there, is full, or obeys what it is sent."""

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from etl.cli.output import printable
from etl.sandbox.socket_server import Sandbox
from etl.sandbox.world import World
from tests.commands import ETL, environment, run_etl

STATUSES = text("SELECT status, received FROM ops.runs")
REJECTED = text("""
    INSERT INTO ops.quarantine (source, provider_call_id, digest, payload, reason, first_seen_at, last_seen_at)
    VALUES ('ringg', :id, '1', :payload, :reason, now(), now())
""")
AMBIGUOUS = text("""
    WITH known AS (
        INSERT INTO ops.sources (source, provider, host, first_seen_at, settled_after_seconds, schedule)
        SELECT x, x, '127.0.0.1', now(), 0, 'every 5m' FROM unnest(ARRAY['ringg', 'vaani']) x
    )
    INSERT INTO ops.quarantine (source, provider_call_id, digest, payload, reason, first_seen_at, last_seen_at)
    SELECT source, :id, '2', '', 'bad', now(), now() FROM (VALUES ('ringg'), ('vaani')) x (source)
""")
HOSTILE = "a\x1b]0;owned\x07\x9b31m\u202eb\u2066\x7f\u2028c"
UNSEEN = "\x1b\x07\x9b\u202e\u2066\x7f\u2028"


@pytest.fixture
def given(tmp_path: Path, database_url: str) -> Iterator[dict[str, str]]:
    """The environment of one source and a migrated database."""
    with Sandbox(World(3, calls=30, days=5, now=datetime.now(UTC))) as served:
        variables = served.environment()
        chosen = {name: variables[name] for name in ("RINGG_API_KEY", "RINGG_BASE_URL")}
        yield {**chosen, "DATABASE_URL": f"{database_url}?sslmode=disable"}


def run_with(redirection: str, *words: str, cwd: Path, given: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `etl WORDS` with a redirection of a shell."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", *ETL, *words], cwd=cwd, env=environment(cwd, given),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("redirection", "status"),
    [
        ("2>/dev/full", 0), ("2>&-", 0), (">&-", 0), ("<&- >&- 2>&-", 0), (">/dev/full", 1), (">/dev/full 2>&1", 1),
        ("| true", 0), ("2>&1 | true", 0),
    ],
)  # fmt: skip
def test_loading_goes_on_without_output_and_is_stored_as_what_it_was(
    tmp_path: Path, given: dict[str, str], db: Engine, redirection: str, status: int
) -> None:
    said = run_with(redirection, "sync", cwd=tmp_path, given=given)
    with db.connect() as connection:
        assert connection.execute(STATUSES).all() == [("succeeded", 30)]
    assert said.returncode == status, said.stderr
    assert "Traceback" not in said.stderr
    assert "Exception ignored" not in said.stderr
    lost = "etl: stdout cannot be written (No space left on device): the output is incomplete"
    assert (lost in said.stderr) is (redirection == ">/dev/full")


def test_an_answer_that_is_lost_is_status_1(tmp_path: Path, given: dict[str, str]) -> None:
    for words in (("status", "--json"), ("--help",), ("quarantine", "--help")):
        assert run_with(">/dev/full", *words, cwd=tmp_path, given=given).returncode == 1
        assert run_with("2>/dev/full", *words, cwd=tmp_path, given=given).returncode == 0
    assert run_with(">/dev/full", "status", cwd=tmp_path, given={"DATABASE_URL": "x"}).returncode == 78


def on_terminal(*words: str, cwd: Path, given: dict[str, str]) -> str:
    """What `etl WORDS` writes to a terminal, stderr included."""
    master, slave = pty.openpty()
    process = subprocess.Popen([*ETL, *words], cwd=cwd, env=environment(cwd, given), stdout=slave, stderr=slave)
    os.close(slave)
    said = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # Linux says so when the other side is closed
            break
        if not piece:
            break
        said += piece
    os.close(master)
    process.wait(60)
    return said.decode().replace("\r\n", "\n")


def test_nothing_from_outside_reaches_a_terminal_raw(tmp_path: Path, given: dict[str, str], db: Engine) -> None:
    payload = f'{{"name": "{HOSTILE}",\n "raw": "'.encode() + b"\xff" + b'"}'
    with db.begin() as connection:
        connection.execute(REJECTED, {"id": "1", "payload": payload, "reason": f"{HOSTILE} is wrong"})
        connection.execute(AMBIGUOUS, {"id": f"{HOSTILE}\netl: forged"})
    ambiguous = ("why", f"{HOSTILE}\netl: forged")
    for words in (("quarantine", "show", "1"), ("quarantine", "list"), ("quarantine", "list", "--json"), ambiguous):
        said = on_terminal(*words, cwd=tmp_path, given=given)
        assert "a\ufffd]0;owned" in said or "a\\u001b]0;owned" in said, said
        assert [char for char in UNSEEN if char in said] == []
        assert "\netl: forged" not in said
    exact = subprocess.run(
        [*ETL, "quarantine", "show", "1"],
        cwd=tmp_path,
        env=environment(tmp_path, given),
        capture_output=True,
        check=True,
    )
    assert exact.stdout == payload + b"\n"
    listed = run_etl("quarantine", "list", "--json", cwd=tmp_path, given=given).stdout
    assert json.loads(listed)[-1]["reason"] == f"{HOSTILE} is wrong"


@pytest.mark.parametrize("script", ["क्‍ष ക്‍ na\u200cme", "日本\u3000語", "a\u00a0b é ß", "👩‍👧"])
def test_every_script_is_left_as_it_is(script: str) -> None:
    assert printable(script) == script
