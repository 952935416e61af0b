"""The types that the four vendors share: a call at one moment, a list request, a page, and the vendor itself."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from etl.sandbox.conversations import Utterance
from etl.sandbox.http_messages import JsonObject, VendorRequest, VendorResponse
from etl.sandbox.lifecycle import Lifecycle, Stage
from etl.sandbox.simulated_call import SimulatedCall

INTEGER = re.compile(r"-?\d{1,20}", re.ASCII)
MAX_INTEGER = 2**63 - 1  # PHP and Go both hold a page number in 64 bits


@dataclass(frozen=True, slots=True)
class Quirks:
    """What no documentation says: whether Ringg's total is a `number` or `many`, and the zone of Autocalls' days."""

    ringg_total: str = "number"
    autocalls_zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class CallSnapshot:
    """A call at one moment, and the stage that it has reached by then."""

    call: SimulatedCall
    lifecycle: Lifecycle
    stage: Stage
    at: datetime

    @property
    def is_over(self) -> bool:
        """Whether the call has ended."""
        return self.stage >= Stage.ENDED

    @property
    def is_priced(self) -> bool:
        """Whether its cost is known."""
        return self.stage >= Stage.PRICED

    @property
    def turns(self) -> tuple[Utterance, ...]:
        """The turns of its transcript, none before it is there."""
        return self.lifecycle.turns if self.stage >= Stage.TRANSCRIBED else ()

    @property
    def is_evaluated(self) -> bool:
        """Whether its conversation has been analysed."""
        return self.stage >= Stage.EVALUATED and bool(self.lifecycle.turns)

    def when(self, stage: Stage) -> datetime | None:
        """When it reached a stage; None before that."""
        return self.lifecycle.reached[stage] if self.stage >= stage else None


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A list request: `size` records, after the first `skip`, of the calls that `keep` and `match` select.

    `match` is for filters on what changes during a call. `page`, `offset` and `phone` are echoed as requested;
    `filters` are the values behind `keep`, for caching; `variant` selects how records are rendered.
    """

    skip: int
    size: int
    page: int
    keep: Callable[[SimulatedCall], bool]
    offset: int = 0
    filters: tuple[object, ...] = ()
    match: Callable[[CallSnapshot], bool] | None = None
    phone: str = ""
    variant: str = ""


@dataclass(frozen=True, slots=True)
class VendorPage:
    """One page before it is rendered; a `total` of None is left out of the envelope."""

    query: ListQuery
    ids: tuple[str, ...]
    records: tuple[bytes, ...]
    total: int | str | None
    last: int
    has_next: bool
    path: str


@dataclass(frozen=True, slots=True)
class Vendor:
    """A vendor as data and pure functions.

    `reject` answers a request without a valid key, `read` parses a list request or says what is wrong with it, `render`
    gives a call's record and `render_page` a page's body. `detail` answers a request for one call below `detail_path`.
    """

    name: str
    path: str
    key: str
    reject: Callable[[VendorRequest], VendorResponse | None]
    read: Callable[[Quirks, VendorRequest], ListQuery | VendorResponse]
    render: Callable[[CallSnapshot, str], JsonObject]
    render_page: Callable[[Quirks, VendorPage], bytes]
    detail: Callable[[CallSnapshot], VendorResponse] | None = None
    detail_path: str = ""
    no_detail: JsonObject | None = None


def integer(text: str, default: int) -> int | None:
    """The whole number in a query parameter: the default where it is absent, None where it is no number."""
    if text and not INTEGER.fullmatch(text):
        return None
    value = int(text or default)
    return value if abs(value) <= MAX_INTEGER else None
