"""What the warehouse has of one stream: which calls, how many in a span, and what waits in quarantine."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from etl.db.engine import uuid_array
from etl.db.statements import Statements, fetch_all, fetch_value
from etl.loader.batch import ReceivedRecord, read_received
from etl.state import quarantine, removed_calls, streams
from etl.state.streams import StreamState
from etl.sync.completeness import is_foreign
from etl.sync.run import SourceRun

SQL = Statements("calls")


class LocalCalls:
    """The stored calls of one stream; queried anew each time, as other processes may write meanwhile."""

    def __init__(self, run: SourceRun, partition: str) -> None:
        self._run, self._db, self._partition = run, run.deps.db, partition
        self.waiting: dict[Hashable, datetime | None] = {}  # records in quarantine in place of a call, and their time
        self.load_quarantine()

    @property
    def undated_quarantined(self) -> int:
        """The number of waiting records whose time is not known."""
        return sum(at is None for at in self.waiting.values())

    def load_quarantine(self) -> None:
        """Read which records wait in quarantine."""
        provider, source = self._run.provider, self._run.source
        with self._db.connect() as connection:
            payloads = quarantine.payloads_waiting(connection, source.name)
            records = (read_received(provider, source, payload, 0) for payload in payloads)
            self.waiting = {
                key_of(record): record.created_at
                for record in records
                if not is_foreign(self._run, self._partition, record)
            }

    def count(self, start: datetime, end: datetime) -> int:
        """The number of calls of a span that are stored, wait or were removed."""
        waiting = sum(at is not None and start <= at < end for at in self.waiting.values())
        stream = StreamState(self._run.source.name, self._partition)
        with self._db.connect() as connection:
            return streams.count_stored(connection, stream, start, before=end) + waiting

    def between(self, start: datetime, end: datetime) -> Mapping[Hashable, datetime]:
        """The stored and removed calls of a span, and when they were created."""
        return {row.call_key: row.created_at for row in self._in_span(start, end)}

    def times(self, start: datetime, end: datetime) -> Sequence[datetime]:
        """When the stored and removed calls of a span were created, oldest first."""
        return [row.created_at for row in self._in_span(start, end)]

    def oldest(self) -> datetime | None:
        """When the oldest call of the stream was created, delisted or not."""
        with self._db.connect() as connection:
            oldest: datetime | None = fetch_value(connection, SQL.oldest_call_at, self._stream_key())
            return oldest

    def not_stored(self, records: Sequence[ReceivedRecord]) -> dict[Hashable, ReceivedRecord]:
        """The records whose call is neither stored nor waits, whatever time it has."""
        return {key_of(r): r for r in records if r.stored_seq is None and key_of(r) not in self.waiting}

    def stored(self, keys: Sequence[Hashable]) -> set[Hashable]:
        """Which of some calls are stored."""
        values = {"keys": uuid_array(key for key in keys if isinstance(key, UUID))}
        with self._db.connect() as connection:
            return {row.call_key for row in fetch_all(connection, SQL.stored_keys, values)}

    def erased(self) -> Mapping[UUID, datetime]:
        """The calls of erased people that are listed, as far as is known, and when they were created."""
        with self._db.connect() as connection:
            return removed_calls.erased_in(connection, **self._stream_key())

    def removed(self, keys: Collection[Hashable]) -> set[Hashable]:
        """Which of some calls were removed here, for a person or their age."""
        with self._db.connect() as connection:
            return removed_calls.among(connection, [key for key in keys if isinstance(key, UUID)])

    def _in_span(self, start: datetime, end: datetime) -> Sequence[Any]:
        with self._db.connect() as connection:
            return fetch_all(connection, SQL.calls_in_span, {**self._stream_key(), "start": start, "end": end})

    def _stream_key(self) -> dict[str, str]:
        return {"source": self._run.source.name, "partition": self._partition}


def key_of(record: ReceivedRecord) -> Hashable:
    """The identity of a record: the key of its call, or its content if it names none."""
    return record.key or record.digest
