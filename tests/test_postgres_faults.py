"""What PostgreSQL may do to a run, on a server of its own where it must: no call is lost, doubled or quarantined."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from etl import embedded
from etl.db import revisions
from etl.db.connections import open_engine
from etl.embedded import Server
from etl.sandbox.world import World
from tests.fakes import wait_until
from tests.harness import NOW, Harness, InterceptingTransport, counts_add_up, differences, make_harness
from tests.postgres import UNSAFE, in_memory
from tests.scripted_server import Toxics, stuck_proxy

SETTINGS = UNSAFE | {"synchronous_commit": "on"}
PAGE = "G12:size=10"  # several pages of a small list
BACKENDS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'callhouse' ORDER BY pid"


def kill_a_backend(home: Path, url: str) -> None:
    """Its postmaster ends all the others and recovers, as after a crash of one."""
    with psycopg.connect(url, autocommit=True) as session:
        os.kill(session.execute(BACKENDS).fetchall()[0][0], signal.SIGKILL)
        with contextlib.suppress(psycopg.OperationalError):
            while session.execute("SELECT 1"):
                time.sleep(0.01)
    wait_until(lambda: is_up(url))


def is_up(url: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url):
        return True
    return False


def stop_at_once(home: Path, url: str) -> None:
    """Shut the server down without a checkpoint, and start it again."""
    pid = int((embedded.start(home, SETTINGS).data_dir / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGQUIT)
    while Path(f"/proc/{pid}").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
        time.sleep(0.01)
    embedded.start(home, SETTINGS)


@contextmanager
def own_server(folder: Path) -> Iterator[tuple[Path, Server]]:
    home = folder / "home"
    if memory := in_memory():
        home.symlink_to(memory)
    server = embedded.start(home, SETTINGS)
    try:
        yield home, server
    finally:
        embedded.stop(home)


@pytest.mark.parametrize("crash", [kill_a_backend, stop_at_once])
def test_a_server_that_crashes_in_the_middle_of_a_run_costs_no_call(
    tmp_path: Path, crash: Callable[[Path, str], None]
) -> None:
    with own_server(tmp_path) as (home, server):
        embedded.ensure_database(server, "crashing")
        db = open_engine(server.url("crashing"))
        revisions.migrate(db)
        harness = make_harness(db, World(8, calls=60, days=5, now=NOW), PAGE)
        sandbox, crashes = harness.transport, list[int]()

        def crash_at(wanted: int, number: int) -> None:
            if number == wanted:
                crash(home, server.url("crashing"))
                crashes.append(number)

        for name in ("ravan", "vaani"):
            for wanted in (
                1,
                3,
                4,
                6,
            ):  # a run may fail: what its session has stored without waiting for the disk is gone
                harness.transport = InterceptingTransport(sandbox, lambda number, _, at=wanted: crash_at(at, number))  # type: ignore[misc]
                run_or_error(harness, name)
                assert [
                    line for line in differences(harness, name, besides={"turns"}) if "not stored" not in line
                ] == []
            harness.transport = sandbox
            harness.sync(name)
            assert differences(harness, name) == []
        assert crashes.count(1) == 2
        assert harness.scalar("SELECT count(*) FROM ops.quarantine") == 0
        db.dispose()


def run_or_error(harness: Harness, name: str) -> str:
    try:
        return harness.run(name).status
    except SQLAlchemyError:
        return "failed"


@contextmanager
def through(url: str, toxics: Toxics) -> Iterator[Engine]:
    """A database behind a proxy."""
    parsed = make_url(url)
    with stuck_proxy(parsed.port or 0, toxics) as proxy:
        behind = parsed.set(port=proxy.port).render_as_string(hide_password=False)
        made = open_engine(f"{behind}?sslmode=disable")
        yield made
        made.dispose()


@pytest.mark.parametrize("losses", [1, 2, 6])
def test_a_commit_whose_answer_is_lost_is_not_done_twice(database_url: str, losses: int) -> None:
    toxics = Toxics(lose_answer_to=b"COMMIT", answers_to_lose=losses)
    with through(database_url, toxics) as db:
        harness = make_harness(db, World(8, calls=60, days=5, now=NOW), PAGE)
        outcome = run_or_error(harness, "ringg")
        assert toxics.answers_to_lose < losses
        toxics.answers_to_lose = 0
        assert outcome == "succeeded" or harness.sync("ringg")
        assert differences(harness, "ringg") == []
        assert counts_add_up(harness)
        assert harness.scalar("SELECT count(*) FROM ops.quarantine") == 0
        assert harness.scalar("SELECT count(*) FROM warehouse.changes") == 0


def test_a_slow_way_to_the_database_costs_time_alone(database_url: str) -> None:
    with through(database_url, Toxics(slice_bytes=1000, pause_seconds=0.002)) as db:
        harness = make_harness(db, World(8, calls=30, days=5, now=NOW))
        harness.sync("vaani")
        assert differences(harness, "vaani") == []


@pytest.mark.parametrize("table", ["warehouse.calls", "bi.calls", "ops.leases"])
def test_a_reader_can_lock_nothing_that_a_run_waits_for(db: Engine, table: str) -> None:
    with db.begin() as connection:
        connection.execute(text("SET LOCAL ROLE bi_reader"))
        with pytest.raises(DBAPIError, match="permission denied"):
            connection.execute(text(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"))
