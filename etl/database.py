"""A PostgreSQL URL into connections that behave: UTC, bounded, and with errors that show no data."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import URL, Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
MIGRATION_LOCK = 0x63616C6C686F7573  # the bytes of "callhous", as good a name for an advisory lock as any
OLDEST_SERVER = 15

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


def engine(url: str) -> Engine:
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


def known_revisions() -> list[str]:
    """The revisions that this program knows, oldest first, by the names of their files.

    Alembic would say the same (a test asks it), but to import it costs more than a whole run with nothing new.
    """
    revisions = sorted(file.name.partition("_")[0] for file in MIGRATIONS.glob("versions/[0-9]*.py"))
    if not revisions:
        raise DatabaseProblem("this installation has no migrations: install it again")
    return revisions


def head_revision() -> str:
    """The newest revision that this program knows."""
    return known_revisions()[-1]


def held_revision(connection: Connection) -> str | None:
    """The revision of the database, ``None`` where it was never migrated."""
    if connection.scalar(text("SELECT to_regclass('ops.alembic_version')")) is None:
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM ops.alembic_version"))
    return revision


def require_revision(db: Engine) -> None:
    """Refuse to run on a database of another revision, saying both."""
    with reachable(db) as connection:
        _require_server(connection)
        held, head = held_revision(connection), head_revision()
    name = db.url.database
    if held is None:
        raise DatabaseProblem(f"database {name!r} is not migrated: run `etl migrate`")
    _require_known(held)
    if held != head:
        raise DatabaseProblem(
            f"database {name!r} is of revision {held}, this program of revision {head}: run `etl migrate`"
        )


def migrate(db: Engine, *, beside_others: bool = False) -> tuple[str | None, str]:
    """Bring the database to the newest revision, one process at a time: the revisions before and after.

    All in one transaction. A database that holds tables of something else is refused unless ``beside_others``.
    """
    with reachable(db) as connection:
        try:
            _require_server(connection)
            connection.execute(text("SET LOCAL lock_timeout = '10min'"))  # another process may be migrating
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
            before = held_revision(connection)
            if before is None and not beside_others:
                _require_empty(connection)
            _require_known(before)
            _upgrade(connection)
            after = held_revision(connection)
            connection.commit()
        except DBAPIError as error:
            raise DatabaseProblem(_why_not_migrated(db, error)) from None
    return before, after or ""


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _why_not_migrated(db: Engine, error: DBAPIError) -> str:
    name, said = db.url.database, describe(error)
    mend = {
        "42501": f"let an administrator run: GRANT CREATE ON DATABASE {name} TO {db.url.username}; or use its owner",
        "42P06": "a schema raw, warehouse, ops or bi of something else is there; use another database",
        "42P07": "a table of ours is there already, made by something else; use another database",
        "55P03": "another process holds a lock that this needs; try again when it has ended",
        "25006": "the server is read-only: name the primary in DATABASE_URL",
    }.get(sqlstate(error) or "", "nothing was changed; mend it and try again")
    return f"database {name!r} could not be migrated: {said}; {mend}"


def _require_server(connection: Connection) -> None:
    version = int(connection.scalar(text("SELECT current_setting('server_version_num')::int / 10000")) or 0)
    encoding = connection.scalar(text("SELECT current_setting('server_encoding')"))
    if version < OLDEST_SERVER:
        raise DatabaseProblem(f"the server is PostgreSQL {version}: {OLDEST_SERVER} or newer is needed")
    if encoding != "UTF8":
        raise DatabaseProblem(f"the database's encoding is {encoding}: create one with ENCODING 'UTF8'")


def _require_known(revision: str | None) -> None:
    if revision is not None and revision not in known_revisions():
        raise DatabaseProblem(
            f"the database is of revision {revision}, which this program does not know (its newest is revision "
            f"{head_revision()}): install the version of Callhouse that fits, most likely a newer one"
        )


def _require_empty(connection: Connection) -> None:
    stranger = connection.scalar(
        text(
            "SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables"
            " WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_schema NOT LIKE 'pg\\_%'"
            " AND table_type = 'BASE TABLE' ORDER BY 1 LIMIT 1"
        )
    )
    if stranger is not None:
        raise DatabaseProblem(
            f"the database holds tables of something else ({stranger}): name another one in DATABASE_URL, or run "
            "`etl migrate --beside-others` to put Callhouse's four schemas beside them"
        )


GRANT_BY_HAND = (
    "the role bi_reader, which BI tools read as, cannot read yet, and this user may not see to it; let an "
    "administrator run: CREATE ROLE bi_reader NOLOGIN; GRANT USAGE ON SCHEMA bi TO bi_reader; "
    "GRANT SELECT ON ALL TABLES IN SCHEMA bi TO bi_reader;"
)
MAY_READ = text("""
    SELECT EXISTS (SELECT FROM pg_roles
                    WHERE rolname = 'bi_reader' AND has_schema_privilege(oid, 'bi', 'USAGE')
                      AND has_table_privilege(oid, 'bi.calls', 'SELECT'))
""")


def reader_may_read(db: Engine) -> bool:
    """Whether the role that BI tools read as is there and may read."""
    with reachable(db) as connection:
        return bool(connection.scalar(MAY_READ))
