"""A database of whatever state → one of this program's own revision, or a sentence that says what is in the way."""

from pathlib import Path

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from etl.db.engine import DatabaseProblem, describe, reachable, sqlstate

MIGRATIONS = Path(__file__).resolve().parent.parent.parent / "migrations"
MIGRATION_LOCK = 0x63616C6C686F7573  # the bytes of "callhous", as good a name for an advisory lock as any
OLDEST_SERVER = 15
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
    require_server(version, str(connection.scalar(text("SELECT current_setting('server_encoding')"))))


def require_server(version: int, encoding: str) -> None:
    """Raise :class:`DatabaseProblem` where a server of this major version and encoding cannot hold the warehouse."""
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


def reader_may_read(db: Engine) -> bool:
    """Whether the role that BI tools read as is there and may read."""
    with reachable(db) as connection:
        return bool(connection.scalar(MAY_READ))
