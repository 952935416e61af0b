"""A PostgreSQL URL → connections whose settings are fixed here, whatever role, database, server and environment set."""

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import URL, Engine, QueuePool, create_engine, event

from etl.db.engine import DatabaseProblem, as_json, server_message

SILENCE_SECONDS = 240.0  # longer than a statement takes; the daemon gives up a run that is silent for five minutes
MIGRATION_SECONDS = 6 * 3600.0
# What the meaning of our statements depends on. Names are found in pg_catalog only: in a schema that others may create
# objects in, an operator or function of theirs would be called with our rights.
FIXED = {
    "quote_all_identifiers": "off",  # first: it changes how the next one is stored
    "search_path": "pg_catalog, pg_temp",
    "client_encoding": "'UTF8'",
    "DateStyle": "'ISO, MDY'",
    "IntervalStyle": "postgres",
    "TimeZone": "'UTC'",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "row_security": "on",
    "exit_on_error": "off",
    "gin_fuzzy_search_limit": "0",
    "default_transaction_isolation": "'read committed'",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "default_tablespace": "''",
    "default_table_access_method": "heap",
    "idle_session_timeout": "0",  # a session waits as long as a provider's Retry-After
}
# How long a session may take; ``options`` in DATABASE_URL may say otherwise.
LIMITS = {
    "statement_timeout": "0",
    "lock_timeout": "'60s'",
    "idle_in_transaction_session_timeout": "'120s'",
    "transaction_timeout": "0",
}
SINCE = {"transaction_timeout": 170000}  # the server_version that brought a setting
# Defaults of the URL's own parameters.
PARAMETERS = {
    "application_name": "callhouse",
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "prepare_threshold": 3,
}
# libpq sends these at the start of a session, where an invalid one ends it. All are settings that are fixed here.
ENVIRONMENT = ("PGCLIENTENCODING", "PGDATESTYLE", "PGTZ")

POLL_SECONDS = 0.2

_is_impatient = ContextVar("_is_impatient", default=False)
_decoder = msgspec.json.Decoder(float_hook=Decimal)


def sqlalchemy_url(url: str) -> URL:
    """The URL as libpq reads it, several hosts and ``service`` included, for SQLAlchemy with psycopg as its driver."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise DatabaseProblem("DATABASE_URL is not a URL: write postgresql://user:password@host:5432/database")
    if scheme.partition("+")[0] not in ("postgresql", "postgres"):
        raise DatabaseProblem("DATABASE_URL is not a PostgreSQL URL: it must start with postgresql://")
    where, mark, query = rest.partition("?")
    query = re.sub(r"(?<==)[^&]+", lambda value: value[0].replace("=", "%3D"), query)  # options=-c name=value
    try:
        given: dict[str, Any] = conninfo_to_dict(f"postgresql://{where}{mark}{query}")
    except psycopg.ProgrammingError:  # its message may quote the password
        raise DatabaseProblem(
            "DATABASE_URL is not a URL that PostgreSQL's client library can read: it has a parameter that PostgreSQL "
            "does not know, or a special character in user or password that is not written as %XX"
        ) from None
    known = {ours: given.pop(theirs, None) for ours, theirs in (("username", "user"), ("password", "password"))}
    if not re.search(r"[,/@]", f"{given.get('host', '/')}{given.get('port', '')}"):  # one host, and no socket
        known |= {"host": given.pop("host"), "port": int(given.pop("port", 0)) or None}
    return URL.create("postgresql+psycopg", database=given.pop("dbname", None), query=given, **known)


class _BoundedConnection(psycopg.Connection[Any]):
    """Ends where the server does not answer in time: a stuck pooler or a firewall would keep its client for ever."""

    silence_seconds = SILENCE_SECONDS

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for the answer to one command."""
        try:
            return super().wait(gen, interval, timeout or self.silence_seconds)
        except psycopg.errors._WaitTimeout:
            if timeout is None:
                self.pgconn.finish()
            raise


def open_engine(url: str, silence_seconds: float = SILENCE_SECONDS) -> Engine:
    """Connections to one database, to read and to write; one whose server does not answer for so long ends."""
    return make_engine(sqlalchemy_url(url), silence_seconds=silence_seconds, pool_size=5, max_overflow=25)


def make_engine(
    url: URL,
    settings: Mapping[str, str] | None = None,
    parameters: Mapping[str, Any] | None = None,
    *,
    silence_seconds: float,
    patience_seconds: float = 60.0,
    **pool: Any,
) -> Engine:
    """Connections to one database with other settings beside the fixed ones, and other defaults for the URL's own."""
    db = create_engine(
        url, hide_parameters=True, json_serializer=as_json, json_deserializer=_decoder.decode, pool_pre_ping=True,
        use_native_hstore=False, poolclass=_PatientPool, **pool,
    )  # fmt: skip
    in_url = str(url.query.get("options", ""))
    limits = {name: value for name, value in LIMITS.items() if f"{name}=" not in in_url}
    connector = _Connector(FIXED | limits | dict(settings or {}), PARAMETERS | dict(parameters or {}))
    connector.silence_seconds, connector.patience_seconds = silence_seconds, patience_seconds
    event.listen(db, "do_connect", connector.connect)
    return db


@contextmanager
def impatient() -> Iterator[None]:
    """Connect at once or not at all."""
    token = _is_impatient.set(True)
    try:
        yield
    finally:
        _is_impatient.reset(token)


class _Refused(psycopg.OperationalError):
    """A server that has let us in before refuses another connection: there may be one later."""

    def __init__(self, patience_seconds: float, message: str) -> None:
        super().__init__(message)
        self.patience_seconds = patience_seconds


class _PatientPool(QueuePool):
    """Waits for a connection of the server's as for one of its own, and keeps none that comes back after its end."""

    _sqla_logger_namespace = "sqlalchemy.pool"  # not among our own logs
    _is_disposed = False

    def dispose(self) -> None:
        """Close the connections that are in the pool now, and the others when they come back: no one else will."""
        self._is_disposed = True
        super().dispose()

    def _do_return_conn(self, record: Any) -> None:
        if self._is_disposed:
            record.close()
        else:
            super()._do_return_conn(record)

    def connect(self) -> Any:
        """A connection of the pool, or a new one."""
        began = time.monotonic()
        while True:
            try:
                return super().connect()
            except _Refused as refused:
                if time.monotonic() - began >= refused.patience_seconds:
                    raise
                time.sleep(POLL_SECONDS)


class _Connector:
    """Connects one engine."""

    silence_seconds, patience_seconds = SILENCE_SECONDS, 60.0

    def __init__(self, settings: Mapping[str, str], defaults: Mapping[str, Any]) -> None:
        self._settings, self._defaults = settings, defaults
        self._has_connected = False

    def connect(self, _dialect: Any, _record: Any, _args: Any, given: dict[str, Any]) -> psycopg.Connection[Any]:
        """Connect and set up the session, unless a pooler has none for us."""
        parameters = {**self._defaults, **given, "client_encoding": "UTF8"}
        connection = self._connect(parameters)
        connection.silence_seconds = self.silence_seconds
        try:
            if not self._has_connected:
                _require_own_session(connection, parameters)
                self._has_connected = True
            _set_up(connection, self._settings)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self, parameters: Mapping[str, Any]) -> _BoundedConnection:
        """One more connection; a server that has too few, starts up or shuts down may have one later.

        Until its language is known, a server's message is all that tells why it refuses: what is wrong for good, such
        as a password, shows at the first connection.
        """
        for name in ENVIRONMENT:
            os.environ.pop(name, None)
        try:
            return _BoundedConnection.connect(**parameters, autocommit=True)
        except psycopg.OperationalError as error:
            if self._has_connected and server_message(error):
                raise _Refused(0 if _is_impatient.get() else self.patience_seconds, str(error)) from None
            raise


def _require_own_session(connection: psycopg.Connection[Any], parameters: Mapping[str, Any]) -> None:
    """Raise where a pooler hands each transaction to any server session, before a setting of ours is left in one.

    A pooler gives its clients process ids of its own. In transaction mode two clients then see the same server process,
    or one sees several.
    """
    if connection.info.backend_pid == _backend_pid(connection):
        return
    with _BoundedConnection.connect(**parameters, autocommit=True) as other:
        seen = [(_backend_pid(connection), _backend_pid(connection), _backend_pid(other)) for _ in range(4)]
    first, second, others = (set(pids) for pids in zip(*seen, strict=True))
    if len(first | second) > 1 or first & others:
        raise DatabaseProblem(
            "DATABASE_URL leads to a connection pooler that hands out server sessions by transaction or by statement: "
            "leases, locks and settings need a session. Set the pooler to session mode for this database and user "
            "(PgBouncer: pool_mode=session), or connect to the server itself"
        )


def _backend_pid(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT pg_catalog.pg_backend_pid()", prepare=False).fetchone()
    return int(row[0]) if row else 0


def _set_up(connection: psycopg.Connection[Any], settings: Mapping[str, str]) -> None:
    """Set up a session by statements, in one round trip: poolers refuse most settings as startup parameters."""
    version = connection.info.server_version
    known = [f"SET {name} TO {value}" for name, value in settings.items() if SINCE.get(name, 0) <= version]
    statements = "; ".join([*known, "SHOW session_replication_role"])
    if connection.execute(statements.encode()).set_result(-1).fetchone() != ("origin",):
        _run_triggers(connection)
    connection.autocommit = False


def _run_triggers(connection: psycopg.Connection[Any]) -> None:
    """Let triggers run, which sum up the calls: a role or database may be set up not to, for replication."""
    try:
        connection.execute("SET session_replication_role TO origin")
    except psycopg.errors.InsufficientPrivilege:
        raise DatabaseProblem(
            "session_replication_role of this user is not origin, so that no trigger runs, and the user may not change "
            f'it: ask an administrator to run: ALTER ROLE "{connection.info.user}" RESET session_replication_role; or '
            "the same for the database"
        ) from None
