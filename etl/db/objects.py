"""Views, functions, triggers and comments: re-created from their present definitions whenever a revision is applied.

Revisions change tables only. Views, functions and triggers are the files in ``migrations/sql``, one object a file, and
the comments of tables are those in ``etl.db.tables``. Changing one of them takes a revision too, even an empty one.
"""

import re

from sqlalchemy import Connection, text
from sqlalchemy.schema import SetColumnComment, SetTableComment

from etl.db.revisions import MIGRATIONS
from etl.db.tables import SCHEMAS, call_rollup_daily, calls, changes, metadata

SQL = MIGRATIONS / "sql"
DESCRIBED_IN = (calls, changes, call_rollup_daily)
VERSION_TABLE = {
    "TABLE ops.alembic_version": "The revision of this database: the version of its tables, views and functions",
    "COLUMN ops.alembic_version.version_num": "The newest revision that was applied",
}


def create_schemas(connection: Connection) -> None:
    """Create the schemas that are missing: a user who may not create any can still migrate where they exist."""
    for schema, comment in SCHEMAS.items():
        if connection.scalar(text("SELECT to_regnamespace(:schema)"), {"schema": schema}) is None:
            connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
            _comment(connection, f"SCHEMA {schema}", comment)


def create_functions(connection: Connection) -> None:
    """Create functions before the revisions run: indexes use them, and they need no table to be created."""
    _run_files(connection, "functions")


def create_views(connection: Connection) -> None:
    """Create views, triggers and all comments after the revisions ran."""
    _run_files(connection, "views")
    _run_files(connection, "triggers")
    for table in metadata.sorted_tables:
        connection.execute(SetTableComment(table))
        for column in table.columns:
            connection.execute(SetColumnComment(column))
    for name, comment in VERSION_TABLE.items():
        _comment(connection, name, comment)
    _comment_views(connection)


def _run_files(connection: Connection, kind: str) -> None:
    for path in sorted((SQL / kind).glob("*.sql")):
        connection.exec_driver_sql(path.read_text(), execution_options={"no_parameters": True})


def _comment_views(connection: Connection) -> None:
    """Give a view's column the comment of the table's column by its name, unless the view's file has one."""
    described = {
        name
        for path in (SQL / "views").glob("*.sql")
        for name in re.findall(r"^COMMENT ON COLUMN (\S+) IS", path.read_text(), re.MULTILINE)
    }
    columns = connection.scalars(
        text(
            "SELECT format('%s.%s.%s', table_schema, table_name, column_name) FROM information_schema.columns"
            " JOIN information_schema.views USING (table_schema, table_name) WHERE table_schema = ANY(:schemas)"
        ),
        {"schemas": list(SCHEMAS)},
    ).all()
    for column in columns:
        name = column.rpartition(".")[2]
        if column not in described:
            comment = next((table.c[name].comment for table in DESCRIBED_IN if name in table.c), None)
            _comment(connection, f"COLUMN {column}", comment or "")


def _comment(connection: Connection, name: str, comment: str) -> None:
    quoted = comment.replace("'", "''")
    connection.exec_driver_sql(f"COMMENT ON {name} IS '{quoted}'", execution_options={"no_parameters": True})
