"""A database's errors → sentences that show no data; values ↔ JSON."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import UUID

import msgspec
import psycopg
from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError

T = TypeVar("T")
INSUFFICIENT_PRIVILEGE = "42501"
ATTEMPTS = 5
CONFLICT = frozenset({"40001", "40P01"})  # SQLSTATEs of serialization failures and deadlocks
CONNECTION_LOST = "08006"  # stands for the SQLSTATE that a server could not send
# Beside conflicts, sessions that were terminated, crashed or idle for too long, in a transaction or not.
TRANSIENT = CONFLICT | {CONNECTION_LOST, "57P01", "57P02", "57P05", "25P03"}

# As libpq writes an error that the server sent, in any language: the severity, a colon and two spaces.
_SERVER_MESSAGE = re.compile(r"failed: [^\n:]+:  (.+)")
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


def is_closed(connection: Connection) -> bool:
    """Whether either side has ended the session."""
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    return driver.closed


def is_silent(error: BaseException) -> bool:
    """Whether the error is that the server does not answer."""
    return isinstance(error.orig if isinstance(error, DBAPIError) else error, psycopg.errors._WaitTimeout)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those in whose handling it occurred: a session that has ended cannot be rolled back either."""
    while error is not None:
        yield error
        error = error.__context__


def _code(error: BaseException) -> str | None:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return sqlstate(error) or (CONNECTION_LOST if isinstance(cause, psycopg.OperationalError) else None)


def retried(work: Callable[[], T], sleep: Callable[[float], None], codes: frozenset[str]) -> T:
    """Do work; again, five times in all, where the server ended it with one of these SQLSTATEs."""
    for attempt in range(1, ATTEMPTS):
        try:
            return work()
        except (DBAPIError, psycopg.Error) as error:
            causes = list(_chain(error))
            if any(map(is_silent, causes)) or codes.isdisjoint(map(_code, causes)):
                raise
            sleep(attempt * 0.1)
    return work()


def describe(error: BaseException) -> str:
    """A database error → one sentence without any value of a row: its SQLSTATE, table, column and constraint."""
    cause: Any = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, psycopg.OperationalError) and cause.sqlstate is None:
        return f"database error: {_why(cause)}"
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
    hint = "; `etl check` names what to grant" if sqlstate(error) == INSUFFICIENT_PRIVILEGE else ""
    return "database error: " + ", ".join(parts) + hint


def server_message(error: BaseException) -> str | None:
    """What a server says that refuses a connection, in its own language; ``None`` where none answered."""
    said = _SERVER_MESSAGE.search(str(error))
    return said[1] if said else None


def location(db: Engine) -> str:
    """Where a database is: its server, and its name."""
    return f"{server_of(db.url)}, database {db.url.database!r}"


def server_of(url: URL) -> str:
    """Its hosts and ports, or the service that says so."""
    host = url.host or url.query.get("host") or url.query.get("service") or "local socket"
    return f"{host}:{url.port or url.query.get('port') or 5432}"


@contextmanager
def reachable(db: Engine) -> Iterator[Connection]:
    """A connection; raises :class:`DatabaseProblem` with the reason if there is none."""
    try:
        connection = db.connect()
    except DBAPIError as error:
        reason = describe(error).removeprefix("database error: ")
        raise DatabaseProblem(f"the database at {location(db)} cannot be used: {reason}") from None
    with connection:
        yield connection


def _why(error: psycopg.OperationalError) -> str:
    """The reason why there is no connection: the server's own words, or those that libpq's stand for."""
    if said := server_message(error):
        return f"the server says: {said}"
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        return "no response in time: fix host and port in DATABASE_URL"
    message = str(error).lower()  # only searched: it may quote parts of the URL; libpq's is always in English here
    for phrase, reason in (
        ("no password supplied", "the server asks for a password: add it to DATABASE_URL"),
        ("no such file", "nothing listens there: start the server, or fix the host in DATABASE_URL"),
        ("refused", "nothing listens there: start the server (`etl db start` the embedded one), or fix DATABASE_URL"),
        ("resolve", "its host name is unknown: fix the host in DATABASE_URL"),
        ("name or service", "its host name is unknown: fix the host in DATABASE_URL"),
        ("service", "the service that DATABASE_URL names is in no service file: see PGSERVICEFILE"),
        ("session is", "no server there is of the kind that target_session_attrs in DATABASE_URL asks for"),
        ("invalid response", "what listens there is not PostgreSQL: fix host and port in DATABASE_URL"),
        ("invalid", "DATABASE_URL has an invalid value"),
        ("ssl", "client and server do not agree on SSL: see sslmode in DATABASE_URL"),
    ):
        if phrase in message:
            return reason
    return "the connection was lost, or the server does not answer"
