"""What a fault does to a request, as values: one function for each step at which an answer can go wrong."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from random import Random

from etl.sandbox.http_messages import VendorRequest, VendorResponse
from etl.sandbox.simulated_call import SimulatedCall
from etl.sandbox.vendor import ListQuery, Vendor, VendorPage
from etl.sandbox.world import World


@dataclass(frozen=True, slots=True)
class FaultFiring:
    """One firing of a fault: which, where, the how-manieth (from 0), the plan's options, and a draw of its own."""

    fault_id: str
    source: Vendor
    request: VendorRequest
    count: int
    options: Mapping[str, str]
    draw: Random
    world: World

    @property
    def provider(self) -> str:
        """The provider's name."""
        return self.source.name

    def number(self, name: str, default: int) -> int:
        """A whole number of the plan."""
        return int(self.options.get(name, default))


@dataclass(frozen=True, slots=True)
class Effect:
    """The steps of an answer, in order; None leaves a step as it is. `stir` moves the world first, `instead` answers
    without looking, `moment` looks at another time, `ask` misreads the request or refuses it, `calls` misjudges the
    list, `record` spoils one printed record, `page` the page before it is printed, `answer` the response."""

    stir: Callable[[FaultFiring], None] | None = None
    instead: Callable[[FaultFiring], VendorResponse | None] | None = None
    moment: Callable[[FaultFiring, datetime], datetime] | None = None
    ask: Callable[[FaultFiring, ListQuery], ListQuery | VendorResponse] | None = None
    calls: Callable[[FaultFiring, list[SimulatedCall]], list[SimulatedCall]] | None = None
    record: Callable[[FaultFiring, SimulatedCall, bytes], bytes] | None = None
    page: Callable[[FaultFiring, VendorPage], VendorPage] | None = None
    answer: Callable[[FaultFiring, VendorResponse], VendorResponse] | None = None


Firing = tuple[Effect, FaultFiring]
