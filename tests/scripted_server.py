"""Bytes that a test writes down → a server on loopback that sends exactly those."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Responder = Callable[[socket.socket], None]


@dataclass
class Proxy:
    """A loopback port that is stuck once the event is set; ``ends`` are the sockets of its connections."""

    port: int
    is_stuck: threading.Event
    ends: list[socket.socket]


@dataclass
class Toxics:
    """What a proxy does to what it passes on: small slices, a pause before each, and answers that are lost.

    ``lose_answer_to`` words in a request: the connection ends once the peer has answered, and its client never knows.
    """

    slice_bytes: int = 65536
    pause_seconds: float = 0.0
    lose_answer_to: bytes | None = None
    answers_to_lose: int = 1


@dataclass
class Server:
    """A loopback server; ``heard`` are the heads of the requests it received."""

    port: int
    heard: list[bytes] = field(default_factory=list)


@contextmanager
def serve(*talks: Responder, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Serve each connection by the next responder, later ones by the last; it starts after the request's head."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(listener.getsockname()[1])

    def serve() -> None:
        turn = 0
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            talk = talks[min(turn, len(talks) - 1)]
            turn += 1
            threads.append(threading.Thread(target=_talk, args=(connection, talk, server, tls), daemon=True))
            threads[-1].start()

    threads = [threading.Thread(target=serve, daemon=True)]
    threads[0].start()
    try:
        yield server
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in threads:
            thread.join(10)


@contextmanager
def stuck_proxy(port: int, toxics: Toxics | None = None) -> Iterator[Proxy]:
    """Pass bytes on between a loopback port and another until it is stuck.

    From then on both sides stay open and nothing arrives, as behind a stuck pooler or a firewall.
    """
    listener, is_stuck, ends = socket.create_server(("127.0.0.1", 0)), threading.Event(), list[socket.socket]()
    proxy, toxics, losing = Proxy(listener.getsockname()[1], is_stuck, ends), toxics or Toxics(), set[socket.socket]()

    def forward(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while (piece := one.recv(toxics.slice_bytes)) and not is_stuck.is_set():
                if other in losing:  # the answer: it is there, and is not passed on
                    break
                if toxics.lose_answer_to and toxics.lose_answer_to in piece and toxics.answers_to_lose:
                    toxics.answers_to_lose -= 1
                    losing.add(one)
                time.sleep(toxics.pause_seconds)
                other.sendall(piece)
            if not piece or other in losing:
                other.shutdown(socket.SHUT_RDWR if other in losing else socket.SHUT_WR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                peer = socket.create_connection(("127.0.0.1", port))
                ends.extend((client, peer))
                for pair in ((client, peer), (peer, client)):
                    threading.Thread(target=forward, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield proxy
    finally:
        for end in (listener, *ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def _talk(connection: socket.socket, talk: Responder, server: Server, tls: ssl.SSLContext | None) -> None:
    with connection, suppress(OSError):
        connection.settimeout(10)
        stream = tls.wrap_socket(connection, server_side=True) if tls else connection
        with stream:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = stream.recv(65536)
                if not piece:
                    return
                head += piece
            server.heard.append(head)
            talk(stream)


def sends(*pieces: bytes, pause: float = 0.0, gone: threading.Event | None = None) -> Responder:
    """Send the pieces one after the other; a pause between them ends early once ``gone`` is set."""

    def talk(connection: socket.socket) -> None:
        for piece in pieces:
            connection.sendall(piece)
            if pause and (gone or threading.Event()).wait(pause):
                return

    return talk


def http_response(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A complete response with its Content-Length, after which the connection closes."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
