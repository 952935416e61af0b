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
    """A fault that fires on a request: `count` is how often it fired before, `draw` its own source of randomness."""

    fault_id: str
    effect: "Effect"
    vendor: Vendor
    request: VendorRequest
    count: int
    options: Mapping[str, str]
    draw: Random
    world: World

    def number(self, name: str, default: int) -> int:
        """An option of the fault that is a whole number."""
        return int(self.options.get(name, default))


@dataclass(frozen=True, slots=True)
class Effect:
    """The steps of an answer in their order; a step that is None stays as it is.

    `change_world` acts before the request is looked at, `moment` answers as of another time, `instead` answers in place
    of the provider, `query` misreads or refuses the list request, `calls` changes the list, `record` one rendered
    record, `page` the page before it is rendered, `response` the whole answer.
    """

    change_world: Callable[[FaultFiring], None] | None = None
    moment: Callable[[FaultFiring, datetime], datetime] | None = None
    instead: Callable[[FaultFiring], VendorResponse | None] | None = None
    query: Callable[[FaultFiring, ListQuery], ListQuery | VendorResponse] | None = None
    calls: Callable[[FaultFiring, list[SimulatedCall]], list[SimulatedCall]] | None = None
    record: Callable[[FaultFiring, SimulatedCall, bytes], bytes] | None = None
    page: Callable[[FaultFiring, VendorPage], VendorPage] | None = None
    response: Callable[[FaultFiring, VendorResponse], VendorResponse] | None = None
