"""A request to the sandbox → the response of the vendor that it is for, and an entry in the request log."""

import gzip
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import format_datetime
from urllib.parse import unquote

from etl.sandbox import autocalls, ravan, ringg, vaani
from etl.sandbox.effect import FaultFiring
from etl.sandbox.faults import Fault, FaultPlan
from etl.sandbox.http_messages import JSON, VendorRequest, VendorResponse, json_response, to_json
from etl.sandbox.simulated_call import SimulatedCall
from etl.sandbox.vendor import ListQuery, Vendor, VendorPage
from etl.sandbox.world import World

VENDORS = {vendor.name: vendor for vendor in (ringg.VENDOR, ravan.VENDOR, autocalls.VENDOR, vaani.VENDOR)}
MAX_LOGGED_REQUESTS = 100_000
CACHED_RECORDS = 20_000  # about 40 MB
Firings = Sequence[FaultFiring]


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
    """The four vendors below /ringg, /ravan, /autocalls and /vaani; `requests` is the log of what they answered.

    A record that no longer changes is rendered once a day.
    """

    def __init__(self, world: World, faults: Sequence[Fault] = ()) -> None:
        self.world, self._plan = world, FaultPlan(world, faults)
        self.requests: deque[LoggedRequest] = deque(maxlen=MAX_LOGGED_REQUESTS)
        self._rendered: dict[object, bytes] = {}

    def answer(self, request: VendorRequest) -> VendorResponse:
        """The response to a request whose path begins with a vendor's name; 404 for any other."""
        name, _, rest = request.path.removeprefix("/").partition("/")
        if name not in VENDORS:
            return json_response({"message": "Not Found"}, 404)
        below, at = replace(request, path=f"/{rest}"), self.world.now()
        response = self._respond(VENDORS[name], below, at, self._plan.firings(VENDORS[name], below))
        date = ("Date", format_datetime(at, usegmt=True))
        self.requests.append(LoggedRequest(name, below.path, below.query, at, response.status, response.ids))
        return _compressed(request, replace(response, headers=(date, *response.headers)))

    def environment(self, origin: str) -> dict[str, str]:
        """The environment of `etl` for a sandbox at this origin: keys, base URLs and Ravan's phones."""
        keys = {f"{name.upper()}_API_KEY": vendor.key for name, vendor in VENDORS.items()}
        urls = {f"{name.upper()}_BASE_URL": f"{origin}/{name}" for name in VENDORS}
        return {**keys, **urls, "RAVAN_PHONES": ",".join(self.world.phones)}

    def _respond(self, vendor: Vendor, request: VendorRequest, at: datetime, firings: Firings) -> VendorResponse:
        """The response to a request whose path is below the vendor's base URL, with the faults that fire on it."""
        for firing in firings:
            if firing.effect.change_world:
                firing.effect.change_world(firing)
            if firing.effect.moment:
                at = firing.effect.moment(firing, at)
        instead = (firing.effect.instead(firing) for firing in firings if firing.effect.instead)
        response = next(filter(None, instead), None) or self._routed(vendor, request, at, firings)
        for firing in firings:
            if firing.effect.response:
                response = firing.effect.response(firing, response)
        return response

    def _routed(self, vendor: Vendor, request: VendorRequest, at: datetime, firings: Firings) -> VendorResponse:
        is_detail = vendor.detail is not None and request.path.startswith(vendor.detail_path)
        if request.path != vendor.path and not is_detail:
            return json_response({"message": "Not Found"}, 404)
        if request.method != "GET":
            return json_response({"message": "Method Not Allowed"}, 405)
        if rejection := vendor.reject(request):
            return rejection
        return self._detail(vendor, request, at) if is_detail else self._list(vendor, request, at, firings)

    def _detail(self, vendor: Vendor, request: VendorRequest, at: datetime) -> VendorResponse:
        call_id = unquote(request.path.removeprefix(vendor.detail_path))
        call = self.world.find(vendor.name, call_id, at)
        if call is None or vendor.detail is None:
            return json_response(vendor.no_detail, 404)
        return replace(vendor.detail(self.world.snapshot(call, at)), ids=(call_id,))

    def _list(self, vendor: Vendor, request: VendorRequest, at: datetime, firings: Firings) -> VendorResponse:
        query = vendor.read(self.world.quirks, request)
        for firing in firings:
            if firing.effect.query and isinstance(query, ListQuery):
                query = firing.effect.query(firing, query)
        if isinstance(query, VendorResponse):
            return query
        calls = self._calls(vendor, query, at, firings)
        shown = calls[query.skip : query.skip + query.size]
        records = [self._record(vendor, call, at, query.variant) for call in shown]
        for firing in firings:
            if change := firing.effect.record:
                records = [change(firing, call, record) for call, record in zip(shown, records, strict=True)]
        page = VendorPage(
            query, tuple(call.call_id for call in shown), tuple(records), len(calls),
            last=max(1, -(-len(calls) // query.size)), has_next=query.skip + query.size < len(calls),
            path=f"http://{request.headers.get('host', 'sandbox')}/{vendor.name}{vendor.path}",
        )  # fmt: skip
        for firing in firings:
            if firing.effect.page:
                page = firing.effect.page(firing, page)
        headers = (("Content-Type", "text/csv"),) if query.variant == "csv" else JSON
        return VendorResponse(200, headers, vendor.render_page(self.world.quirks, page), page.ids)

    def _calls(self, vendor: Vendor, query: ListQuery, at: datetime, firings: Firings) -> Sequence[SimulatedCall]:
        calls = self.world.listed(vendor.name, at, query.keep, query.filters)
        if query.match:
            calls = [call for call in calls if query.match(self.world.snapshot(call, at))]
        for firing in firings:
            if firing.effect.calls:
                calls = firing.effect.calls(firing, list(calls))
        return calls

    def _record(self, vendor: Vendor, call: SimulatedCall, at: datetime, variant: str) -> bytes:
        # Three days on, a call without overrides differs from day to day only by its signed link.
        is_settled = not call.overrides and (at - call.created_at).days >= 3
        key = (vendor.name, call.call_id, call.created_at, at.date(), variant) if is_settled else None
        if (cached := self._rendered.get(key)) is not None:
            return cached
        record = to_json(vendor.render(self.world.snapshot(call, at), variant))
        if len(self._rendered) >= CACHED_RECORDS:
            self._rendered.clear()
        if is_settled:
            self._rendered[key] = record
        return record


def _compressed(request: VendorRequest, response: VendorResponse) -> VendorResponse:
    """The response in gzip, where the client accepts it and the body is worth it."""
    is_encoded = any(name.lower() == "content-encoding" for name, _ in response.headers)
    if "gzip" not in request.headers.get("accept-encoding", "") or len(response.body) < 1_000 or is_encoded:
        return response
    headers = (*response.headers, ("Content-Encoding", "gzip"))
    return replace(response, headers=headers, body=gzip.compress(response.body, compresslevel=1, mtime=0))
