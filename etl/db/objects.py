"""Functions, views, triggers and comments: the files in ``migrations/sql``, re-created whenever a revision is applied.

A revision changes tables only. To change one of these files takes a revision too, even an empty one.
"""

import re
from itertools import chain

from sqlalchemy import Connection

from etl.db import masking
from etl.db.statements import MIGRATIONS, Statements, fetch_all
from etl.db.tables import QUEUE, SCHEMAS

SQL = MIGRATIONS / "sql"
QUERIES = Statements("comments")
VERBATIM = {"no_parameters": True}  # a file may have several statements, and percent signs
AUTOGENERATE = ["alembic.autogenerate.*", "~alembic.autogenerate.comments"]  # comments are files, not part of a table


def create_schemas(connection: Connection) -> None:
    """Create the schemas that are missing: a user without the right to create any can still migrate."""
    existing = set(connection.exec_driver_sql("SELECT nspname FROM pg_namespace").scalars())
    for schema in (*SCHEMAS, QUEUE):
        if schema not in existing:
            connection.exec_driver_sql(f"CREATE SCHEMA {schema}")


def create_queue(connection: Connection) -> None:
    """Create the tables of the queue of jobs."""
    connection.exec_driver_sql((SQL / "queue.sql").read_text("utf-8"), execution_options=VERBATIM)


def create_functions(connection: Connection) -> None:
    """Create text search and functions, before the revisions run: indexes need them, and they need no table."""
    _run_files(connection, "configurations")
    _run_files(connection, "functions")


def create_views(connection: Connection) -> None:
    """Create views, triggers and comments, after the revisions ran."""
    for kind in ("views", "triggers", "comments"):
        _run_files(connection, kind)
    files = chain((SQL / "views").glob("*.sql"), (SQL / "comments").glob("*.sql"))
    described = [name for path in files for name in re.findall(r"COMMENT ON COLUMN (\S+) IS", path.read_text("utf-8"))]
    values = {"schemas": list(SCHEMAS), "described": described}
    for row in fetch_all(connection, QUERIES.inherited_comments, values):
        masking.comment(connection, f"COLUMN {row.name}", row.comment)
    masking.create_masked_views(connection)
    _run_files(connection, "snapshots")


def _run_files(connection: Connection, kind: str) -> None:
    for path in sorted((SQL / kind).glob("*.sql")):
        connection.exec_driver_sql(path.read_text("utf-8"), execution_options=VERBATIM)
