"""A view of ``bi`` or ``bi_pii`` → its columns, the days that it has, and its rows in batches."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from etl.db.statements import Statements, fetch_all

SQL = Statements("export")
BATCH_ROWS = 5_000
ORDERED_BY = 3  # columns: the keys of every view are among its first
AS_TEXT = ("uuid", "jsonb")  # what no file format has a type for
LEFT_OUT = ("tsvector",)  # of use to PostgreSQL alone


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a view; ``type`` as PostgreSQL names it."""

    name: str
    type: str
    comment: str


class Days(NamedTuple):
    """A range of days, the last one exclusive; without an end it is open."""

    first: date | None
    end: date | None


@dataclass(frozen=True, slots=True)
class View:
    """A view, and where the day of a row comes from: its own column, or the call that it is of."""

    schema: str
    name: str
    columns: tuple[Column, ...]
    day: str | None  # local_date or day; None: its rows have no day

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


def views(connection: Connection, schema: str) -> list[str]:
    """The names of the views of a schema."""
    return [row.name for row in fetch_all(connection, SQL.views, {"schema": schema})]


def describe_view(connection: Connection, schema: str, name: str) -> View:
    """A view that exists; columns that no file can have are left out."""
    rows = fetch_all(connection, SQL.columns, {"view": f"{schema}.{name}"})
    columns = tuple(Column(row.name, row.type, row.comment or "") for row in rows if row.type not in LEFT_OUT)
    names = {column.name for column in columns}
    day = "day" if "day" in names else "local_date" if names & {"local_date", "call_key"} else None
    return View(schema, name, columns, day)


def begin_snapshot(connection: Connection) -> None:
    """Let everything that follows in this transaction read the state of one moment."""
    fetch_all(connection, SQL.begin_snapshot)


def days(connection: Connection, view: View, asked: Days) -> dict[date, str]:
    """The days of a view, each with a fingerprint that changes with its rows.

    Of calls and what belongs to them: how many there are, how many are settled or delisted, and when the last one
    changed. Of metrics: all that they say.
    """
    of_calls = "count(*), count(r.settled_at), count(r.delisted_at), max(r.changed_at)"
    of_rows = "md5(string_agg(md5(CAST(r AS text)), '' ORDER BY md5(CAST(r AS text))))"
    query = sql.SQL(
        "SELECT {day}, concat_ws(' ', {parts}) FROM {relation} r WHERE {condition} GROUP BY 1 ORDER BY 1"
    ).format(
        day=_day(view, "r"),
        parts=sql.SQL(of_rows if view.day == "day" else of_calls),
        relation=sql.Identifier(view.schema, "calls" if view.day == "local_date" else view.name),
        condition=_within(view, "r", asked),
    )
    with _errors_without_values():
        return dict(_driver(connection).execute(query, asked._asdict()).fetchall())


def read(connection: Connection, view: View, asked: Days) -> Iterator[Sequence[tuple[Any, ...]]]:
    """The rows in batches, in an order that depends on nothing but the rows; uuid and jsonb as text, numbers exact."""
    is_of_call = view.day == "local_date" and "local_date" not in {column.name for column in view.columns}
    joined = sql.SQL(" JOIN {} r USING (call_key)").format(sql.Identifier(view.schema, "calls"))
    query = sql.SQL("SELECT {columns} FROM {relation} v{joined} WHERE {condition} ORDER BY {order}").format(
        columns=sql.SQL(", ").join(map(_selected, view.columns)),
        relation=sql.Identifier(view.schema, view.name),
        joined=joined if is_of_call else sql.SQL(""),
        condition=_within(view, "r" if is_of_call else "v", asked),
        order=sql.SQL(", ").join(sql.SQL(str(n + 1)) for n in range(min(len(view.columns), ORDERED_BY))),
    )
    with _errors_without_values(), _driver(connection).cursor(name="export") as cursor:
        cursor.execute(query, asked._asdict())
        while rows := cursor.fetchmany(BATCH_ROWS):
            yield rows


def _selected(column: Column) -> sql.Composable:
    name = sql.Identifier("v", column.name)
    return sql.SQL("CAST({} AS text)").format(name) if column.type in AS_TEXT else name


def _within(view: View, alias: str, asked: Days) -> sql.Composable:
    """The condition for some days; of calls also a wider range of created_at, which has an index, for any time zone."""
    conditions: list[sql.Composable] = [sql.SQL("true")]
    for name, comparison, room in (("first", ">=", "- 1"), ("end", "<", "+ 1")):
        if view.day and getattr(asked, name):
            bound = sql.SQL("CAST({} AS date)").format(sql.Placeholder(name))
            conditions.append(sql.SQL(f"{{}} {comparison} {{}}").format(_day(view, alias), bound))
            if view.day == "local_date":
                instant = f"{alias}.created_at {comparison} CAST({{}} {room} AS timestamp) AT TIME ZONE 'UTC'"
                conditions.append(sql.SQL(instant).format(bound))
    return sql.SQL(" AND ").join(conditions)


def _day(view: View, alias: str) -> sql.Composable:
    return sql.Identifier(alias, view.day or "")


def _driver(connection: Connection) -> psycopg.Connection[Any]:
    driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
    return driver


@contextmanager
def _errors_without_values() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise DBAPIError(None, None, error, hide_parameters=True) from None
