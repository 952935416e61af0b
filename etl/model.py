"""The values that all layers share: provider → pages → records → rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from etl.runtime.secret import Secret


class Paging(StrEnum):
    """What the position in a page request counts."""

    PAGES = "pages"  # page numbers from 1
    ROWS = "rows"  # rows to skip, from 0


class DateFilter(StrEnum):
    """How a provider filters by creation time."""

    INSTANTS = "instants"
    DAYS = "days"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open time span ``[start, end)``, aware, UTC."""

    start: datetime
    end: datetime

    def __bool__(self) -> bool:
        return self.start < self.end


@dataclass(frozen=True, slots=True)
class Reporting:
    """How reports show a source's calls: their local time, and the one currency of all costs."""

    timezone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    currency: str | None = None  # ISO 4217
    business_hours: str | None = None  # minutes of the week from Monday 00:00, as PostgreSQL writes an int4multirange


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is kept; ``None``: forever."""

    calls: timedelta | None = None
    transcripts: timedelta | None = None
    raw: timedelta | None = None


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
    key_name: str = "its api_key"  # the setting that holds the key
    reporting: Reporting = field(default_factory=Reporting)
    retention: Retention = Retention()


class Lookback(NamedTuple):
    """How far back, and how often, the newest calls are read again for late changes."""

    window: timedelta
    interval: timedelta


@dataclass(frozen=True, slots=True)
class PageRequest:
    """One page to ask for; ``position`` counts what the provider's :class:`Paging` says."""

    source: Source
    window: Window
    position: int
    size: int
    partition: str = ""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A GET of a path below a source's base URL; the query is not percent-encoded yet."""

    path: str
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """The response to a :class:`PageRequest`; what the provider does not say is ``None``."""

    records: Sequence[bytes]  # the exact bytes of each
    total: int | None = None  # rows of the whole list
    size: int | None = None  # the page size that the provider used
    is_last: bool | None = None
    unreadable: Exception | None = None  # why one more record of the page cannot be read
    seqs: Sequence[int] = ()  # the numbers of the requests that brought its records, where they were several

    @property
    def count(self) -> int:
        """How many rows of the list the page covers."""
        return len(self.records) + (self.unreadable is not None)


class InvalidResponse(Exception):
    """A response that is not what was asked for; the text shows no value of it."""


class TooManyValues(InvalidResponse):
    """A response that would take too much memory; a smaller page may be read."""


class ResponseBody(Protocol):
    """A response's JSON object, whose values are parsed when asked for; ``payload`` is the response as received."""

    payload: bytes

    def __contains__(self, key: str) -> bool:
        """Whether it has a key."""

    def get(self, key: str) -> Any:
        """The value of a key, ``None`` where there is none."""

    def records(self, key: str) -> Sequence[bytes]:
        """The exact bytes of each element of a list; raises :class:`InvalidResponse` where there is none."""


class Turn(NamedTuple):
    """One turn of a transcript."""

    speaker: str  # agent, customer, system or unknown
    text: str
    spoken_at: datetime | None = None
    offset_seconds: Decimal | None = None


class Drift(NamedTuple):
    """Something unexpected in a record: a new field, an unknown word, another type."""

    field: str  # its path, such as "agent.id"
    kind: str  # new_field, unknown_word or type
    detail: str  # the word or the JSON type, never personal data


class Call(NamedTuple):
    """One call as rows."""

    provider_call_id: str
    columns: Mapping[str, Any]  # of ``warehouse.calls``
    turns: tuple[Turn, ...] = ()  # empty where the record has none: a stored transcript stays
    drift: tuple[Drift, ...] = ()


@dataclass(frozen=True, slots=True)
class Reject:
    """Why a record cannot become rows; the reason shows no value of it."""

    reason: str
    provider_call_id: str | None = None


@dataclass(slots=True, eq=False)
class RecordContext:
    """One record while its columns are read.

    ``row`` has the columns read so far, or those of a stored call; ``flags`` become ``quality_flags``, and the values
    at ``extra_paths`` go to ``extra`` although a column reads them.
    """

    source: Source
    record: Mapping[str, Any]
    call_id: str | None = None
    row: dict[str, Any] = field(default_factory=dict)
    flags: list[str] = field(default_factory=list)
    drift: list[Drift] = field(default_factory=list)
    extra_paths: list[str] = field(default_factory=list)

    def flag_and_keep(self, path: str, flag: str) -> None:
        """Flag a value that its column cannot hold, and keep it in ``extra``."""
        self.flags.append(flag)
        self.extra_paths.append(path)


class Inline(NamedTuple):
    """An expression of Python for the values that nearly all records hold; ``{read}`` in it is the field's own reader.

    It may use ``v``, the value at ``path``, and ``row``, ``context``, ``zone``, ``region``; ``{name}`` is one of names.
    """

    code: str
    path: str = ""
    names: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Field:
    """How one column is read from a record."""

    paths: tuple[str, ...]  # what it reads of the record, such as "agent.id"
    read: Callable[[RecordContext], Any]  # never raises, whatever the record holds
    needs: tuple[str, ...] = ()  # the columns of the row that it reads
    inline: Inline | None = None  # the same for the usual values, as code


class TranscriptNotReady(Exception):
    """The provider does not have this transcript yet."""


@dataclass(frozen=True, slots=True)
class TranscriptRequest:
    """A transcript that takes a request of its own; ``read`` gets the id and the row of its call as well."""

    ask: Callable[[str], HttpRequest]
    # It raises TranscriptNotReady or InvalidResponse where there are no turns.
    read: Callable[[RecordContext, ResponseBody], tuple[Turn, ...]]


@dataclass(frozen=True, eq=False)
class Provider:
    """A vendor: how to ask for a page, how to read it, and which field is which column.

    ``columns`` are read in their order, after ``created_at``; one that is not named is null, ``unknown`` or derived.
    ``extra`` are known fields without a column; any other field that no column reads is drift.
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
