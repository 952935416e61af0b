"""The calls of a database, multiplied in SQL: more of the same shapes, at other times, under other ids."""

from typing import Any

import psycopg

EACH = 39_607  # seconds
# Copies are older than 30 days, the oldest first, as a sync would have stored them, and as dense whatever their number:
# each copy holds every call, in eleven hours of its own.
SHIFT = f"(interval '30 days' + (n * {EACH} + mod(age, {EACH}) - age) * interval '1 second')"
KEY = "md5(c.call_key::text || n)::uuid"
CUSTOMER = (
    f"md5(c.customer_id::text || (n - age / {EACH}))::uuid"  # new customers, with the same gaps between their calls
)

COLUMNS = """
    SELECT column_name, data_type = 'timestamp with time zone' FROM information_schema.columns
     WHERE table_schema = 'warehouse' AND table_name = 'calls' ORDER BY ordinal_position
"""


def multiply(connection: psycopg.Connection[Any], copies: int, *, turns: bool, copies_per_statement: int = 10) -> None:
    """Add ``copies`` of each stored call, with its turns if ``turns``."""
    columns = connection.execute(COLUMNS).fetchall()
    names = ", ".join(f'"{name}"' for name, _ in columns)
    values = ", ".join(_value(name, is_time) for name, is_time in columns)
    connection.execute(
        "CREATE TEMP TABLE original_calls AS"
        " SELECT *, extract(epoch FROM max(created_at) OVER () - created_at)::bigint AS age FROM warehouse.calls"
    )
    connection.execute("CREATE TEMP TABLE original_transcripts AS TABLE warehouse.transcripts")
    connection.execute("ANALYZE original_calls, original_transcripts")
    for last in range(copies, 0, -copies_per_statement):
        span = [max(1, last - copies_per_statement + 1), last]
        connection.execute(
            f"INSERT INTO warehouse.calls ({names})"  # noqa: S608
            f" SELECT {values} FROM original_calls c, generate_series(%s::int, %s::int) n ORDER BY n DESC",
            span,
        )
        if turns:
            connection.execute(
                f"INSERT INTO warehouse.transcripts SELECT {KEY}, speakers, texts, times, customer_name"  # noqa: S608
                " FROM original_transcripts c, generate_series(%s::int, %s::int) n ORDER BY n DESC",
                span,
            )
        connection.commit()
    connection.commit()


def _value(name: str, is_time: bool) -> str:
    if name == "call_key":
        return KEY
    if name == "provider_call_id":
        return "provider_call_id || '-' || n"
    if name == "customer_id":
        return CUSTOMER
    return f'c."{name}" - {SHIFT}' if is_time and name not in ("first_seen_at", "changed_at") else f'c."{name}"'
