"""Functions, views, triggers and comments: the files in ``migrations/sql``, re-created whenever a revision is applied.

A revision changes tables only. To change one of these files takes a revision too, even an empty one.
"""

import re
from itertools import chain

from sqlalchemy import Connection, text

from etl.db.revisions import MIGRATIONS
from etl.db.tables import SCHEMAS

SQL = MIGRATIONS / "sql"
VERBATIM = {"no_parameters": True}  # a percent sign is one, and a file may have several statements
AUTOGENERATE = ["alembic.autogenerate.*", "~alembic.autogenerate.comments"]  # comments are files, no part of a table
# A column without a comment of its own takes that of the column by its name in the first of these tables that has one.
UNDESCRIBED = text("""
    SELECT format('%s.%s.%s', n.nspname, r.relname, a.attname) AS name, described.comment
      FROM pg_class r
      JOIN pg_namespace n ON n.oid = r.relnamespace AND n.nspname = ANY(:schemas)
      JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
     CROSS JOIN LATERAL (
           SELECT col_description(t.attrelid, t.attnum) AS comment
             FROM unnest(ARRAY['warehouse.calls', 'warehouse.changes', 'warehouse.call_rollup_daily']::regclass[])
                  WITH ORDINALITY source(relation, place)
             JOIN pg_attribute t ON t.attrelid = source.relation AND t.attname = a.attname
            ORDER BY place LIMIT 1) described
     WHERE r.relkind IN ('r', 'v') AND format('%s.%s.%s', n.nspname, r.relname, a.attname) <> ALL(:described)
""")


def create_schemas(connection: Connection) -> None:
    """Create the schemas that are missing: a user without the right to create any can still migrate."""
    for schema in SCHEMAS:
        if connection.scalar(text("SELECT to_regnamespace(:schema)"), {"schema": schema}) is None:
            connection.exec_driver_sql(f"CREATE SCHEMA {schema}")


def create_functions(connection: Connection) -> None:
    """Create functions, before the revisions run: indexes need them, and they need no table to be created."""
    _run_files(connection, "functions")


def create_views(connection: Connection) -> None:
    """Create views, triggers and comments, after the revisions ran."""
    for kind in ("views", "triggers", "comments"):
        _run_files(connection, kind)
    files = chain((SQL / "views").glob("*.sql"), (SQL / "comments").glob("*.sql"))
    described = [name for path in files for name in re.findall(r"COMMENT ON COLUMN (\S+) IS", path.read_text())]
    for row in connection.execute(UNDESCRIBED, {"schemas": list(SCHEMAS), "described": described}).all():
        quoted = row.comment.replace("'", "''")
        connection.exec_driver_sql(f"COMMENT ON COLUMN {row.name} IS '{quoted}'", execution_options=VERBATIM)


def _run_files(connection: Connection, kind: str) -> None:
    for path in sorted((SQL / kind).glob("*.sql")):
        connection.exec_driver_sql(path.read_text(), execution_options=VERBATIM)
