"""A directory → one throw-away PostgreSQL that all workers of a test session share, and copies of its databases."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import Engine

from etl import embedded
from etl.db.connections import open_engine
from etl.embedded import Server

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
        server = embedded.start(home, UNSAFE)
    try:
        yield server
    finally:
        with _users(root) as users:
            users.discard(os.getpid())
            if not users:
                embedded.stop(home)
                # Where the server's user may not enter root, the data directory lies elsewhere.
                shutil.rmtree(server.data_dir.parent, ignore_errors=True)
                shutil.rmtree(home, ignore_errors=True)


def clone(server: Server, template: str, name: str) -> str:
    """A new database `name` that is a copy of `template`; its URL."""
    # Measured with fsync off: 0.05 s by a copy of files, 0.27 s through the log.
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
    for _ in range(200):
        with contextlib.suppress(psycopg.errors.ObjectInUse), _connection(server) as connection:
            connection.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
            return server.url(name)
        time.sleep(0.05)  # another session is connected to the template or copies it
    raise TimeoutError(f"the template {template} stays in use: close the connections to it")


@contextlib.contextmanager
def database_copy(server: Server, template: str) -> Iterator[str]:
    """The name of a copy of `template` that is dropped in the end."""
    name = f"test_{uuid.uuid4().hex}"
    clone(server, template, name)
    yield name
    embedded.drop_database(server, name)


@contextlib.contextmanager
def engine_copy(server: Server, template: str) -> Iterator[Engine]:
    """An engine for such a copy."""
    with database_copy(server, template) as name:
        made = open_engine(server.url(name))
        yield made
        made.dispose()


def _connection(server: Server) -> psycopg.Connection[tuple[object, ...]]:
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
