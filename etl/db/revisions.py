"""A database in any state → one at this version's revision, or a message that says what is in the way."""

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from etl.db.engine import INSUFFICIENT_PRIVILEGE, DatabaseProblem, describe, reachable, sqlstate
from etl.db.privileges import missing_grants
from etl.db.statements import MIGRATIONS, Statements, fetch_one, fetch_value

SQL = Statements("server")
MIGRATION_LOCK = 0x63616C6C686F7573  # the bytes of "callhous": a key for an advisory lock
OLDEST_SERVER = 15
READERS = {"bi_reader": "bi", "bi_pii": "bi_pii"}  # the roles of BI tools, and the schema that each reads


def known_revisions() -> list[str]:
    """The revisions of this version, oldest first, from the names of their files.

    Alembic gives the same (a test compares), but its import takes longer than a whole run with nothing new.
    """
    revisions = sorted(file.name.partition("_")[0] for file in MIGRATIONS.glob("versions/[0-9]*.py"))
    if not revisions:
        raise DatabaseProblem("this installation has no migrations: install it again")
    return revisions


def head_revision() -> str:
    """The newest revision of this version."""
    return known_revisions()[-1]


def stored_revision(connection: Connection) -> str | None:
    """The revision of the database, ``None`` if it was never migrated."""
    if fetch_value(connection, SQL.version_table) is None:
        return None
    revision: str | None = fetch_value(connection, SQL.revision)
    return revision


def require_revision(db: Engine) -> None:
    """Raise :class:`DatabaseProblem` unless there is a database that this version works with."""
    with reachable(db) as connection:
        require_compatible(connection)


def require_compatible(connection: Connection) -> None:
    """Raise :class:`DatabaseProblem` unless a database is at this version's revision, or at a newer one that allows it.

    Versions may so differ while machines are upgraded one after the other, the database first.
    """
    _require_server(connection)
    stored, head, name = stored_revision(connection), head_revision(), fetch_value(connection, SQL.database)
    if stored is None:
        raise DatabaseProblem(f"database {name!r} is not migrated: run `etl migrate`")
    if _is_newer_and_compatible(connection, stored):
        return
    _require_known(stored)
    if stored != head:
        raise DatabaseProblem(
            f"database {name!r} is at revision {stored}, this version needs revision {head}: run `etl migrate`"
        )


def _is_newer_and_compatible(connection: Connection, stored: str) -> bool:
    known = known_revisions()
    if stored <= known[-1] or fetch_value(connection, SQL.has_compatible_since) is None:
        return False
    return fetch_value(connection, SQL.compatible_since) in known


def migrate(db: Engine, *, allow_other_tables: bool = False) -> tuple[str | None, str]:
    """Bring the database to the newest revision, one process at a time → the revisions before and after.

    All in one transaction. A database with other tables is refused, unless ``allow_other_tables``.
    """
    with reachable(db) as connection:
        try:
            with connection.begin():
                _require_server(connection)
                fetch_value(connection, SQL.set_lock_timeout)
                fetch_value(connection, SQL.lock_migration, {"lock": MIGRATION_LOCK})
                before = stored_revision(connection)
                if before is None and not allow_other_tables:
                    _require_empty(connection)
                _require_known(before)
                _upgrade(connection)
                after = stored_revision(connection)
        except DBAPIError as error:
            raise DatabaseProblem(_why_not_migrated(connection, error)) from None
    return before, after or ""


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _why_not_migrated(connection: Connection, error: DBAPIError) -> str:
    name = fetch_value(connection, SQL.database)
    missing = "; ".join(missing_grants(connection)) if sqlstate(error) == INSUFFICIENT_PRIVILEGE else ""
    hint = {
        INSUFFICIENT_PRIVILEGE: f"ask an administrator to run: {missing};"
        if missing
        else "use the owner of its tables",
        "42P06": "it has a schema raw, warehouse, ops, bi_pii, bi or queue of another program; use another database",
        "42P07": "it has a table of ours that another program created; use another database",
        "55P03": "another process has a lock that this needs; try again when it has ended",
        "25006": "the server is read-only: set DATABASE_URL to the primary",
    }.get(sqlstate(error) or "")
    reason = hint or f"{describe(error)}; nothing was changed; fix it and try again"
    return f"database {name!r} could not be migrated: {reason}"


def _require_server(connection: Connection) -> None:
    server = fetch_one(connection, SQL.server)
    require_server(server.version, server.encoding)


def require_server(version: int, encoding: str) -> None:
    """Raise :class:`DatabaseProblem` if a server of this major version and encoding cannot have the warehouse."""
    if version < OLDEST_SERVER:
        raise DatabaseProblem(f"the server is PostgreSQL {version}: {OLDEST_SERVER} or newer is needed")
    if encoding != "UTF8":
        raise DatabaseProblem(f"the database's encoding is {encoding}: create one with ENCODING 'UTF8'")


def _require_known(revision: str | None) -> None:
    if revision is not None and revision not in known_revisions():
        raise DatabaseProblem(
            f"the database is at revision {revision}, which this version does not know (its newest is revision "
            f"{head_revision()}): install the version of Callhouse that fits, most likely a newer one"
        )


def _require_empty(connection: Connection) -> None:
    table = fetch_value(connection, SQL.foreign_table)
    if table is not None:
        raise DatabaseProblem(
            f"the database has tables of something else ({table}): set DATABASE_URL to another one, or run "
            "`etl migrate --allow-other-tables` to add Callhouse's six schemas alongside"
        )


def unable_readers(db: Engine) -> str | None:
    """Which roles of BI tools do not exist or may not read, and what an administrator has to run, if there are any."""
    with reachable(db) as connection:
        found = [fetch_one(connection, SQL.reader, {"role": role, "schema": READERS[role]}) for role in READERS]
    unable = [row for row in found if not row.can_read]
    grants = [
        f"{'' if exists else f'CREATE ROLE {role} NOLOGIN; '}"
        f"GRANT USAGE ON SCHEMA {', '.join(sorted({schema, 'bi'}))} TO {role}; "
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}; "
        f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema}, warehouse TO {role};"
        for role, schema, exists, _ in unable
    ]
    which = f"{' and '.join(row.role for row in unable)}, for BI tools, cannot read, and this user may not grant it"
    return f"{which}; ask an administrator to run: {' '.join(grants)}" if unable else None
