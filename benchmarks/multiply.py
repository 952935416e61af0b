"""The calls of a database, multiplied in SQL: more of the same shapes, at other times, under other ids."""

from typing import Any

import psycopg

# Another place in the last ten months for each copy; none is newer than the newest but 30 days.
SHIFT = "(interval '30 days' + mod(n * 39607::bigint, 25920000) * interval '1 second')"
KEY = "md5(c.call_key::text || n)::uuid"

COLUMNS = """
    SELECT column_name, data_type = 'timestamp with time zone' FROM information_schema.columns
     WHERE table_schema = 'warehouse' AND table_name = 'calls' ORDER BY ordinal_position
"""


def multiply(connection: psycopg.Connection[Any], copies: int, *, turns: bool, at_once: int = 10) -> None:
    """Add so many copies of each call that is held, with its turns if these are wanted."""
    listed = connection.execute(COLUMNS).fetchall()
    names = ", ".join(f'"{name}"' for name, _ in listed)
    values = ", ".join(_value(name, is_time) for name, is_time in listed)
    connection.execute("CREATE TEMP TABLE held AS TABLE warehouse.calls")
    connection.execute("CREATE TEMP TABLE said AS TABLE warehouse.transcripts")
    connection.execute("ANALYZE held, said")
    for first in range(1, copies + 1, at_once):
        span = [first, min(first + at_once - 1, copies)]
        some = f"INSERT INTO warehouse.calls ({names}) SELECT {values} FROM held c, generate_series(%s::int, %s::int) n"  # noqa: S608
        connection.execute(some, span)
        if turns:
            connection.execute(
                f"INSERT INTO warehouse.transcripts SELECT {KEY}, speakers, said, times"  # noqa: S608
                " FROM said c, generate_series(%s::int, %s::int) n",
                span,
            )
        connection.commit()
    connection.commit()


def _value(name: str, is_time: bool) -> str:
    if name == "call_key":
        return KEY
    if name == "provider_call_id":
        return "provider_call_id || '-' || n"
    return f'c."{name}" - {SHIFT}' if is_time and name not in ("first_seen_at", "changed_at") else f'c."{name}"'
