"""When calls that are held came again, and which of them no longer came although their whole list was read."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, text

from etl.db.engine import uuid_array
from etl.loader.writer import WriteContext
from etl.model import Window

AGAIN = text("""
    INSERT INTO ops.call_last_seen (call_key, seen_at, run_id)
    SELECT unnest(CAST(:keys AS uuid[])), :now, :run_id
        ON CONFLICT (call_key) DO UPDATE SET seen_at = excluded.seen_at, run_id = excluded.run_id
""")

# A call that came since then was inserted, or sighted.
GONE = text("""
    WITH gone AS (
        UPDATE warehouse.calls c SET delisted_at = :now, changed_at = :now
         WHERE c.source = :source AND c.delisted_at IS NULL AND c.created_at >= :start AND c.created_at < :end
           AND (CAST(:partition AS text) = '' OR :partition IN (c.from_number, c.to_number))
           AND c.first_seen_at < :began
           AND NOT EXISTS (SELECT FROM ops.call_last_seen s WHERE s.call_key = c.call_key AND s.seen_at >= :began)
        RETURNING call_key
    )
    INSERT INTO warehouse.changes (call_key, changed_at, run_id, field, new_value)
    SELECT call_key, :now, :run_id, 'delisted_at', :since FROM gone
""")


def touch(connection: Connection, writing: WriteContext, keys: Iterable[UUID]) -> None:
    """Note that calls that were held already came again."""
    if known := sorted(keys):
        connection.execute(AGAIN, {"keys": uuid_array(known), "now": writing.now, "run_id": writing.run_id})


def mark_delisted(
    connection: Connection, writing: WriteContext, partition: str, window: Window, began: datetime
) -> int:
    """Mark the held calls of a list and window that did not come since ``began``; how many they are.

    Only after a walk that is certain to have met all that the provider lists there.
    """
    values = {
        "source": writing.source,
        "partition": partition,
        "start": window.start,
        "end": window.end,
        "began": began,
        "now": writing.now,
        "since": writing.now.isoformat(),
        "run_id": writing.run_id,
    }
    return connection.execute(GONE, values).rowcount
