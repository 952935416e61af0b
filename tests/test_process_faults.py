"""What may befall the process itself: it is killed at any moment, its output is gone, its machine is set up oddly."""

import os
import re
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import Connection, Engine, text

from etl.model import Window
from etl.paging import ResumePoint, SortOrder
from etl.sandbox.faults import parse_fault
from etl.sandbox.socket_server import Sandbox
from etl.sandbox.world import World
from etl.state import streams
from etl.state.streams import StreamState
from tests.commands import ETL, ROOT, environment
from tests.harness import counts_add_up, differences, make_harness

WORLD_NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def start(cwd: Path, given: dict[str, str], **streams: int) -> subprocess.Popen[bytes]:
    given_streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **streams}
    return subprocess.Popen([*ETL, "sync"], cwd=cwd, env=environment(cwd, given), **given_streams)  # type: ignore[call-overload, no-any-return]


def given_for(served: Sandbox, database_url: str, *names: str) -> dict[str, str]:
    prefixes = tuple(name.upper() for name in names)
    variables = {name: value for name, value in served.environment().items() if name.startswith(prefixes)}
    return {**variables, "DATABASE_URL": f"{database_url}?sslmode=disable"}


def test_killed_at_any_instant_again_and_again_it_loses_nothing(tmp_path: Path, database_url: str, db: Engine) -> None:
    """SIGKILL to the real process; what it has stored by then is looked at each time, before anything heals."""
    world, random, kills = World(5, calls=90, days=20, now=WORLD_NOW), Random(7), 0
    harness = make_harness(db, world)
    table = '[sources.{0}]\nprovider = "{0}"\napi_key = "env:{1}_API_KEY"\nrequests_per_minute = 6000\n'
    (tmp_path / "etl.toml").write_text("".join(table.format(name, name.upper()) for name in ("vaani", "ringg")))
    with Sandbox(world, [parse_fault("G12:size=10")]) as served:
        given, status = given_for(served, database_url, "vaani", "ringg"), None
        for attempt in range(200):  # each has a little more time: on any machine some are cut off and one ends
            process = start(tmp_path, given)
            try:
                status = process.wait(0.5 + 0.1 * attempt * random.random())
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
            for row in harness.rows("SELECT source, starts_at, ends_at FROM ops.coverage"):
                covered = [c for c in world.calls(row["source"]) if row["starts_at"] <= c.created_at < row["ends_at"]]
                assert {call.call_id for call in covered} <= harness.stored_ids(row["source"])
    assert (status, kills > 0) == (0, True)
    for name in ("vaani", "ringg"):
        assert differences(harness, name) == []
    assert harness.scalar("SELECT count(*) FROM ops.quarantine") == 0


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_that_nobody_takes_stops_no_loading(tmp_path: Path, database_url: str, db: Engine, stream: str) -> None:
    """A pipe whose reader is gone."""
    world = World(5, calls=40, days=5, now=WORLD_NOW)
    reader, writer = os.pipe()
    os.close(reader)
    with Sandbox(world) as served:
        start(tmp_path, given_for(served, database_url, "ravan"), **{stream: writer}).wait(60)
    os.close(writer)
    assert differences(make_harness(db, world), "ravan") == []


@pytest.mark.parametrize("odd", [
    {"TZ": "Asia/Kolkata", "LC_ALL": "C", "PYTHONHASHSEED": "1"},
    {"TZ": "Pacific/Apia", "LANG": "de_DE.UTF-8", "PYTHONHASHSEED": "2"},
    {"PYTHONTZPATH": "", "LC_ALL": "POSIX", "PYTHONUTF8": "0"},
])  # fmt: skip
def test_no_zone_locale_or_hash_seed_of_the_machine_shows_in_the_warehouse(
    tmp_path: Path, database_url: str, db: Engine, odd: dict[str, str]
) -> None:
    """Also without the system's time zones, which a slim image does not have."""
    world = World(5, calls=40, days=5, now=WORLD_NOW)
    with Sandbox(world) as served:
        given = {**given_for(served, database_url, "ringg", "autocalls", "ravan", "vaani"), **odd}
        (tmp_path / "etl.toml").write_text('report_timezone = "Asia/Kolkata"\n')
        assert start(tmp_path, given).wait(120) == 0
    harness = make_harness(db, world)
    for name in ("ringg", "autocalls", "ravan", "vaani"):
        assert differences(harness, name) == []
    assert counts_add_up(harness)


def test_nothing_in_it_forks_with_connections_open() -> None:
    """A connection or a thread that two processes share breaks both."""
    forking = re.compile(r"\bos\.fork|\bforkpty\b|\bmultiprocessing\b|\bProcessPoolExecutor\b")
    assert [str(path) for path in (ROOT / "etl").rglob("*.py") if forking.search(path.read_text("utf-8"))] == []


STORED = {
    "position": 3, "size": 100, "end": "2026-04-01T00:00:00+00:00", "order": "desc",
    "newest": "2026-03-31T00:00:00+00:00", "oldest": None, "total": 812,
}  # fmt: skip


def test_a_checkpoint_is_read_as_every_process_of_this_revision_writes_it(planted: Connection) -> None:
    """What is stored is a format: to change it takes a revision, so that the other version refuses the database."""
    window = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    point = ResumePoint(3, 100, window.end, SortOrder.DESC, newest=datetime(2026, 3, 31, tzinfo=UTC), total=812)
    streams.save_checkpoint(planted, StreamState("one", ""), window, point, window.end)
    assert planted.scalar(text("SELECT resume_point FROM ops.checkpoints")) == STORED
    assert streams.load_stream(planted, "one", "").checkpoints == (streams.Checkpoint(window, point),)
