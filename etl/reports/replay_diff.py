"""Stored raw payloads → what a replay changes, or would change, column by column."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Engine

from etl.loader.batch import WriteContext
from etl.loader.plan import RowChange
from etl.model import Source
from etl.state import registry
from etl.sync.replay import FIRST, rebuild_next


@dataclass(slots=True)
class ReplayDiff:
    """What a replay changes: how many calls, how often each column, and an example of each."""

    calls: int = 0
    changed: int = 0
    columns: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)  # the key of one call per column

    def add(self, changes: Sequence[RowChange]) -> None:
        """Add the changes of some calls."""
        for change in changes:
            columns = dict.fromkeys([name for name, *_ in change.fields] + ["transcript"] * (change.turns is not None))
            self.calls += 1
            self.changed += bool(columns)
            self.columns.update(columns.keys())
            for column in columns:
                self.examples.setdefault(column, str(change.row["call_key"]))


def compare(db: Engine, source: Source, difference: ReplayDiff) -> None:
    """Find what a replay of a source would change, without writing anything."""
    with db.connect() as connection:
        ctx = WriteContext(source.name, source.provider, None, datetime.now(UTC), registry.masking_key(connection))
    after: int | None = FIRST
    while after is not None:
        with db.connect() as connection:
            changes, after = rebuild_next(connection, ctx, source, after)
        difference.add(changes)
