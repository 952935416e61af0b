"""What records held that nobody expected, counted per source and field, and said once."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, literal_column
from sqlalchemy.dialects.postgresql import insert

from etl.db.tables import drift as table
from etl.loader.writer import Writing
from etl.model import Drift


def note(connection: Connection, writing: Writing, drifts: Iterable[Drift]) -> list[Drift]:
    """Count what was noticed in a batch; what was never noticed before comes back, to be said."""
    new = []
    for drift, times in sorted(Counter(drifts).items()):
        found: Row[Any] = connection.execute(
            insert(table)
            .values(
                source=writing.source,
                **drift._asdict(),
                seen=times,
                first_seen_at=writing.now,
                last_seen_at=writing.now,
            )
            .on_conflict_do_update(
                constraint="pk_drift", set_={"seen": table.c.seen + times, "last_seen_at": writing.now}
            )
            .returning(literal_column("xmax = 0").label("is_new"))
        ).one()
        if found.is_new:
            new.append(drift)
    return new
