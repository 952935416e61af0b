"""A database → its views for BI tools, with what their comments say."""

from typing import NamedTuple

from sqlalchemy import Engine, text

COLUMNS = text("""
    SELECT c.relname AS view, obj_description(c.oid) AS view_meaning, a.attname AS name,
           format_type(a.atttypid, a.atttypmod) AS type, col_description(c.oid, a.attnum) AS meaning
      FROM pg_class c
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
     WHERE c.relnamespace = 'bi'::regnamespace AND c.relkind = 'v'
     ORDER BY c.relname, a.attnum
""")


class Column(NamedTuple):
    """A column and its comment."""

    name: str
    type: str
    meaning: str

    @property
    def title(self) -> str:
        """The name as a heading: agent_id → Agent ID."""
        return self.name.replace("_", " ").capitalize().replace(" id", " ID").replace(" url", " URL")


class View(NamedTuple):
    """A view and its comment."""

    name: str
    meaning: str
    columns: dict[str, Column]


def read(db: Engine) -> dict[str, View]:
    """The views of the schema ``bi``, by name."""
    views: dict[str, View] = {}
    with db.connect() as connection:
        for row in connection.execute(COLUMNS):
            view = views.setdefault(row.view, View(row.view, row.view_meaning, {}))
            view.columns[row.name] = Column(row.name, row.type, row.meaning)
    return views
