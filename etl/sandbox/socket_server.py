"""A world → a server on loopback: HTTP/1.1 with keep-alive, and the faults that only a socket can have."""

import socket
import struct
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from etl.sandbox.faults import Fault
from etl.sandbox.http_messages import VendorRequest, VendorResponse
from etl.sandbox.vendor_api import VendorApi
from etl.sandbox.world import World

CHUNK_SECONDS = 0.05  # a body with a rate is sent in chunks, one every so often


class Sandbox(ThreadingHTTPServer):
    """The four vendors on one port; `requests` logs what was served. Raises OSError where the port is taken.

    It serves in a thread of its own inside `with`, or in this one by `serve_forever`.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, world: World, faults: Sequence[Fault] = (), port: int = 0) -> None:
        self.world, self.api = world, VendorApi(world, faults)
        self.requests = self.api.requests
        self._open: set[socket.socket] = set()
        self._thread = Thread(target=self.serve_forever, args=(0.02,), name="sandbox", daemon=True)
        super().__init__(("127.0.0.1", port), _RequestHandler)

    @property
    def origin(self) -> str:
        """Where it listens, such as http://127.0.0.1:4711."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def environment(self) -> dict[str, str]:
        """The environment of `etl` for this sandbox: keys, base URLs and Ravan's phones."""
        return self.api.environment(self.origin)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self._close_connections()
        self.server_close()
        self._thread.join()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remembers the connection, so that none outlives the sandbox."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forgets the connection."""
        self._open.discard(request)
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER):
            request.close()  # an orderly shutdown would send FIN instead of RST
        else:
            super().shutdown_request(request)

    def _close_connections(self) -> None:
        """Wakes the handlers that wait on idle keep-alive connections."""
        for connection in tuple(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Shows what went wrong here; a client that went away is no error of the sandbox."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _RequestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: Sandbox

    def do_GET(self) -> None:
        """Answers one request."""
        target = urlsplit(self.path)
        query = dict(parse_qsl(target.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._send(self.server.api.answer(VendorRequest(self.command, target.path, query, headers)))

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *args: object, **kwargs: object) -> None:
        """Logs nothing to stderr: `requests` has it."""

    def _send(self, response: VendorResponse) -> None:
        options = response.send_options
        time.sleep(options.delay_seconds)
        self.close_connection = self.close_connection or options != type(options)()
        self.send_response_only(response.status)
        for name, value in response.headers:
            self.send_header(name, value)
        if options.is_endless:
            self._send_endless_headers()
            return
        if options.is_sized and response.status != 204:
            self.send_header("Content-Length", str(len(response.body)))
        elif not options.is_sized:
            self.send_header("Connection", "close")
        self.end_headers()
        self._send_body(response)

    def _send_endless_headers(self) -> None:
        # A client without a limit on headers is released after a minute.
        for count in range(int(60 / CHUNK_SECONDS)):
            self.send_header(f"X-Pad-{count}", "x" * 100)
            self.flush_headers()
            self.wfile.flush()
            time.sleep(CHUNK_SECONDS)

    def _send_body(self, response: VendorResponse) -> None:
        options, body = response.send_options, response.send_options.sent(response.body)
        rate = options.bytes_per_second
        step = max(1, int(rate * CHUNK_SECONDS) if rate else len(body))
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            if rate:
                self.wfile.flush()
                time.sleep(CHUNK_SECONDS)
        self.wfile.flush()
        if options.reset:
            # A linger of zero makes the close a reset instead of an orderly end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
