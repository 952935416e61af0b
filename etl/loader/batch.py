"""Pages as received → entries, rejects and counts: what one transaction will write."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, NamedTuple

from etl.decode import read_record
from etl.loader.writer import RawRecord, RowChange, WriteContext, call_key, has_changes, plan_row
from etl.model import InvalidResponse, Page, Provider, RecordContext, Reject, Source
from etl.transformer import read_identity, transform_record


class StoredVersion(NamedTuple):
    """What the warehouse holds of a call before its record is read: its content, by digest, and which request's."""

    digest: bytes | None
    seq: int


class ReceivedRecord(NamedTuple):
    """One record as received: read as far as to know whose it is and whether its content is known."""

    record: RawRecord
    reading: RecordContext | None
    call_id: str | None
    key: uuid.UUID | None
    created_at: datetime | None
    flaw: str | None = None


def read_received(provider: Provider, source: Source, payload: bytes, seq: int) -> ReceivedRecord:
    """Read a record's id, time and content digest; a record that is none arrives with its flaw."""
    try:
        parsed, digest = read_record(payload)
    except InvalidResponse as flaw:
        digest = hashlib.blake2b(payload, digest_size=16).digest()
        return ReceivedRecord(RawRecord("call", digest, seq, payload), None, None, None, None, str(flaw))
    reading = read_identity(provider, source, parsed)
    key = call_key(source.name, reading.call_id) if reading.call_id else None
    return ReceivedRecord(
        RawRecord("call", digest, seq, payload), reading, reading.call_id, key, reading.row["created_at"]
    )


@dataclass(slots=True)
class Counts:
    """What became of the records received; the last four add up to ``received``."""

    pages: int = 0
    received: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    quarantined: int = 0

    def add(self, other: "Counts") -> None:
        """Take another's counts in."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def count(self, entry: RowChange) -> None:
        """Count what an entry did to the warehouse."""
        changed = has_changes(entry)
        self.inserted += entry.before is None
        self.updated += entry.before is not None and changed
        self.unchanged += entry.before is not None and not changed

    def as_dict(self) -> dict[str, int]:
        """The counts by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(slots=True)
class Batch:
    """The arrivals of some pages, and what was held of them when they came."""

    provider: Provider
    source: Source
    received: list[ReceivedRecord] = field(default_factory=list)
    stored: dict[uuid.UUID, StoredVersion] = field(default_factory=dict)
    pages: int = 0
    size: int = 0

    def add_page(self, page: Page, seq: int) -> Sequence[ReceivedRecord]:
        """Take a page in; its arrivals."""
        new = [read_received(self.provider, self.source, payload, seq) for payload in page.records]
        self.received += new
        self.pages += 1
        self.size += sum(len(payload) for payload in page.records)
        return new

    def stored_version(self, each: ReceivedRecord) -> StoredVersion | None:
        """What was held of an arrival's call when it came."""
        return self.stored.get(each.key) if self.stored and each.key else None

    def changed_keys(self) -> set[uuid.UUID]:
        """The calls among the arrivals whose content is not the one held."""
        return {
            a.key
            for a in self.received
            if a.key and (held := self.stored_version(a)) and held.digest != a.record.digest
        }

    def unchanged(self, rejects: Sequence[Reject]) -> set[str]:
        """The ids of calls that came as they are held, and of which no record was rejected."""
        same = {
            a.call_id
            for a in self.received
            if a.call_id and (held := self.stored_version(a)) and held.digest == a.record.digest
        }
        return same - {reject.provider_call_id for reject in rejects}

    def plan_writes(
        self, writing: WriteContext, rows: Mapping[uuid.UUID, Mapping[str, Any]], seen: set[bytes]
    ) -> tuple[list[RowChange], list[Reject], Counts]:
        """What becomes of each arrival.

        ``rows`` are the held rows of the calls that :meth:`unknown` names; ``seen`` remembers the rejects of the run:
        a record seen again in a run is unchanged.
        """
        counts = Counts(pages=self.pages, received=len(self.received))
        entries: dict[str | None, RowChange] = {}
        rejects: list[Reject] = []
        for each in self.received:
            known = entries.get(each.call_id)
            found = self._enter(writing, each, known, rows)
            if found is None:
                counts.unchanged += 1
            elif isinstance(found, RowChange):
                counts.unchanged += known is not None  # one call, two records: it counts once
                entries[each.call_id] = found
            else:
                counts.unchanged += each.record.digest in seen
                counts.quarantined += each.record.digest not in seen
                rejects += [found] if each.record.digest not in seen else []
                seen.add(each.record.digest)
        return list(entries.values()), rejects, counts

    def _enter(
        self,
        writing: WriteContext,
        each: ReceivedRecord,
        known: RowChange | None,
        rows: Mapping[uuid.UUID, Mapping[str, Any]],
    ) -> RowChange | Reject | None:
        if each.reading is None or each.key is None:
            return Reject(each.flaw or "the record has no usable id", each.record.payload)
        held = self.stored_version(each)
        digest = known.records[-1].digest if known else held.digest if held else None
        if digest == each.record.digest:
            return None
        call = transform_record(self.provider, each.reading, each.record.payload)
        if isinstance(call, Reject):
            return call
        before = known.row if known else rows.get(each.key) if held else None
        return _joined(known, plan_row(writing, each.key, before, call, each.record))


def _joined(known: RowChange | None, new: RowChange) -> RowChange:
    """One entry for a call that came twice with different content."""
    if known is None:
        return new
    turns = new.turns if new.turns is not None else known.turns
    return RowChange(known.before, new.row, turns, known.records + new.records, known.drift + new.drift)
