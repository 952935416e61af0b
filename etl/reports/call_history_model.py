"""The words for one call's life, as `etl why` and the daemon's page tell it."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from etl.reports.next_read import NextRead


class CallRef(NamedTuple):
    """A call that somebody may mean; ``call_key`` is null where it never became a row."""

    source: str
    provider_call_id: str
    call_key: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class ReceivedVersion:
    """One content of a record as received, its size in bytes, in the row ``seq`` of ``raw.payloads``; the newest of its
    kind is the one in force."""

    kind: str
    received_at: datetime
    run_id: int | None
    size: int
    seq: int
    is_newest: bool


@dataclass(frozen=True, slots=True)
class Change:
    """One changed field."""

    changed_at: datetime
    run_id: int | None
    field: str
    old_value: str | None
    new_value: str | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """One record of the call that could not become a row; ``quarantine_id`` is what `etl quarantine show` takes."""

    quarantine_id: int
    reason: str
    first_seen_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None
    run_id: int | None


@dataclass(frozen=True, slots=True)
class RunEffect:
    """A run, and what it did to the call; of a run that the books hold no more, its number alone is known."""

    run_id: int
    kind: str | None
    status: str | None
    started_at: datetime | None
    received: int  # new versions of its records
    changed: int  # fields
    quarantined: int  # records
    saw_it_last: bool  # as it is held


@dataclass(frozen=True, slots=True)
class Transcript:
    """Whether a transcript is held, and why not; of one that takes a request of its own, when it was asked for."""

    is_held: bool
    turns: int
    said: str
    asked_at: datetime | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What the call cost, by component too, or why nobody knows yet."""

    amount: Decimal | None
    unit: str | None
    components: Mapping[str, Any]
    said: str


@dataclass(frozen=True, slots=True)
class CallDetails:
    """What the warehouse holds of a call; values that show a person are not among it."""

    call_key: uuid.UUID
    provider: str
    direction: str
    outcome: str
    created_at: datetime
    ended_at: datetime | None
    first_seen_at: datetime
    last_seen_at: datetime
    changed_at: datetime
    is_final: bool
    settles_at: datetime | None
    settled_at: datetime | None
    delisted_at: datetime | None
    flags: Mapping[str, str]
    transcript: Transcript
    cost: Cost
    versions: Sequence[ReceivedVersion]
    changes: Sequence[Change]
    next_reading: NextRead


@dataclass(frozen=True, slots=True)
class CallHistory:
    """One call's life; ``held`` is null where only the quarantine knows of it."""

    source: str
    provider_call_id: str
    held: CallDetails | None
    rejected: Sequence[Rejected]
    runs: Sequence[RunEffect]
