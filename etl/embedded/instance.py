"""A running PostgreSQL → URLs, databases and a psql command line."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    import psycopg

DATABASE = "callhouse"
USER = "callhouse"
HOST = "127.0.0.1"
ADMIN_SETTINGS = "-c search_path=pg_catalog -c default_transaction_read_only=off -c statement_timeout=0"


class EmbeddedError(Exception):
    """The embedded PostgreSQL failed: the message says why and what to do."""


@dataclass(frozen=True)
class Server:
    """A running embedded PostgreSQL; its `repr` does not show the password."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    bin_dir: Path
    data_dir: Path

    def url(self, database: str = DATABASE) -> str:
        """`postgresql://user:password@host:port/database`."""
        who = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return f"postgresql://{who}@{self.host}:{self.port}/{quote(database, safe='')}"


def ensure_database(server: Server, name: str) -> None:
    """Creates the UTF-8 database `name` unless it exists, safe to run concurrently. Raises EmbeddedError."""
    import psycopg
    from psycopg import sql

    create = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(name))
    with _connect_as_admin(server, name) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
            with contextlib.suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                connection.execute(create)  # another process may be first


def drop_database(server: Server, name: str) -> None:
    """Drops the database `name` if it exists, with its connections. Raises EmbeddedError."""
    from psycopg import sql

    with _connect_as_admin(server, name) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@contextlib.contextmanager
def _connect_as_admin(server: Server, name: str) -> Iterator[psycopg.Connection[Any]]:
    import psycopg

    try:
        with psycopg.connect(
            server.url("postgres"), sslmode="disable", autocommit=True, connect_timeout=30, options=ADMIN_SETTINGS
        ) as connection:
            yield connection
    except psycopg.Error as error:
        raise EmbeddedError(
            f"The embedded PostgreSQL on {server.host}:{server.port} did not open the database {name!r}"
            f" ({_first_line(error)}): see its log {server.data_dir.parent / 'server.log'}."
        ) from None


def psql_command(server: Server, database: str) -> tuple[list[str], dict[str, str]]:
    """The argv of psql on `database`, and its environment, which holds the password as PGPASSWORD.

    Raises EmbeddedError where there is no psql.
    """
    own = server.bin_dir / "psql"
    psql = str(own) if os.access(own, os.X_OK) else shutil.which("psql")
    if psql is None:
        raise EmbeddedError("There is no psql beside the embedded PostgreSQL or on PATH: install postgresql-client.")
    argv = [psql, "-h", server.host, "-p", str(server.port), "-U", server.user, "-d", database]
    ignore_libpq_environment()
    return argv, {**os.environ, "PGPASSWORD": server.password, "PGSSLMODE": "disable"}


def ignore_libpq_environment() -> None:
    """Unset PGHOSTADDR, PGSERVICE, PGSSLMODE and the like: libpq would use what is meant for another server."""
    for name in [name for name in os.environ if name.startswith("PG") and name != "PGBINDIR"]:
        del os.environ[name]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
