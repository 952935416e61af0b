"""The value types of one call's history, for `etl why` and the page (pure)."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from etl.reports.next_read import NextRead


class CallRef(NamedTuple):
    """A call that a key or an id may refer to; ``call_key`` is null if it is only in quarantine."""

    source: str
    provider_call_id: str
    call_key: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class ReceivedVersion:
    """One version of a record or a transcript as received; ``seq`` is its row in ``raw.payloads``.

    The newest of its kind is the current one.
    """

    kind: str
    received_at: datetime
    run_id: int | None
    size_bytes: int
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
class QuarantinedRecord:
    """One record of the call that could not be loaded; `etl quarantine show` takes its ``quarantine_id``."""

    quarantine_id: int
    reason: str
    first_seen_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None
    run_id: int | None


@dataclass(frozen=True, slots=True)
class RunEffect:
    """What one run did to the call; kind, status and start are null once the run itself is no longer stored."""

    run_id: int
    kind: str | None
    status: str | None
    started_at: datetime | None
    versions_received: int
    fields_changed: int
    records_quarantined: int
    saw_it_last: bool


@dataclass(frozen=True, slots=True)
class TranscriptState:
    """Whether the transcript is stored, or why not; ``asked_at`` is null if it comes with the record."""

    is_stored: bool
    turns: int
    message: str
    asked_at: datetime | None
    attempts: int


@dataclass(frozen=True, slots=True)
class CallCost:
    """The cost and its components, or why it is not known."""

    amount: Decimal | None
    unit: str | None
    components: Mapping[str, Any]
    message: str


@dataclass(frozen=True, slots=True)
class CallDetails:
    """What is stored of a call; ``customer`` and ``summary`` are hidden unless asked for.

    ``settles_at`` is when the last lookback leaves the call, past or future; null until the call is final.
    """

    call_key: uuid.UUID
    provider: str
    direction: str
    outcome: str
    agent_name: str | None
    customer: str | None
    duration_seconds: Decimal | None
    summary: str | None
    created_at: datetime
    ended_at: datetime | None
    first_seen_at: datetime
    last_seen_at: datetime
    changed_at: datetime
    is_final: bool
    settles_at: datetime | None
    delisted_at: datetime | None
    flags: Mapping[str, str]
    transcript: TranscriptState
    cost: CallCost


@dataclass(frozen=True, slots=True)
class CallHistory:
    """One call's history; ``details`` and ``next_read`` are null if it is only in quarantine."""

    source: str
    provider_call_id: str
    details: CallDetails | None
    versions: Sequence[ReceivedVersion]
    changes: Sequence[Change]
    next_read: NextRead | None
    rejected: Sequence[QuarantinedRecord]
    runs: Sequence[RunEffect]
