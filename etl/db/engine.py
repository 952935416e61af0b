"""A PostgreSQL URL into connections that behave: UTC, bounded, and with errors that show no data."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import URL, Connection, Engine, create_engine, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(float_hook=Decimal)


def json_bytes(value: Any) -> bytes:
    """A value of a jsonb column as JSON, its numbers exact."""
    return _encoder.encode(value)


def as_json(value: Any) -> str:
    """The same as text."""
    return json_bytes(value).decode()


def uuid_array(keys: Iterable[UUID]) -> str:
    """Keys as the text of an array, for ``CAST(… AS uuid[])``: psycopg takes ten times as long over a list of them."""
    return "{" + ",".join([key.hex for key in keys]) + "}"


class DatabaseProblem(Exception):
    """The database cannot be used as it is; the text says what is wrong and what to do, and shows no data of it."""


def sqlalchemy_url(url: str) -> URL:
    """The URL as SQLAlchemy takes it, with psycopg 3 as its driver."""
    try:
        parsed = make_url(url)
    except SQLAlchemyError:
        raise DatabaseProblem("DATABASE_URL is no URL: write postgresql://user:password@host:5432/database") from None
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise DatabaseProblem("DATABASE_URL is not a PostgreSQL URL: it has to begin with postgresql://")
    return parsed.set(drivername="postgresql+psycopg")


def open_engine(url: str) -> Engine:
    """Connections to one database; sessions run in UTC, and a process that sleeps in a transaction loses it."""
    return create_engine(
        sqlalchemy_url(url),
        hide_parameters=True,
        json_serializer=as_json,
        json_deserializer=_decoder.decode,
        pool_pre_ping=True,
        pool_size=10,
        max_overflow=20,
        connect_args={
            "connect_timeout": 10,
            "application_name": "callhouse",
            "options": "-c timezone=UTC -c idle_in_transaction_session_timeout=120s -c lock_timeout=60s",
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "prepare_threshold": 3,
        },
    )


def sqlstate(error: BaseException) -> str | None:
    """The five characters that say what went wrong, where the server said so."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return getattr(cause, "sqlstate", None)


def describe(error: BaseException) -> str:
    """A database error as one sentence without any value of a row: its SQLSTATE, constraint and column."""
    cause: Any = error.orig if isinstance(error, DBAPIError) else error
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
    """A connection, or a :class:`DatabaseProblem` that says why there is none."""
    where = f"{db.url.host or 'local socket'}:{db.url.port or 5432}, database {db.url.database!r}"
    try:
        connection = db.connect()
    except DBAPIError as error:
        raise DatabaseProblem(f"the database at {where} cannot be used: {_why(error)}") from None
    with connection:
        yield connection


def _why(error: DBAPIError) -> str:
    said = str(error.orig).lower()  # read for its kind only: a driver's text may quote pieces of the URL
    for sign, sentence in (
        ("password authentication failed", "the server refuses this user and password: mend them in DATABASE_URL"),
        ("no password supplied", "the server asks for a password: put it into DATABASE_URL"),
        ("does not exist", "it, or its user, does not exist there: create it, or mend the name in DATABASE_URL"),
        ("pg_hba.conf", "the server lets nobody in from here: see its pg_hba.conf"),
        ("no such file", "nothing listens there: start the server, or mend the host in DATABASE_URL"),
        ("refused", "nothing listens there: start the server, or mend host and port in DATABASE_URL"),
        ("timeout", "no answer within 10 s: mend host and port in DATABASE_URL"),
        ("resolve", "its host name is unknown: mend the host in DATABASE_URL"),
        ("name or service", "its host name is unknown: mend the host in DATABASE_URL"),
        ("too many", "it has no connection left: raise max_connections, or close some"),
        ("invalid", "DATABASE_URL has a parameter that PostgreSQL does not know, or a wrong value for one"),
        ("starting up", "it is starting up: try again in a moment"),
        ("ssl", "the two do not agree about SSL: see sslmode in DATABASE_URL"),
    ):
        if sign in said:
            return sentence
    return f"{describe(error)}"
