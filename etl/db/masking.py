"""``migrations/sql/masking.toml`` → the masked views of ``bi``, one for each view of ``bi_pii``."""

import tomllib
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from etl.db.engine import DatabaseProblem
from etl.db.statements import MIGRATIONS, Statements, fetch_all

SQL = Statements("comments")
TABLE: Mapping[str, Any] = tomllib.loads((MIGRATIONS / "sql" / "masking.toml").read_text("utf-8"))
VERBATIM = {"no_parameters": True}


def create_masked_views(connection: Connection) -> None:
    """Create a masked view for each view of bi_pii: the same columns and comments, personal data masked."""
    columns = defaultdict[str, list[Any]](list)
    for row in fetch_all(connection, SQL.public_columns):
        columns[row.view].append(row)
    if unmasked := [
        f"{view}.{row.name}" for view, rows in columns.items() for row in rows if not kind_of(view, row.name)
    ]:
        raise DatabaseProblem(f"masking.toml does not say how bi shows {', '.join(unmasked)}: nothing was changed")
    for view, rows in columns.items():
        kinds = {row.name: kind_of(view, row.name) for row in rows}
        shown = ", ".join(f"{expression(name, kind)} AS {name}" for name, kind in kinds.items())
        _execute(connection, TABLE["view"].format(view=view, columns=shown))
        comment(connection, f"VIEW bi.{view}", rows[0].view_comment)
        for row in rows:
            masked = TABLE["kinds"][kinds[row.name]].get("comment")
            comment(connection, f"COLUMN bi.{view}.{row.name}", ". ".join(filter(None, (row.comment, masked))))


def expression(column: str, kind: str) -> str:
    """How a masked view shows a column of the view beside it, which it calls ``v``."""
    calls = {each: ", ".join(f"'{name}'" for name in names.split()) for each, names in TABLE["views"]["calls"].items()}
    values = {"value": f"v.{column}", "keys": TABLE["keys"], "customer_name": TABLE["customer_name"]}
    return str(TABLE["kinds"][kind]["expression"].format(**calls | values))


def kind_of(view: str, column: str) -> str:
    """How a view of bi shows a column; empty where the table does not say."""
    shown = TABLE["views"].get(view, {})
    own = next((kind for kind, names in shown.items() if column in names.split()), "")
    return own or (kind_of(shown["like"], column) if "like" in shown else "")


def comment(connection: Connection, of: str, text: str) -> None:
    """Comment on a table, view or column."""
    quoted = text.replace("'", "''")
    _execute(connection, f"COMMENT ON {of} IS '{quoted}'")


def _execute(connection: Connection, statement: str) -> None:
    connection.exec_driver_sql(statement, execution_options=VERBATIM)
