"""A request to the sandbox → the response of the vendor that it is for, and an entry in the request log."""

import gzip
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import format_datetime

from etl.sandbox.faults import Fault, FaultPlan
from etl.sandbox.http_messages import VendorRequest, VendorResponse, json_response
from etl.sandbox.responder import VENDORS, Responder
from etl.sandbox.world import World

MAX_LOGGED_REQUESTS = 100_000


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """What was requested, when by the world's clock, the status of the response and the calls in it."""

    provider: str
    path: str
    query: Mapping[str, str]
    at: datetime
    status: int
    ids: tuple[str, ...]


class VendorApi:
    """The four vendors below /ringg, /ravan, /autocalls and /vaani; `requests` is the log of what they answered."""

    def __init__(self, world: World, faults: Sequence[Fault] = ()) -> None:
        self.world, self._responder, self._plan = world, Responder(world), FaultPlan(world, faults)
        self.requests: deque[LoggedRequest] = deque(maxlen=MAX_LOGGED_REQUESTS)

    def answer(self, request: VendorRequest) -> VendorResponse:
        """The response to a request whose path begins with a vendor's name; 404 for any other."""
        name, _, rest = request.path.removeprefix("/").partition("/")
        if name not in VENDORS:
            return json_response({"message": "Not Found"}, 404)
        below, at = replace(request, path=f"/{rest}"), self.world.now()
        response = self._responder.respond(VENDORS[name], below, at, self._plan.firings(VENDORS[name], below))
        date = ("Date", format_datetime(at, usegmt=True))
        self.requests.append(LoggedRequest(name, below.path, below.query, at, response.status, response.ids))
        return _compressed(request, replace(response, headers=(date, *response.headers)))

    def environment(self, origin: str) -> dict[str, str]:
        """The environment of `etl` for a sandbox at this origin: keys, base URLs and Ravan's phones."""
        keys = {f"{name.upper()}_API_KEY": vendor.key for name, vendor in VENDORS.items()}
        urls = {f"{name.upper()}_BASE_URL": f"{origin}/{name}" for name in VENDORS}
        return {**keys, **urls, "RAVAN_PHONES": ",".join(self.world.phones)}


def _compressed(request: VendorRequest, response: VendorResponse) -> VendorResponse:
    """The response in gzip, where the client accepts it and the body is worth it."""
    accepts = "gzip" in request.headers.get("accept-encoding", "")
    if not accepts or len(response.body) < 1_000 or response.header("Content-Encoding") is not None:
        return response
    headers = (*response.headers, ("Content-Encoding", "gzip"))
    return replace(response, headers=headers, body=gzip.compress(response.body, compresslevel=1, mtime=0))
