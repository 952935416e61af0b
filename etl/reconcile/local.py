"""The warehouse → what it holds of one list: how many calls of a span, which, and what waits in quarantine."""

from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text

from etl.db.engine import uuid_array
from etl.loader.batch import ReceivedRecord, read_received
from etl.state import quarantine, streams
from etl.state.streams import StreamState
from etl.sync.completeness import is_foreign
from etl.sync.run import SourceRun

CALLS = """
      FROM warehouse.calls
     WHERE source = :source AND delisted_at IS NULL
       AND (CAST(:partition AS text) = '' OR :partition IN (from_number, to_number))
       AND created_at >= :start AND created_at < :end
"""
EACH = text(f"SELECT call_key, created_at {CALLS}")
TIMES = text(f"SELECT created_at {CALLS} ORDER BY created_at")
OLDEST = text("""
    SELECT min(created_at) AS oldest FROM warehouse.calls
     WHERE source = :source AND (CAST(:partition AS text) = '' OR :partition IN (from_number, to_number))
""")
HERE = text("SELECT call_key FROM warehouse.calls WHERE call_key = ANY(CAST(:keys AS uuid[]))")


class LocalCalls:
    """What is held of one list of a source; asked anew each time, as others may write meanwhile."""

    def __init__(self, run: SourceRun, partition: str) -> None:
        self._reader, self._db, self._phone = run, run.deps.db, partition
        self.waiting: dict[Hashable, datetime | None] = {}
        self.look_at_quarantine()

    @property
    def floating(self) -> int:
        """How many records wait whose time is not known."""
        return sum(at is None for at in self.waiting.values())

    def look_at_quarantine(self) -> None:
        """Note which records wait in place of a call, and of which time."""
        provider, source = self._reader.provider, self._reader.source
        with self._db.connect() as connection:
            payloads = quarantine.payloads_waiting(connection, source.name)
        found = [read_received(provider, source, payload, 0) for payload in payloads]
        ours = [each for each in found if not is_foreign(self._reader, self._phone, each)]
        self.waiting = {key_of(each): each.created_at for each in ours}

    def count(self, start: datetime, end: datetime) -> int:
        """How many calls of a span are held or wait."""
        waiting = sum(at is not None and start <= at < end for at in self.waiting.values())
        stream = StreamState(self._reader.source.name, self._phone)
        with self._db.connect() as connection:
            return streams.count_stored(connection, stream, start, before=end) + waiting

    def between(self, start: datetime, end: datetime) -> Mapping[Hashable, datetime]:
        """The calls of a span that are held, and when they were created."""
        return {row.call_key: row.created_at for row in self._all(EACH, start, end)}

    def times(self, start: datetime, end: datetime) -> Sequence[datetime]:
        """When the calls of a span were created, oldest first."""
        return [row.created_at for row in self._all(TIMES, start, end)]

    def oldest(self) -> datetime | None:
        """When the oldest call of the list was created, whether or not it is still listed."""
        with self._db.connect() as connection:
            found: datetime | None = connection.scalar(OLDEST, self._of_list())
            return found

    def lacks(self, arrivals: Sequence[ReceivedRecord]) -> dict[Hashable, ReceivedRecord]:
        """Those of some records whose call is neither held nor waits, whatever time it is said to be of."""
        here = self.holds([each.key for each in arrivals if each.key])
        return {key_of(each): each for each in arrivals if each.key not in here and key_of(each) not in self.waiting}

    def holds(self, keys: Sequence[Hashable]) -> set[Hashable]:
        """Which of some calls are held."""
        with self._db.connect() as connection:
            return set(connection.scalars(HERE, {"keys": uuid_array(key for key in keys if isinstance(key, UUID))}))

    def _all(self, query: TextClause, start: datetime, end: datetime) -> Sequence[Any]:
        with self._db.connect() as connection:
            return connection.execute(query, {**self._of_list(), "start": start, "end": end}).all()

    def _of_list(self) -> dict[str, str]:
        return {"source": self._reader.source.name, "partition": self._phone}


def key_of(each: ReceivedRecord) -> Hashable:
    """What tells one record from another: its call's key, or its content where it names none."""
    return each.key or each.record.digest
