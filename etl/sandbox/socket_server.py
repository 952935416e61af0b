"""A world becomes a server on loopback: HTTP/1.1 with keep-alive, and the faults that only a socket can have."""

import socket
import struct
import sys
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from etl.sandbox.faults import Fault
from etl.sandbox.http_messages import VendorRequest, VendorResponse
from etl.sandbox.vendor_api import VendorApi, environment
from etl.sandbox.world import World

# How much goes out at once when the body is paced.
DRIP_SECONDS = 0.05


class Sandbox:
    """The four providers on one port, from `with` on until its end; `requests` is the ledger of what was served.

    Raises OSError where the port is taken.
    """

    def __init__(self, world: World, faults: Sequence[Fault] = (), host: str = "127.0.0.1", port: int = 0) -> None:
        self.service = VendorApi(world, faults)
        self.requests = self.service.requests
        self._server = _Server((host, port), _RequestHandler)
        self._server.service = self.service
        self._thread: Thread | None = None

    @property
    def origin(self) -> str:
        """Where it listens, such as http://127.0.0.1:4711."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def environment(self) -> dict[str, str]:
        """The environment of `etl` for this sandbox: keys, base URLs and Ravan's phones."""
        return environment(self.origin, self.service.world.phones)

    def serve_forever(self) -> None:
        """Serves in this thread until it is interrupted."""
        try:
            self._server.serve_forever(poll_interval=0.2)
        finally:
            self._server.server_close()

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), name="sandbox", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()
        if self._thread:
            self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    service: VendorApi

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(address, handler)

    def process_request(self, request: object, client_address: object) -> None:
        """Remembers the connection, so that none outlives the sandbox."""
        if isinstance(request, socket.socket):
            self._open.add(request)
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def shutdown_request(self, request: object) -> None:
        """Forgets the connection."""
        if isinstance(request, socket.socket):
            self._open.discard(request)
            if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER):
                # An orderly shutdown first would turn the reset into an end.
                request.close()
                return
        super().shutdown_request(request)  # type: ignore[arg-type]

    def close_connections(self) -> None:
        """Wakes the handlers that wait on idle keep-alive connections."""
        for connection in tuple(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def handle_error(self, request: object, client_address: object) -> None:
        """Shows what went wrong here; a client that went away is no error of the sandbox."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _RequestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: _Server

    def do_GET(self) -> None:
        """Answers one request."""
        target = urlsplit(self.path)
        query = dict(parse_qsl(target.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._send(self.server.service.answer(VendorRequest(self.command, target.path, query, headers)))

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *args: object, **kwargs: object) -> None:
        """Stays quiet: the ledger knows."""

    def _send(self, response: VendorResponse) -> None:
        wire = response.wire
        time.sleep(wire.hold)
        self.close_connection = self.close_connection or wire != type(wire)()
        self.send_response_only(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        if wire.is_endless:
            self._pad()
            return
        if wire.is_sized and response.status != 204:
            self.send_header("Content-Length", str(len(response.body)))
        elif not wire.is_sized:
            self.send_header("Connection", "close")
        self.end_headers()
        self._send_body(response)

    def _pad(self) -> None:
        # A client without a bound on headers is let go after a minute.
        for count in range(int(60 / DRIP_SECONDS)):
            self.send_header(f"X-Pad-{count}", "x" * 100)
            self.flush_headers()
            self.wfile.flush()
            time.sleep(DRIP_SECONDS)

    def _send_body(self, response: VendorResponse) -> None:
        wire, body = response.wire, response.wire.part(response.body)
        step = max(1, int(wire.pace * DRIP_SECONDS)) if wire.pace else max(1, len(body))
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            if wire.pace:
                self.wfile.flush()
                time.sleep(DRIP_SECONDS)
        self.wfile.flush()
        if wire.reset:
            # A linger of zero makes the close a reset instead of an orderly end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
