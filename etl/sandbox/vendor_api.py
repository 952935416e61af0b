"""A request to the sandbox becomes the response of the provider that it is for, and a line in the ledger."""

import gzip
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import format_datetime

from etl.sandbox.faults import Fault, FaultPlan
from etl.sandbox.http_messages import VendorRequest, VendorResponse, answered
from etl.sandbox.responder import PROVIDERS, Printer, answer
from etl.sandbox.world import World

LEDGER_LINES = 100_000


@dataclass(frozen=True, slots=True)
class Served:
    """One line of the ledger: what was asked, when by the world's clock, and what was answered."""

    provider: str
    path: str
    query: Mapping[str, str]
    at: datetime
    status: int
    ids: tuple[str, ...]


class VendorApi:
    """The four providers under /ringg, /ravan, /autocalls and /vaani, over one world and one plan of faults."""

    def __init__(self, world: World, faults: Sequence[Fault] = ()) -> None:
        self.world, self._printer, self._plan = world, Printer(world), FaultPlan(world, faults)
        self.requests: deque[Served] = deque(maxlen=LEDGER_LINES)

    def answer(self, request: VendorRequest) -> VendorResponse:
        """The response to a request whose path begins with the provider's name; 404 where it names none."""
        name, _, rest = request.path.removeprefix("/").partition("/")
        if name not in PROVIDERS:
            return answered({"message": "Not Found"}, 404)
        below, at = replace(request, path=f"/{rest}"), self.world.now()
        firing = self._plan.firing(PROVIDERS[name], below)
        response = answer(self.world, self._printer, PROVIDERS[name], below, at, firing)
        response = _packed(request, replace(response, headers=(("Date", _date(at)), *response.headers)))
        self.requests.append(Served(name, below.path, below.query, at, response.status, response.ids))
        return response


def environment(origin: str, phones: Sequence[str]) -> dict[str, str]:
    """The variables that point the four sources at a sandbox which is reached at `origin`."""
    keys = {f"{name.upper()}_API_KEY": provider.key for name, provider in PROVIDERS.items()}
    hosts = {f"{name.upper()}_BASE_URL": f"{origin}/{name}" for name in PROVIDERS}
    return {**keys, **hosts, "RAVAN_PHONES": ",".join(phones)}


def _date(at: datetime) -> str:
    return format_datetime(at, usegmt=True)


def _packed(request: VendorRequest, response: VendorResponse) -> VendorResponse:
    """The response in gzip, where the client takes it and it pays."""
    wants = "gzip" in request.headers.get("accept-encoding", "")
    if not wants or len(response.body) < 1_000 or response.header("Content-Encoding") is not None:
        return response
    headers = (*response.headers, ("Content-Encoding", "gzip"))
    return replace(response, headers=headers, body=gzip.compress(response.body, compresslevel=1, mtime=0))
