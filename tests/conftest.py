"""Fixtures for all tests: one PostgreSQL for the session, and a migrated database of its own for each test.

Where is a module tested? In ``tests/test_<module>.py`` where there is one, else in ``tests/test_<room>.py``:
``etl/state/rate_limit.py`` in ``test_rate_limit.py``, ``etl/client/body.py`` in ``test_client.py``. Module names are
unique in ``etl/``. What spans the whole pipeline has a file of its own, listed in ``test_architecture.py``. Helpers:
:mod:`tests.harness` (a sandbox world, a database and a clock), :mod:`tests.stub_provider` (records that a test writes
down), :mod:`tests.scripted_server` (bytes on a socket), :mod:`tests.fakes`, :mod:`tests.commands` (`etl` as a process,
or as a fork of :mod:`tests.forked`) and :mod:`tests.postgres`.
"""

import fcntl
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from sqlalchemy import Connection, Engine, text

from etl import embedded
from etl.db import revisions
from etl.db.connections import open_engine
from etl.embedded import Server
from tests.postgres import database_copy, engine_copy, shared_server

# The same examples on every run: a build fails because of a change, never because of a draw.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")

TEMPLATE = "template_migrated"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was skipped, and why: a silent skip looks like a pass."""
    reasons = Counter(
        str(each.longrepr[2]).removeprefix("Skipped: ") for each in terminalreporter.getreports("skipped")
    )
    for reason, times in reasons.items():
        terminalreporter.write_line(f"LEFT OUT: {times} tests: {reason}", red=True, bold=True)


@pytest.fixture(scope="session")
def cluster_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that all workers of the session share for their server."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if base.name.startswith("popen-") else base) / "postgres"


@pytest.fixture(scope="session")
def server(cluster_dir: Path) -> Iterator[Server]:
    """One server for all workers of the session."""
    with shared_server(cluster_dir) as server:
        yield server


@pytest.fixture(scope="session")
def template(server: Server, cluster_dir: Path) -> str:
    """The name of a migrated and empty database, made once by whichever worker comes first."""
    # In the server's home: a worker that comes after all others have left starts another server and needs it again.
    with (cluster_dir / "home" / "template.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        if not lock.read():
            embedded.ensure_database(server, TEMPLATE)
            made = open_engine(server.url(TEMPLATE))
            revisions.migrate(made)
            made.dispose()
            lock.write("made")
    return TEMPLATE


@pytest.fixture
def database_url(server: Server, template: str) -> Iterator[str]:
    """The URL of a migrated database of this test's own."""
    with database_copy(server, template) as name:
        yield server.url(name)


@pytest.fixture
def db(database_url: str) -> Iterator[Engine]:
    """Connections to this test's database."""
    made = open_engine(database_url)
    yield made
    made.dispose()


@pytest.fixture(scope="session")
def filled(server: Server, template: str) -> Iterator[Engine]:
    """A database with the sandbox's calls of sixty days, to be read only."""
    from bi import warehouse

    with engine_copy(server, template) as made:
        warehouse.fill(made)
        yield made


@pytest.fixture
def planted(db: Engine) -> Iterator[Connection]:
    """A transaction on a database with two sources."""
    with db.connect() as connection:
        for source in ("one", "two"):
            connection.execute(
                text(
                    "INSERT INTO ops.sources (source, provider, host, first_seen_at, settled_after_seconds, schedule)"
                    " VALUES (:source, 'ringg', 'h', now(), 604800, 'every 5m')"
                ),
                {"source": source},
            )
        yield connection
