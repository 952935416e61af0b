"""One call of the sandbox: what is fixed when it is listed; `lifecycle` draws from it what happens later."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from etl.sandbox.personas import Customer

PROVIDERS = ("ringg", "ravan", "autocalls", "vaani")


@dataclass(frozen=True, slots=True)
class Override:
    """A change made by a test: from `at` on, these fields of the lifecycle have these values."""

    at: datetime
    facts: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class SimulatedCall:
    """One call; `kind` is outbound, inbound, web or internal, between two numbers of the organisation."""

    provider: str
    number: int
    call_id: str
    kind: str
    created_at: datetime
    listed_from: datetime
    line: str
    customer: Customer
    delisted_at: datetime | None = None
    overrides: tuple[Override, ...] = field(default=(), hash=False)

    @property
    def caller(self) -> str:
        """The number that dials, "" for a call from a browser."""
        return {"inbound": self.customer.number, "web": ""}.get(self.kind, self.line)

    @property
    def callee(self) -> str:
        """The number that is dialled, "" for a call from a browser."""
        return {"inbound": self.line, "web": ""}.get(self.kind, self.customer.number)

    @property
    def customer_name(self) -> str | None:
        """The customer's name; None for some of those who call in and are not known."""
        return None if self.kind == "inbound" and self.shape("stranger", 8) == 0 else self.customer.name

    def shape(self, name: str, count: int) -> int:
        """Which of `count` variants the field `name` of this call has: always the same one."""
        return zlib.crc32(f"{name}:{self.call_id}".encode()) % count

    def listed_at(self, at: datetime) -> bool:
        """Whether the provider lists the call at a moment."""
        return self.listed_from <= at and (self.delisted_at is None or at < self.delisted_at)
