"""A database's errors → sentences that show no data; values ↔ JSON."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

_encoder = msgspec.json.Encoder(decimal_format="number")


def json_bytes(value: Any) -> bytes:
    """A value as JSON, with exact numbers."""
    return _encoder.encode(value)


def as_json(value: Any) -> str:
    """A value as JSON text."""
    return json_bytes(value).decode()


def uuid_array(keys: Iterable[UUID]) -> str:
    """Keys as an array in text, for ``CAST(… AS uuid[])``: psycopg takes ten times as long for a list of UUIDs."""
    return "{" + ",".join([key.hex for key in keys]) + "}"


class DatabaseProblem(Exception):
    """The database cannot be used as it is; the message says why and what to do, and shows no data."""


def sqlstate(error: BaseException) -> str | None:
    """The SQLSTATE of an error, if the server sent one."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return getattr(cause, "sqlstate", None)


def describe(error: BaseException) -> str:
    """A database error → one sentence without any value of a row: its SQLSTATE, table, column and constraint."""
    cause: Any = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, psycopg.OperationalError) and cause.sqlstate is None:
        return "database error: the connection was lost, or the server does not answer"
    diag = getattr(cause, "diag", None)
    parts = [f"{type(cause).__name__}"]
    for label, value in (
        ("SQLSTATE", getattr(cause, "sqlstate", None)),
        ("table", getattr(diag, "table_name", None)),
        ("column", getattr(diag, "column_name", None)),
        ("constraint", getattr(diag, "constraint_name", None)),
    ):
        if value:
            parts.append(f"{label} {value}")
    return "database error: " + ", ".join(parts)


@contextmanager
def reachable(db: Engine) -> Iterator[Connection]:
    """A connection; raises :class:`DatabaseProblem` with the reason if there is none."""
    where = f"{db.url.host or 'local socket'}:{db.url.port or 5432}, database {db.url.database!r}"
    try:
        connection = db.connect()
    except DBAPIError as error:
        raise DatabaseProblem(f"the database at {where} cannot be used: {_why(error)}") from None
    with connection:
        yield connection


def _why(error: DBAPIError) -> str:
    message = str(error.orig).lower()  # only searched: a driver's message may quote parts of the URL
    for phrase, reason in (
        ("password authentication failed", "the server refuses this user and password: fix them in DATABASE_URL"),
        ("no password supplied", "the server asks for a password: add it to DATABASE_URL"),
        ("does not exist", "it, or its user, does not exist there: create it, or fix the name in DATABASE_URL"),
        ("pg_hba.conf", "the server accepts no connection from here: see its pg_hba.conf"),
        ("no such file", "nothing listens there: start the server, or fix the host in DATABASE_URL"),
        ("refused", "nothing listens there: start the server, or fix host and port in DATABASE_URL"),
        ("timeout", "no response within 10 s: fix host and port in DATABASE_URL"),
        ("resolve", "its host name is unknown: fix the host in DATABASE_URL"),
        ("name or service", "its host name is unknown: fix the host in DATABASE_URL"),
        ("too many", "it has no free connection: raise max_connections, or close some"),
        ("invalid", "DATABASE_URL has a parameter that PostgreSQL does not know, or an invalid value"),
        ("starting up", "it is starting up: try again in a moment"),
        ("ssl", "client and server do not agree on SSL: see sslmode in DATABASE_URL"),
    ):
        if phrase in message:
            return reason
    return describe(error)
