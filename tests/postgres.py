"""A directory → one throw-away PostgreSQL that all workers of a test session share, and copies of its databases."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Engine

from etl import embedded
from etl.db.connections import open_engine
from etl.embedded import Server

# A copy of a database is 300 files: 10 ms of processor time in memory, 13 to 240 on a disk that is busy.
MEMORY, ROOM = Path("/dev/shm"), 4 << 30  # noqa: S108 - a directory of its own in it
UNSAFE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_connections": "200"}


@contextlib.contextmanager
def shared_server(root: Path) -> Iterator[Server]:
    """The server of the session whose workers all name the same `root`; the last to leave stops and removes it.

    Users are counted by process id under a file lock, and one that died is no longer counted.
    """
    root.mkdir(parents=True, exist_ok=True)
    home = root / "home"
    with _users(root) as users:
        users.add(os.getpid())
        if not home.exists() and (memory := in_memory()):
            home.symlink_to(memory)
        server = embedded.start(home, UNSAFE)
    try:
        yield server
    finally:
        if session := _sessions.pop(server.url("postgres"), None):
            session.close()
        with _users(root) as users:
            users.discard(os.getpid())
            if not users:
                embedded.stop(home)
                # Where the server's user may not enter root, the data directory lies elsewhere.
                shutil.rmtree(server.data_dir.parent, ignore_errors=True)
                shutil.rmtree(home.resolve(), ignore_errors=True)
                home.unlink(missing_ok=True)


def in_memory() -> Path | None:
    """A new directory in memory that every user may pass through; ``None`` where there is little room."""
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < ROOM:
        return None
    made = Path(tempfile.mkdtemp(prefix="callhouse-tests-", dir=MEMORY))
    made.chmod(0o711)
    return made


def clone(server: Server, template: str, name: str) -> str:
    """A new database `name` that is a copy of `template`; its URL."""
    with _connection(server) as connection:
        _copy(connection, template, name)
    return server.url(name)


def _copy(connection: psycopg.Connection[Any], template: str, name: str) -> None:
    # Measured with fsync off: 0.05 s by a copy of files, 0.27 s through the log.
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
    for _ in range(200):
        with contextlib.suppress(psycopg.errors.ObjectInUse):
            connection.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
            return
        time.sleep(0.05)  # another session is connected to the template or copies it
    raise TimeoutError(f"the template {template} stays in use: close the connections to it")


@contextlib.contextmanager
def database_copy(server: Server, template: str) -> Iterator[str]:
    """The name of a copy of `template` that is dropped in the end."""
    name, session = f"test_{uuid.uuid4().hex}", _session(server)
    _copy(session, template, name)
    yield name
    session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextlib.contextmanager
def engine_copy(server: Server, template: str) -> Iterator[Engine]:
    """An engine for such a copy."""
    with database_copy(server, template) as name:
        made = open_engine(server.url(name))
        yield made
        made.dispose()


_sessions: dict[str, psycopg.Connection[Any]] = {}


def _session(server: Server) -> psycopg.Connection[Any]:
    """This process's own, kept until it leaves the server: two more for each test cost 20 ms of processor time."""
    url = server.url("postgres")
    if url not in _sessions:
        _sessions[url] = _connection(server)
    return _sessions[url]


def _connection(server: Server) -> psycopg.Connection[Any]:
    return psycopg.connect(server.url("postgres"), autocommit=True, sslmode="disable")


@contextlib.contextmanager
def _users(root: Path) -> Iterator[set[int]]:
    """The live processes that use the server, read and written under the lock."""
    with (root / "users.json").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        users = {pid for pid in json.loads(file.read() or "[]") if _is_alive(pid)}
        try:
            yield users
        finally:
            file.seek(0)
            file.truncate()
            file.write(json.dumps(sorted(users)))
            file.flush()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
