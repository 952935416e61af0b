"""Raw payloads through the transformer again: what the program would make of them today, without any network."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Row, text

from etl import loader
from etl.batch import Counts, arrival
from etl.decode import decode
from etl.extractors import providers
from etl.loader import Entry, Writing
from etl.merge import changes
from etl.reader import Reader
from etl.stream import Malformed, Provider, Reject, Source, TranscriptNotReady, Turn
from etl.transformer import to_call

BATCH = 500  # calls

KEYS = text("""
    SELECT call_key FROM warehouse.calls WHERE source = :source AND call_key > :after ORDER BY call_key LIMIT :batch
""")
# Every version of every record of some calls, in the order in which they came; of several that came with one answer the
# one that was held in the end comes last.
RECORDS = text("""
    SELECT r.call_key, r.kind, r.digest, r.seq, r.payload
      FROM raw.records r JOIN warehouse.calls c USING (call_key)
     WHERE call_key = ANY(:keys)
     ORDER BY r.call_key, r.seq, r.kind, r.digest = c.record_digest, r.digest
""")
TURNS = text("""
    SELECT call_key, speaker, text, spoken_at, offset_seconds
      FROM warehouse.turns WHERE call_key = ANY(:keys) ORDER BY call_key, turn_index
""")
NIL = uuid.UUID(int=0)


class Held(NamedTuple):
    """What the warehouse holds of a call: its row, its turns, and the versions of its records."""

    row: Mapping[str, Any]
    turns: tuple[Turn, ...]
    versions: Sequence[Row[Any]]


@dataclass(slots=True)
class Difference:
    """What a replay changes: how many calls, how often each column, and an example of each."""

    calls: int = 0
    changed: int = 0
    columns: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)  # the key of one call per column

    def note(self, entry: Entry) -> None:
        """Take one call's differences in."""
        before = entry.before or {}
        found = changes(before, entry.row)
        if entry.turns is not None:
            found.append(("transcript", f"{before['turn_count']} turns", f"{len(entry.turns)} turns"))
        self.calls += 1
        self.changed += bool(found)
        for column, *_ in found:
            self.columns[column] += 1
            self.examples.setdefault(column, str(entry.row["call_key"]))


def replay(reader: Reader, difference: Difference) -> None:
    """Write what today's transformer makes of a source's raw payloads, call by call."""
    after: uuid.UUID | None = NIL
    while after:
        reader.take_turn()
        with reader.lease.transaction() as connection:  # raw is read under it too: nobody else adds to it meanwhile
            calls = _calls(connection, reader.source, after)
            _replay(connection, reader, calls, difference)
        after = calls[-1].row["call_key"] if calls else None
        reader.progress("replay", difference.calls, None)


def _replay(connection: Connection, reader: Reader, calls: Sequence[Held], difference: Difference) -> None:
    writing = reader.writing()
    entries = [rebuilt(writing, reader.provider, reader.source, held) for held in calls]
    for entry in entries:
        difference.note(entry)
    changed = [entry for entry in entries if loader.differs(entry)]
    reader.write(connection, writing, changed, Counts(received=len(calls), unchanged=len(calls) - len(changed)))


def compare(db: Engine, source: Source, difference: Difference) -> None:
    """The same without writing anything."""
    provider = providers()[source.provider]
    writing = Writing(source.name, source.provider, None, datetime.now(UTC))
    after: uuid.UUID | None = NIL
    while after:
        with db.connect() as connection:
            calls = _calls(connection, source, after)
        for held in calls:
            difference.note(rebuilt(writing, provider, source, held))
        after = calls[-1].row["call_key"] if calls else None


def _calls(connection: Connection, source: Source, after: uuid.UUID) -> list[Held]:
    keys = connection.scalars(KEYS, {"source": source.name, "after": after, "batch": BATCH}).all()
    rows, turns, versions = loader.rows_of(connection, keys), defaultdict(list), defaultdict(list)
    for key, *turn in connection.execute(TURNS, {"keys": keys}):
        turns[key].append(Turn(*turn))
    for version in connection.execute(RECORDS, {"keys": keys}):
        versions[version.call_key].append(version)
    return [Held(rows[key], tuple(turns[key]), versions[key]) for key in keys]


def rebuilt(writing: Writing, provider: Provider, source: Source, held: Held) -> Entry:
    """The row that a call's versions make, folded in their order, as an entry over the row that is held."""
    row: Mapping[str, Any] | None = None
    entry: Entry | None = None
    turns: tuple[Turn, ...] | None = None
    for version in held.versions:
        if version.kind == "transcript":
            turns = _turns(provider, version.payload) or turns
            continue
        came = arrival(provider, source, bytes(version.payload), version.seq)
        call = to_call(provider, source, came.parsed, came.record.payload) if came.parsed is not None else None
        if call is None or isinstance(call, Reject):
            continue
        entry = loader.enter(writing, held.row["call_key"], row, call, came.record)
        turns = entry.turns if entry.turns is not None else turns
        row = entry.row
    if entry is None:  # nothing of it can be read any more: the row stays as it is
        return Entry(held.row, dict(held.row))
    return _over(held, entry, turns)


def _turns(provider: Provider, payload: bytes) -> tuple[Turn, ...] | None:
    if provider.transcript is None:
        return None
    try:
        return provider.transcript.read(decode(bytes(payload)))
    except (Malformed, TranscriptNotReady):
        return None


KEPT = ("first_seen_at", "changed_at", "missing_since", "seen_seq", "record_digest", "turns_digest")


def _over(held: Held, last: Entry, turns: tuple[Turn, ...] | None) -> Entry:
    """The rebuilt row and turns, where they are others than those that are there, whatever the row says of them."""
    said = turns or held.turns
    row = {**last.row, **{name: held.row[name] for name in KEPT}, "turn_count": len(said), "has_transcript": bool(said)}
    entry = Entry(held.row, row, None, last.records)
    if turns and turns != held.turns:
        entry.turns, row["turns_digest"] = turns, loader.turns_digest(turns)
    return entry
