"""The sandbox as an httpx transport: the very same answers without a socket, for tests under a clock of their own."""

from collections.abc import Sequence

import httpx

from etl.sandbox.faults import Fault
from etl.sandbox.http_messages import VendorRequest
from etl.sandbox.vendor_api import VendorApi, environment
from etl.sandbox.world import World

ORIGIN = "http://127.0.0.1:1"


class SandboxTransport(httpx.BaseTransport):
    """Answers from a world; faults of the wire become the httpx errors that they cause. `requests` is the ledger."""

    def __init__(self, world: World, faults: Sequence[Fault] = ()) -> None:
        self._service = VendorApi(world, faults)
        self.requests = self._service.requests

    def environment(self) -> dict[str, str]:
        """The environment of `etl` for this sandbox; its origin is never connected to."""
        return environment(ORIGIN, self._service.world.phones)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One answer. Raises httpx.ReadTimeout, ReadError or RemoteProtocolError where the plan says so."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        path = request.url.raw_path.decode("ascii").partition("?")[0]
        response = self._service.answer(VendorRequest(request.method, path, dict(request.url.params), headers))
        wire = response.wire
        if wire.hold or wire.pace:
            raise httpx.ReadTimeout("the sandbox holds its answer", request=request)
        if wire.reset:
            raise httpx.ReadError("the sandbox reset the connection", request=request)
        if wire.is_endless or (wire.cut is not None and wire.is_sized):
            raise httpx.RemoteProtocolError("the sandbox closed the connection", request=request)
        headers_out = [(name.encode(), value.encode("latin-1")) for name, value in response.headers]
        return httpx.Response(response.status, headers=headers_out, stream=httpx.ByteStream(wire.part(response.body)))
