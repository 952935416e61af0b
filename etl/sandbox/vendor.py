"""The words that the four providers share: what a list request asks for, the page that answers it, and a provider."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from etl.sandbox.http_messages import RecordBytes, VendorRequest, VendorResponse
from etl.sandbox.lifecycle import Lifecycle, Stage
from etl.sandbox.simulated_call import SimulatedCall

# PHP and Go both hold a page number in 64 bits; a longer one is no number.
MAX_INTEGER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class CallSnapshot:
    """A call as it stands at one moment: its story so far, the stage reached, and the moment."""

    call: SimulatedCall
    story: Lifecycle
    stage: Stage
    at: datetime

    @property
    def is_over(self) -> bool:
        """True once the call has ended."""
        return self.stage >= Stage.ENDED

    @property
    def has_turns(self) -> bool:
        """True once the transcript is there."""
        return self.stage >= Stage.TRANSCRIBED and bool(self.story.turns)

    def when(self, stage: Stage) -> datetime | None:
        """When that stage was reached; None before it was."""
        return self.story.reached[stage] if self.stage >= stage else None


@dataclass(frozen=True, slots=True)
class ListQuery:
    """One list request, read: `size` records after the first `skip` of the calls that `keep` and `match` let through
    (`match` where a filter looks at what changes); `page` and `offset` as asked, for the
    echo; `by` are the filters as values, for a cache;
    `variant` tells apart the ways in which a record may be shown (Ravan: with or without transcripts)."""

    skip: int
    size: int
    page: int
    keep: Callable[[SimulatedCall], bool]
    offset: int = 0
    by: tuple[object, ...] = ()
    match: Callable[[CallSnapshot], bool] | None = None
    phone: str = ""
    variant: str = ""


@dataclass(frozen=True, slots=True)
class VendorPage:
    """One page before it is printed. `total` None leaves it out; `more` None lets the counts speak."""

    asked: ListQuery
    ids: tuple[str, ...]
    records: tuple[bytes, ...]
    total: int | str | None
    last: int
    has_next: bool
    path: str


@dataclass(frozen=True, slots=True)
class Vendor:
    """A provider as data and pure functions. `refuse` answers a request without a good key; `read` reads a list request
    or answers why not; `show` is a record at a moment; `print_page` the body of a page; `detail` the answer to another
    path, None where there is none."""

    name: str
    path: str
    key: str
    refuse: Callable[[VendorRequest], VendorResponse | None]
    read: "Callable[[Quirks, VendorRequest], ListQuery | VendorResponse]"
    show: Callable[[CallSnapshot, str], RecordBytes]
    print_page: "Callable[[Quirks, VendorPage], bytes]"
    detail: Callable[[CallSnapshot], VendorResponse] | None = None
    detail_path: str = ""
    missing: RecordBytes | None = None


@dataclass(frozen=True, slots=True)
class Quirks:
    """What the providers' pages leave open, and a test may turn: Ringg's largest limit and whether it tells its total
    (number or many), and the time zone of Autocalls' days."""

    ringg_limit: int = 100
    ringg_total: str = "number"
    autocalls_zone: str = "UTC"


def integer(text: str, default: int) -> int | None:
    """A whole number of a query; the default where it is absent, None where it is none."""
    if not text:
        return default
    if not text.lstrip("-").isascii() or not text.lstrip("-").isdigit() or len(text) > 20:
        return None
    value = int(text)
    return value if abs(value) <= MAX_INTEGER else None
