"""A request to one provider becomes its answer: the key looked at, the list cut into a page, each record printed."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from threading import Lock
from urllib.parse import unquote

from etl.sandbox import autocalls, ravan, ringg, vaani
from etl.sandbox.effect import Firing
from etl.sandbox.http_messages import JSON, VendorRequest, VendorResponse, answered, dumped
from etl.sandbox.simulated_call import SimulatedCall
from etl.sandbox.vendor import ListQuery, Vendor, VendorPage
from etl.sandbox.world import World

PROVIDERS = {each.name: each for each in (ringg.PROVIDER, ravan.PROVIDER, autocalls.PROVIDER, vaani.PROVIDER)}
# About 40 MB of printed records.
CACHED_RECORDS = 20_000


class Printer:
    """Prints records as JSON and keeps what it printed: a record is a function of the call, its stage and the day."""

    def __init__(self, world: World) -> None:
        self._world, self._lock = world, Lock()
        self._printed: dict[tuple[object, ...], bytes] = {}

    def record(self, provider: Vendor, call: SimulatedCall, at: datetime, variant: str) -> bytes:
        """The record as the provider would print it at that moment."""
        # Three days on, a call that nobody touched changes no more but for what the day changes.
        if call.told or (at - call.created_at).days < 3:
            return dumped(provider.show(self._world.seen(call, at), variant))
        key = (provider.name, call.call_id, call.created_at, at.date(), variant)
        held = self._printed.get(key)
        return held or self._keep(key, dumped(provider.show(self._world.seen(call, at), variant)))

    def _keep(self, key: tuple[object, ...], body: bytes) -> bytes:
        with self._lock:
            if len(self._printed) >= CACHED_RECORDS:
                self._printed.clear()
            self._printed[key] = body
        return body


def answer(
    world: World,
    printer: Printer,
    provider: Vendor,
    request: VendorRequest,
    at: datetime,
    firing: Sequence[Firing] = (),
) -> VendorResponse:
    """The provider's answer to a request whose path is below its base URL, with the faults that fire on it."""
    for effect, hit in firing:
        if effect.stir:
            effect.stir(hit)
        if effect.moment:
            at = effect.moment(hit, at)
    instead = (effect.instead(hit) for effect, hit in firing if effect.instead)
    response = next(filter(None, instead), None)
    if response is None:
        response = _answered(world, printer, provider, request, at, firing)
    for effect, hit in firing:
        if effect.answer:
            response = effect.answer(hit, response)
    return response


def _answered(
    world: World, printer: Printer, provider: Vendor, request: VendorRequest, at: datetime, firing: Sequence[Firing]
) -> VendorResponse:
    is_detail = provider.detail is not None and request.path.startswith(provider.detail_path)
    if request.path != provider.path and not is_detail:
        return answered({"message": "Not Found"}, 404)
    if request.method != "GET":
        return answered({"message": "Method Not Allowed"}, 405)
    if refused := provider.refuse(request):
        return refused
    if is_detail:
        return _detail(world, provider, request, at)
    asked = _misread(provider.read(world.manner, request), firing)
    if isinstance(asked, VendorResponse):
        return asked
    calls = _listed(world, provider, at, asked, firing)
    shown = calls[asked.skip : asked.skip + asked.size]
    records = _printed(printer, provider, shown, at, asked.variant, firing)
    page = _page(provider, request, asked, calls, shown, records)
    for effect, hit in firing:
        if effect.page:
            page = effect.page(hit, page)
    headers = (("Content-Type", "text/csv"),) if asked.variant == "csv" else JSON
    return VendorResponse(200, headers, provider.print_page(world.manner, page), page.ids)


def _detail(world: World, provider: Vendor, request: VendorRequest, at: datetime) -> VendorResponse:
    call_id = unquote(request.path.removeprefix(provider.detail_path))
    call = world.find(provider.name, call_id, at)
    if call is None or provider.detail is None:
        return answered(provider.missing, 404)
    return replace(provider.detail(world.seen(call, at)), ids=(call_id,))


def _misread(asked: ListQuery | VendorResponse, firing: Sequence[Firing]) -> ListQuery | VendorResponse:
    for effect, hit in firing:
        if effect.ask and isinstance(asked, ListQuery):
            asked = effect.ask(hit, asked)
    return asked


def _listed(
    world: World, provider: Vendor, at: datetime, asked: ListQuery, firing: Sequence[Firing]
) -> Sequence[SimulatedCall]:
    calls = world.listed(provider.name, at, asked.keep, asked.by)
    if asked.match:
        calls = [call for call in calls if asked.match(world.seen(call, at))]
    for effect, hit in firing:
        if effect.calls:
            calls = effect.calls(hit, list(calls))
    return calls


def _printed(
    printer: Printer,
    provider: Vendor,
    shown: Sequence[SimulatedCall],
    at: datetime,
    variant: str,
    firing: Sequence[Firing],
) -> tuple[bytes, ...]:
    records = [printer.record(provider, call, at, variant) for call in shown]
    for effect, hit in firing:
        if effect.record:
            records = [effect.record(hit, call, record) for call, record in zip(shown, records, strict=True)]
    return tuple(records)


def _page(
    provider: Vendor, request: VendorRequest, asked: ListQuery, calls: Sequence[SimulatedCall], shown: Sequence[SimulatedCall],
    records: tuple[bytes, ...],
) -> VendorPage:  # fmt: skip
    last = max(1, -(-len(calls) // asked.size))
    path = f"http://{request.headers.get('host', 'sandbox')}/{provider.name}{provider.path}"
    has_next = asked.skip + asked.size < len(calls)
    return VendorPage(asked, tuple(call.call_id for call in shown), records, len(calls), last, has_next, path)
