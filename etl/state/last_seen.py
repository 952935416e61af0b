"""When stored calls were last received again, and which of them are no longer listed."""

from collections.abc import Mapping
from datetime import datetime
from operator import attrgetter
from uuid import UUID

from sqlalchemy import Connection

from etl.db.engine import uuid_array
from etl.db.statements import Statements, execute
from etl.loader.batch import WriteContext
from etl.model import Window

SQL = Statements("calls")


def touch(connection: Connection, writing: WriteContext, seals: Mapping[UUID, int | None]) -> None:
    """Store that calls were received again, each with the seal of its bytes."""
    if known := sorted(seals, key=attrgetter("int")):  # as keys are sorted, without a comparison in Python
        values = {"keys": uuid_array(known), "seals": f"{{{','.join([str(seals[key] or 'NULL') for key in known])}}}"}
        execute(connection, SQL.touch_calls, values | {"now": writing.now, "run_id": writing.run_id})


def mark_delisted(
    connection: Connection, writing: WriteContext, partition: str, window: Window, began: datetime
) -> int:
    """Mark the stored calls of a stream and window that were not received since ``began`` → their number.

    Only after a complete scan: one that is certain to have read all that the provider lists in the window.
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
    return execute(connection, SQL.mark_delisted, values)
