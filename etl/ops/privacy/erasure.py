"""A person → what is stored of them removed, source by source, and what the provider still holds.

A tombstone is stored first: from then on no run stores anything of the person. Then each source's calls are removed
under its lease, a few hundred in a transaction. A process that is killed leaves ``completed_at`` null: the next command
that loads goes on.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine

from etl.db.engine import TRANSIENT, as_json, retried, uuid_array
from etl.db.statements import Statements, execute, fetch_all, fetch_one, fetch_value
from etl.fields.person import Removals, pattern_of, readable
from etl.fields.phones import digits, phone
from etl.fields.tokens import customer_id
from etl.loader import raw
from etl.runtime.clock import Clock
from etl.state import registry, removed_calls
from etl.state.lease import Lease
from etl.state.session import StateSession

SQL, PAYLOADS, CALLS = Statements("removed_calls"), Statements("payloads"), Statements("calls")
BATCH = 200  # calls of a transaction, or responses that are read at once
FIRST_SEQ, FIRST_KEY = -(1 << 63), UUID(int=0)
SHORTEST_NUMBER = 7  # digits
SHORTEST_NAME = 5  # of two words: others may be anybody's, or a word of a message


NOT_STORED = ("source", "provider", "mentioned_by")


class NotAPerson(Exception):
    """The number cannot be erased; the message says why, and does not show it."""


@dataclass(frozen=True, slots=True)
class Person:
    """Whom to erase: by tokens alone where the number is not known, as after a restored backup."""

    tokens: tuple[UUID, ...]
    numbers: tuple[str, ...] = ()
    ending: str = ""  # the last two digits of the number, which is all that is shown of it


@dataclass(slots=True)
class SourceReceipt:
    """What was removed of one source, or would be: without anything that is personal."""

    source: str
    provider: str
    calls: int = 0
    payloads: int = 0
    changes: int = 0
    turns: int = 0
    quarantined: int = 0
    messages: int = 0  # of the sync state: unexpected words, alerts, errors and notes of runs
    first_call: date | None = None
    last_call: date | None = None
    still_listed: int = 0  # calls that the provider listed when it was last read
    mentioned_by: list[UUID] = field(default_factory=list)  # calls of others, which are not removed

    @property
    def removed_anything(self) -> bool:
        """Whether anything was stored."""
        return any((self.calls, self.payloads, self.quarantined, self.messages))

    def as_dict(self) -> dict[str, Any]:
        """The receipt ready for JSON."""
        return asdict(self)


def person(number: str, regions: Collection[str | None], key: bytes) -> Person:
    """Read a number as sources of these regions read it; raises :class:`NotAPerson` where it is none."""
    read = [phone(number, region) for region in {*regions} or {None}]
    numbers = sorted({each.number for each in read if each.flag != "number_unreadable"})
    if not numbers or len(digits(numbers[0])) < SHORTEST_NUMBER:
        raise NotAPerson("is no telephone number; write it with + and its country code")
    return Person(tuple(customer_id(each, key) for each in numbers), tuple(numbers), digits(numbers[0])[-2:])


def require_person(connection: Connection, who: Person, own: Collection[str]) -> None:
    """Refuse a number that is the organisation's own: its calls are other people's."""
    values = {"numbers": list(who.numbers), "tokens": uuid_array(who.tokens)}
    if set(own) & set(who.numbers) or fetch_value(connection, SQL.is_own_number, values):
        raise NotAPerson("is one of the organisation's own numbers: calls to and from it are of other people")


@dataclass(slots=True)
class Erasure:
    """The erasure of one person, with what it takes."""

    db: Engine
    clock: Clock
    who: Person
    is_dry: bool = False
    with_mentions: bool = False
    on_scanned: Callable[[str, int], None] = lambda source, records: None
    on_wait: Callable[[str], None] = lambda source: None

    def run(self, regions: dict[str, str | None]) -> list[SourceReceipt]:
        """Erase the person from every source that was ever read; ``regions`` are those of configured sources."""
        tokens = {"tokens": uuid_array(self.who.tokens)}
        with self.db.connect() as connection:
            rows = fetch_all(connection, SQL.sources)
            rules = Removals(registry.masking_key(connection), frozenset(self.who.tokens))
            erasure = fetch_one(connection, SQL.erasure, {"token": self.who.tokens[0]})
        before: dict[str, Any] = erasure.removed if erasure and not self.is_dry else {}
        receipts = [
            _SourceErasure(self, rules, row, regions.get(row.source), _receipt(row, before)).run() for row in rows
        ]
        if not self.is_dry:
            with self.db.begin() as connection:
                execute(connection, SQL.complete_erasures, tokens | {"now": self.clock.now()})
        return receipts


class _DryRun(Exception):
    """Takes back what a dry run did."""


@dataclass(slots=True)
class _SourceErasure:
    """The erasure of one person from one source."""

    erasure: Erasure
    rules: Removals
    row: Any
    region: str | None
    receipt: SourceReceipt
    keys: set[UUID] = field(default_factory=set)  # of the person's calls

    def run(self) -> SourceReceipt:
        """Remove the calls, then what else names the person; count the calls of others that do."""
        erasure = self.erasure
        with StateSession(erasure.db, erasure.clock.sleep) as state:
            lease = Lease(state, erasure.db, self.row.source, erasure.clock)
            try:
                while self._transaction(lease, self._remove_next):
                    pass
                if erasure.who.numbers:
                    mentioned = self._mentions()
                    self._transaction(lease, lambda connection: self._remove_mentions(connection, mentioned))
            finally:
                lease.release()
        return self.receipt

    def _transaction(self, lease: Lease, work: Callable[[Connection], int]) -> int:
        """One transaction of the lease → how many calls it removed; a dry run does all at once, and takes it back."""

        def attempt() -> int:
            before = replace(self.receipt)
            try:
                with lease.transaction() as connection:
                    removed = work(connection)
                    while self.erasure.is_dry and removed and work(connection):
                        pass
                    if self.erasure.is_dry:
                        raise _DryRun
                    self._record(connection)
                    return removed
            except _DryRun:
                return 0
            except BaseException:
                self.receipt = before
                raise

        lease.acquire(lambda: self.erasure.on_wait(self.row.source))
        return retried(attempt, self.erasure.clock.sleep, TRANSIENT)

    def _record(self, connection: Connection) -> None:
        """Store the receipt so far with the tombstone: whoever goes on after a crash adds to it."""
        stored = {name: value for name, value in self.receipt.as_dict().items() if name not in NOT_STORED}
        values = {"source": self.row.source, "token": self.erasure.who.tokens[0], "removed": as_json(stored)}
        execute(connection, SQL.record_removed, values)

    def _remove_next(self, connection: Connection) -> int:
        """Remove the next calls of the person; with the last of them, what else there is → how many calls."""
        tokens = self.erasure.who.tokens
        agents = [row.agent_number for row in fetch_all(connection, SQL.agent_numbers) if row.token in tokens]
        values = {"source": self.row.source, "tokens": uuid_array(tokens), "agent_numbers": agents, "batch": BATCH}
        calls = fetch_all(connection, SQL.calls_of, values)
        words = {word for call in calls for word in (call.customer_email, _whole_name(call.customer_name)) if word}
        self._remove_messages(connection, words)
        if calls:
            self._remove(connection, calls)
        else:
            self._remove_rejects(connection)
        return len(calls)

    def _remove(self, connection: Connection, calls: Sequence[Any]) -> None:
        now, keys, receipt = self.erasure.clock.now(), {call.call_key for call in calls}, self.receipt
        removed = removed_calls.remove(connection, keys, "erased", now)
        days = [call.created_at.date() for call in calls]
        self.keys |= keys
        receipt.calls += removed.calls
        receipt.payloads += removed.payloads
        receipt.changes += removed.changes
        receipt.quarantined += removed.quarantined
        receipt.turns += sum(call.turn_count for call in calls)
        receipt.still_listed += sum(call.delisted_at is None for call in calls)
        receipt.first_call = min(filter(None, [receipt.first_call, *days]))
        receipt.last_call = max(filter(None, [receipt.last_call, *days]))

    def _remove_rejects(self, connection: Connection) -> None:
        """Remove the quarantined records that name the person: they are nobody else's rows."""
        rejects = removed_calls.rejects(connection, self.row.source)
        ids = [row.quarantine_id for row in rejects if self.rules.mention(bytes(row.payload), self.region)]
        self.receipt.quarantined += execute(connection, SQL.delete_rejects, {"ids": ids})

    def _remove_messages(self, connection: Connection, words: Collection[str]) -> None:
        """Remove unexpected words, and the texts of alerts and runs, that name the person."""
        found: dict[str, list[str]] = {"drift": [], "alert": [], "run": []}
        for row in fetch_all(connection, SQL.texts, {"source": self.row.source}):
            if any(word in row.text for word in words) or self.rules.mention(row.text.encode(), self.region):
                found[row.kind].append(row.id)
        statements = zip((SQL.delete_drift, SQL.blank_alerts, SQL.blank_runs), found.values(), strict=True)
        self.receipt.messages += sum(
            execute(connection, statement, {"ids": ids}) for statement, ids in statements if ids
        )

    def _mentions(self) -> set[UUID]:
        """The calls whose raw payloads, or rows without any, have the number in them."""
        pattern, found = pattern_of(self.erasure.who.numbers), set[UUID]()
        with self.erasure.db.connect() as connection:
            for read, (key, text) in enumerate(_texts(connection, self.row.source), 1):
                if pattern.search(text):
                    found.add(key)
                if read % 1000 == 0:
                    self.erasure.on_scanned(self.row.source, read)
        return found - self.keys

    def _remove_mentions(self, connection: Connection, mentioned: set[UUID]) -> int:
        """Remove what is left of calls that are no rows; of others' calls only where that is wanted → none is left."""
        stored = {row.call_key for row in fetch_all(connection, CALLS.calls_by_key, {"keys": list(mentioned)})}
        if orphans := mentioned - stored:
            values = {"source": self.row.source, "keys": uuid_array(orphans)}
            seqs = [row.seq for row in fetch_all(connection, SQL.seqs_with, values)]
            self.receipt.payloads += raw.remove(connection, seqs, orphans)
        if stored and self.erasure.with_mentions:
            calls = fetch_all(connection, SQL.calls_for_receipt, {"keys": uuid_array(stored)})
            self._remove(connection, calls)
        self.receipt.mentioned_by = [] if self.erasure.with_mentions else sorted(stored)
        return 0


def _receipt(row: Any, before: dict[str, Any]) -> SourceReceipt:
    """The receipt of a source so far: what an earlier command, also one that was killed, had removed."""
    stored = before.get(row.source, {})
    days = {name: date.fromisoformat(stored[name]) for name in ("first_call", "last_call") if stored.get(name)}
    return SourceReceipt(row.source, row.provider, **{**stored, **days})


def _whole_name(name: str | None) -> str | None:
    return name if name and " " in name.strip() and len(name) >= SHORTEST_NAME else None


def _texts(connection: Connection, source: str) -> Iterator[tuple[UUID, str]]:
    """All text that is stored of a source's calls, from the raw payloads, or from the rows where these are removed."""
    after: Any = FIRST_SEQ
    while rows := fetch_all(connection, PAYLOADS.next_responses, {"source": source, "after": after, "batch": BATCH}):
        after = rows[-1].seq
        yield from ((key, readable(payload)) for row in rows for key, payload in raw.records(row))
    if fetch_value(connection, SQL.raw_kept_since, {"source": source}) is None:
        return
    after = FIRST_KEY
    while rows := fetch_all(connection, SQL.next_texts, {"source": source, "after": after, "batch": BATCH}):
        after = rows[-1].call_key
        yield from ((row.call_key, readable(row.text.encode())) for row in rows)
