"""The sandbox as an httpx transport: the same responses without a socket, for tests with a clock of their own."""

from collections.abc import Sequence

import httpx

from etl.sandbox.faults import Fault
from etl.sandbox.http_messages import VendorRequest
from etl.sandbox.vendor_api import VendorApi
from etl.sandbox.world import World

ORIGIN = "http://127.0.0.1:1"


class SandboxTransport(httpx.BaseTransport):
    """Answers from a world; faults of the connection become the httpx errors that they cause."""

    def __init__(self, world: World, faults: Sequence[Fault] = ()) -> None:
        self._api = VendorApi(world, faults)
        self.requests = self._api.requests

    def environment(self) -> dict[str, str]:
        """The environment of `etl` for this sandbox; nothing ever connects to its origin."""
        return self._api.environment(ORIGIN)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The response to a request. Raises httpx.ReadTimeout, ReadError or RemoteProtocolError for a fault."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        path = request.url.raw_path.decode("ascii").partition("?")[0]
        response = self._api.answer(VendorRequest(request.method, path, dict(request.url.params), headers))
        options = response.send_options
        if options.delay_seconds or options.bytes_per_second:
            raise httpx.ReadTimeout("the sandbox delays its answer", request=request)
        if options.reset:
            raise httpx.ReadError("the sandbox reset the connection", request=request)
        if options.is_endless or (options.sent_share < 1 and options.is_sized):
            raise httpx.RemoteProtocolError("the sandbox closed the connection", request=request)
        raw = [(name.encode(), value.encode("latin-1")) for name, value in response.headers]
        return httpx.Response(response.status, headers=raw, stream=httpx.ByteStream(options.sent(response.body)))
