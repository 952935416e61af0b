"""A request to one vendor → its response: the key is checked, the list cut into a page, each record rendered."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from threading import Lock
from urllib.parse import unquote

from etl.sandbox import autocalls, ravan, ringg, vaani
from etl.sandbox.effect import FaultFiring
from etl.sandbox.http_messages import JSON, VendorRequest, VendorResponse, json_response, to_json
from etl.sandbox.simulated_call import SimulatedCall
from etl.sandbox.vendor import ListQuery, Vendor, VendorPage
from etl.sandbox.world import World

VENDORS = {vendor.name: vendor for vendor in (ringg.VENDOR, ravan.VENDOR, autocalls.VENDOR, vaani.VENDOR)}
CACHED_RECORDS = 20_000  # about 40 MB


class Responder:
    """Answers for the vendors over one world. A record that no longer changes is rendered once a day."""

    def __init__(self, world: World) -> None:
        self._world, self._lock = world, Lock()
        self._rendered: dict[tuple[object, ...], bytes] = {}

    def respond(
        self, vendor: Vendor, request: VendorRequest, at: datetime, firings: Sequence[FaultFiring] = ()
    ) -> VendorResponse:
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

    def _routed(
        self, vendor: Vendor, request: VendorRequest, at: datetime, firings: Sequence[FaultFiring]
    ) -> VendorResponse:
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
        call = self._world.find(vendor.name, call_id, at)
        if call is None or vendor.detail is None:
            return json_response(vendor.no_detail, 404)
        return replace(vendor.detail(self._world.snapshot(call, at)), ids=(call_id,))

    def _list(
        self, vendor: Vendor, request: VendorRequest, at: datetime, firings: Sequence[FaultFiring]
    ) -> VendorResponse:
        query = vendor.read(self._world.quirks, request)
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
        return VendorResponse(200, headers, vendor.render_page(self._world.quirks, page), page.ids)

    def _calls(
        self, vendor: Vendor, query: ListQuery, at: datetime, firings: Sequence[FaultFiring]
    ) -> Sequence[SimulatedCall]:
        calls = self._world.listed(vendor.name, at, query.keep, query.filters)
        if query.match:
            calls = [call for call in calls if query.match(self._world.snapshot(call, at))]
        for firing in firings:
            if firing.effect.calls:
                calls = firing.effect.calls(firing, list(calls))
        return calls

    def _record(self, vendor: Vendor, call: SimulatedCall, at: datetime, variant: str) -> bytes:
        # Three days on, a call without overrides differs from day to day only by its signed link.
        if call.overrides or (at - call.created_at).days < 3:
            return to_json(vendor.render(self._world.snapshot(call, at), variant))
        key = (vendor.name, call.call_id, call.created_at, at.date(), variant)
        if (cached := self._rendered.get(key)) is not None:
            return cached
        record = to_json(vendor.render(self._world.snapshot(call, at), variant))
        with self._lock:
            if len(self._rendered) >= CACHED_RECORDS:
                self._rendered.clear()
            self._rendered[key] = record
        return record
