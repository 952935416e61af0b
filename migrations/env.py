"""The environment of the revisions: one process at a time applies them, in one transaction."""

import os
from typing import Any

from alembic import context
from sqlalchemy import Connection, text

from etl.db import objects
from etl.db.connections import open_engine
from etl.db.revisions import MIGRATION_LOCK
from etl.db.tables import SCHEMAS, metadata

# Creates the roles that read and grants them what they read, at every migration, so that new views are readable too.
# Another database of the cluster may create a role at the same moment. Where this user may not create roles or grant,
# the migration continues, and the command prints what an administrator has to run.
READERS = """
DO $$
DECLARE
    reader text;
    shown text;
BEGIN
    FOR reader, shown IN VALUES ('bi_reader', 'bi'), ('bi_pii', 'bi_pii') LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = reader) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', reader);
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN NULL;
        END;
        BEGIN
            IF EXISTS (SELECT FROM pg_roles WHERE rolname = reader) THEN
                EXECUTE format('GRANT USAGE ON SCHEMA %I, bi TO %I', shown, reader);
                EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO %I', shown, reader);
                EXECUTE format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA %I, warehouse TO %I', shown, reader);
            END IF;
        EXCEPTION
            WHEN insufficient_privilege THEN NULL;
        END;
    END LOOP;
END
$$
"""


def include_name(name: str | None, type_: str, _parents: Any) -> bool:
    """Compare the schemas of Callhouse only: a database may have others."""
    return type_ != "schema" or name in SCHEMAS


def migrate(connection: Connection) -> None:
    """Apply the missing revisions, under a lock: of several processes one migrates and the others wait for it."""
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
        connection.execute(text(READERS))


connection = context.config.attributes.get("connection")
if connection is not None:
    migrate(connection)
elif "DATABASE_URL" not in os.environ:
    raise SystemExit("set DATABASE_URL, or run `etl migrate`, which also knows the embedded PostgreSQL")
else:
    with open_engine(os.environ["DATABASE_URL"]).connect() as connection:
        migrate(connection)
        connection.commit()
