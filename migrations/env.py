"""Alembic's migrations, run one process at a time and all or nothing."""

import os
from typing import Any

from alembic import context
from sqlalchemy import Connection, text

from etl.db import objects
from etl.db.engine import open_engine
from etl.db.revisions import MIGRATION_LOCK
from etl.db.tables import SCHEMAS, metadata

# The role of those who only read; each `etl migrate` sees to it, so that an administrator's grant is not needed twice.
# Another database of the cluster may create it at the same moment. Where this user may not create roles, the migration
# goes on, and the command says what to run.
READER = """
DO $$
BEGIN
    BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'bi_reader') THEN
            CREATE ROLE bi_reader NOLOGIN;
        END IF;
    EXCEPTION
        WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN NULL;
    END;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'bi_reader') THEN
        GRANT USAGE ON SCHEMA bi TO bi_reader;
        GRANT SELECT ON ALL TABLES IN SCHEMA bi TO bi_reader;
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN NULL;
END
$$
"""


def include_name(name: str | None, type_: str, _parents: Any) -> bool:
    """Compare our own schemas only: a database may hold other people's."""
    return type_ != "schema" or name in SCHEMAS


def migrate(connection: Connection) -> None:
    """Take the lock before the revision is read: of several processes one migrates, the others find it done."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table_schema="ops",
        include_schemas=True,
        include_name=include_name,
        autogenerate_plugins=objects.AUTOGENERATE,
    )
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        objects.create_schemas(connection)
        is_behind = set(context.get_context().get_current_heads()) != set(context.script.get_heads())
        if is_behind:
            objects.create_functions(connection)
        context.run_migrations()
        if is_behind:
            objects.create_views(connection)
        connection.execute(text(READER))


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
elif "DATABASE_URL" not in os.environ:
    raise SystemExit("set DATABASE_URL, or run `etl migrate`, which also knows the embedded PostgreSQL")
else:
    with open_engine(os.environ["DATABASE_URL"]).connect() as own:
        migrate(own)
        own.commit()
