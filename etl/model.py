"""The words of the house: the values that pass from room to room, provider → pages → records → rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from etl.runtime.secret import Secret


class Paging(StrEnum):
    """What a provider counts in the position of a request."""

    PAGES = "pages"  # page numbers from 1
    ROWS = "rows"  # rows to skip, from 0


class DateFilter(StrEnum):
    """What a provider can filter by creation time."""

    INSTANTS = "instants"
    DAYS = "days"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of source time ``[start, end)``; both ends aware, UTC."""

    start: datetime
    end: datetime

    def __bool__(self) -> bool:
        return self.start < self.end


@dataclass(frozen=True, slots=True)
class Source:
    """One account of a provider, as configured."""

    name: str
    provider: str
    base_url: str
    api_key: Secret
    cost_unit: str
    partitions: tuple[str, ...] = ()
    timezone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    region: str | None = None
    requests_per_minute: int = 60
    schedule: str = "every 5m"
    since: datetime | None = None
    lookbacks: tuple["Lookback", ...] = ()


class Lookback(NamedTuple):
    """How far back, and how often, the newest stretch of a list is read again for late changes."""

    window: timedelta
    interval: timedelta


LOOKBACKS = (
    Lookback(timedelta(hours=6), timedelta(hours=1)),
    Lookback(timedelta(days=2), timedelta(hours=6)),
    Lookback(timedelta(days=7), timedelta(days=1)),
)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """One page that is wanted: of which source and phone, which window, from which position, how many rows.

    ``position`` is a page number from 1 or a number of rows to skip, as the provider's :class:`Paging` says.
    """

    source: Source
    window: Window
    position: int
    size: int
    partition: str = ""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A GET to a path below a source's base URL; values of the query are not yet percent-encoded."""

    path: str
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """One answer to an :class:`PageRequest`.

    ``records`` are the exact bytes of each record; ``total`` is what the provider says the list holds, if it says a
    number; ``size`` the page size in force, if it says one; ``is_last`` the provider's own explicit end, if it has one;
    ``unshown`` why one more record of it cannot be had.
    """

    records: Sequence[bytes]
    total: int | None = None
    size: int | None = None
    is_last: bool | None = None
    unreadable: Exception | None = None

    @property
    def count(self) -> int:
        """How many places of the list the page takes."""
        return len(self.records) + (self.unreadable is not None)


class InvalidResponse(Exception):
    """An answer that is no page: the text says what is missing, and shows no value of it."""


class ResponseBody(Protocol):
    """An answer's JSON object, split but not yet read; ``payload`` is the answer as received."""

    payload: bytes

    def __contains__(self, key: str) -> bool:
        """Whether there is a value under a key, null included."""

    def get(self, key: str) -> Any:
        """The value under a key as parsed, ``None`` where there is none."""

    def records(self, key: str) -> Sequence[bytes]:
        """The exact bytes of each element of the list under a key; :class:`InvalidResponse` where there is no list."""


class Turn(NamedTuple):
    """One turn of a transcript, in its order."""

    speaker: str  # agent, customer, system or unknown
    text: str
    spoken_at: datetime | None = None
    offset_seconds: Decimal | None = None


class Drift(NamedTuple):
    """Something in a record that nobody expected: a new field, a word outside a vocabulary, another type."""

    field: str  # the path in the record, such as "agent.id"
    kind: str  # new_field, unknown_word or type
    detail: str  # the word, or the JSON type; never a value of a person


class Call(NamedTuple):
    """One call as rows: ``columns`` by the names of ``warehouse.calls``, and its turns.

    ``turns`` are empty where the record shows none; an empty transcript never replaces one that is held.
    """

    provider_call_id: str
    columns: Mapping[str, Any]
    turns: tuple[Turn, ...] = ()
    drift: tuple[Drift, ...] = ()


@dataclass(frozen=True, slots=True)
class Reject:
    """Why a record cannot become rows; the reason shows no value of the record."""

    reason: str
    provider_call_id: str | None = None


class RecordContext:
    """One record while it is read: the values, the source that it is of, and what was noticed on the way.

    The fields of a provider's mapping read from it and write their notes to it: ``flags`` become ``quality_flags``,
    ``keep`` are paths that go to ``extra`` although a column reads them (a word that the column could not hold), and
    ``row`` holds the columns that are read already, for those that follow from them. ``call_id`` is the provider's.
    """

    __slots__ = ("call_id", "drift", "extra_paths", "flags", "record", "row", "source")

    def __init__(self, source: Source, record: Mapping[str, Any]) -> None:
        self.source = source
        self.record = record
        self.call_id: str | None = None
        self.row: dict[str, Any] = {}
        self.flags: list[str] = []
        self.drift: list[Drift] = []
        self.extra_paths: list[str] = []

    def flag_and_keep(self, path: str, flag: str) -> None:
        """The column at this path stays null, a flag says why, and the value itself goes to ``extra``."""
        self.flags.append(flag)
        self.extra_paths.append(path)


@dataclass(frozen=True, slots=True)
class Field:
    """How one column is read: the paths of the record that it uses up (``"agent.id"``), and the function that reads it.

    ``read`` never raises, whatever the record holds. ``needs`` are the columns that it reads from the row so far.
    """

    paths: tuple[str, ...]
    read: Callable[[RecordContext], Any]
    needs: tuple[str, ...] = ()


class TranscriptNotReady(Exception):
    """The provider has no transcript for this call yet."""


@dataclass(frozen=True, slots=True)
class TranscriptRequest:
    """Where a provider gives a transcript by a second request: how to ask for it and how to read the answer.

    ``read`` gives the turns, or raises :class:`TranscriptNotReady` or :class:`InvalidResponse`.
    """

    ask: Callable[[str], HttpRequest]
    read: Callable[[ResponseBody], tuple[Turn, ...]]


@dataclass(frozen=True, eq=False)
class Provider:
    """All that is known of a vendor: what to ask, how to read the answer, which field is which column.

    ``columns`` are read in their order, after ``created_at``; a column that is not named is null, ``unknown``, or
    follows from the others. ``extra`` are the fields that are known and that no column holds; a field that is neither
    there nor read by a column is drift.
    """

    name: str
    title: str
    base_url: str
    credential: Callable[[str], tuple[str, str]]  # the header, and its value for a key
    cost_unit: str
    page_size: int
    paging: Paging
    date_filter: DateFilter
    ask: Callable[[PageRequest], HttpRequest]
    read: Callable[[PageRequest, ResponseBody], Page]
    call_id: Field
    created_at: Field
    columns: Mapping[str, Field]
    turns: Field
    extra: frozenset[str] = frozenset()
    is_partitioned: bool = False
    transcript: TranscriptRequest | None = None


CALL_KEY_NAMESPACE = UUID("6f2b8c1e-6a57-5d0e-9d0c-1f1d3e0b7a42")
