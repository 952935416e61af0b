"""One call of the sandbox: what is settled the moment it is listed; everything later is drawn from it by `story`."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from etl.sandbox.personas import Customer

PROVIDERS = ("ringg", "ravan", "autocalls", "vaani")


@dataclass(frozen=True, slots=True)
class Override:
    """A change made by hand: from `at` on, these facts of the story are the true ones."""

    at: datetime
    facts: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class SimulatedCall:
    """Identity, parties and moments of one call; `kind` is outbound, inbound, web or internal (between own numbers)."""

    provider: str
    number: int
    call_id: str
    kind: str
    created_at: datetime
    appears_at: datetime
    line: str
    customer: Customer
    vanishes_at: datetime | None = None
    told: tuple[Override, ...] = field(default=(), hash=False)

    @property
    def caller(self) -> str:
        """The number that dials; "" for a call from a browser."""
        return {"outbound": self.line, "inbound": self.customer.number, "internal": self.line}.get(self.kind, "")

    @property
    def callee(self) -> str:
        """The number that is dialled; "" for a call from a browser. Inside the house it is the customer's place."""
        return {"outbound": self.customer.number, "inbound": self.line, "internal": self.customer.number}.get(
            self.kind, ""
        )

    @property
    def customer_name(self) -> str | None:
        """The customer's name; None for some of those who call by themselves: nobody knows them."""
        return None if self.kind == "inbound" and self.shape("stranger", 8) == 0 else self.customer.name

    def shape(self, name: str, count: int) -> int:
        """Which of `count` shapes the field `name` of this call is sent in: the same one for ever."""
        return zlib.crc32(f"{name}:{self.call_id}".encode()) % count

    def listed_at(self, at: datetime) -> bool:
        """True while the provider lists the call."""
        return self.appears_at <= at and (self.vanishes_at is None or at < self.vanishes_at)
