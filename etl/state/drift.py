"""What records held that nobody expected, counted per source and field, and said once."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, literal_column
from sqlalchemy.dialects.postgresql import insert

from etl.db.tables import schema_drift as table
from etl.loader.writer import WriteContext
from etl.model import Drift


def record(connection: Connection, writing: WriteContext, drifts: Iterable[Drift]) -> list[Drift]:
    """Count what was noticed in a batch; what was never noticed before comes back, to be said."""
    new = []
    for drift, times in sorted(Counter(drifts).items()):
        found: Row[Any] = connection.execute(
            insert(table)
            .values(
                source=writing.source,
                **drift._asdict(),
                record_count=times,
                first_seen_at=writing.now,
                last_seen_at=writing.now,
            )
            .on_conflict_do_update(
                constraint="pk_schema_drift",
                set_={"record_count": table.c.record_count + times, "last_seen_at": writing.now},
            )
            .returning(literal_column("xmax = 0").label("is_new"))
        ).one()
        if found.is_new:
            new.append(drift)
    return new
