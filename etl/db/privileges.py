"""A migrated database → what an administrator has to grant to the user that writes to it."""

import re

from sqlalchemy import Connection

from etl.db.statements import MIGRATIONS, QUERIES, Statements, fetch_all, fetch_one
from etl.db.tables import QUEUE, SCHEMAS

SQL = Statements("privileges")
NEEDED_CONNECTIONS = 3  # a run's own, one to write with, one to ask with
CONNECTIONS_PER_SOURCE = 2


def missing_grants(connection: Connection) -> list[str]:
    """The statements that give the user what it needs, names quoted: rights, and connections."""
    sources = [path.read_text("utf-8") for folder in (QUERIES, MIGRATIONS / "sql") for path in folder.rglob("*.sql")]
    functions = sorted(set(re.findall(r"\b([a-z_]\w*)\(", "".join(sources))))
    rows = fetch_all(connection, SQL.missing_grants, {"schemas": [*SCHEMAS, QUEUE], "functions": functions})
    return [row.statement for row in rows]


def connections(connection: Connection) -> tuple[int, str]:
    """How many connections the user may have, and what an administrator raises to give it more."""
    row = fetch_one(connection, SQL.connection_limit)
    return row.connections, row.setting
