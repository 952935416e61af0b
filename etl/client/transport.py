"""A host → connections with one deadline for a whole request, to public addresses or loopback only."""

import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from typing import Any

import certifi
import httpcore
import httpx

from etl.runtime.clock import Clock
from etl.runtime.urls import ip_of, is_loopback

CONNECT_SECONDS = 10.0
SLICE_SECONDS = 0.5  # how long a read goes on after the process was asked to stop
_deadline: ContextVar[float] = ContextVar("deadline")

Resolve = Callable[[str, int], list[str]]
MayConnect = Callable[[str, str], bool]


class ForbiddenAddress(Exception):
    """The host name resolves to an address in a private network."""


def addresses_of(host: str, port: int) -> list[str]:
    """The addresses of a host, in the order in which the system would try them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(info[4][0]) for info in found]


@contextmanager
def deadline(at: float) -> Iterator[None]:
    """All reads and writes of this thread inside end by this time of the monotonic clock."""
    token = _deadline.set(at)
    try:
        yield
    finally:
        _deadline.reset(token)


def _may_connect(host: str, address: str) -> bool:
    ip = ip_of(address.partition("%")[0])
    return ip is not None and (ip.is_loopback if is_loopback(host) else ip.is_global)


class DeadlineTransport(httpx.HTTPTransport):
    """httpx's transport over :class:`PinnedBackend`: httpx limits each read, a deadline limits the whole request."""

    def __init__(
        self,
        base_url: str,
        clock: Clock,
        connections: int = 8,
        resolve: Resolve = addresses_of,
        may_connect: MayConnect = _may_connect,
    ) -> None:
        context = _trusted() if base_url.startswith("https:") else _untrusting()
        super().__init__(verify=context, trust_env=False, http2=False)
        self._pool.close()
        # httpx has no argument for a network backend; httpcore below it has.
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=15.0,
            network_backend=PinnedBackend(clock, resolve, may_connect),
        )


class PinnedBackend(httpcore.SyncBackend):
    """Connections to an address that was resolved once and checked before connecting to it."""

    def __init__(self, clock: Clock, resolve: Resolve, may_connect: MayConnect = _may_connect) -> None:
        self._left = _TimeBudget(clock)
        self._resolve, self._may_connect = resolve, may_connect

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A stream to the first address that accepts; a name with any forbidden address is refused."""
        failure: httpcore.ConnectError | httpcore.ConnectTimeout = httpcore.ConnectError("no address")
        for address in self._allowed(host, port):
            try:
                seconds = self._left(CONNECT_SECONDS, httpcore.ConnectTimeout)
                return _Stream(super().connect_tcp(address, port, seconds, local_address, socket_options), self._left)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def _allowed(self, host: str, port: int) -> list[str]:
        try:
            addresses = self._resolve(host, port)
        except (OSError, UnicodeError):  # a label of the name may be too long to resolve
            raise httpcore.ConnectError("the name does not resolve") from None
        if not all(self._may_connect(host, address) for address in addresses):
            raise ForbiddenAddress
        return addresses


class _TimeBudget:
    """The seconds left until the thread's deadline, at most ``most``; raises when there are none."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __call__(self, most: float | None, error: type[Exception]) -> float:
        seconds = _deadline.get() - self._clock.monotonic()
        if seconds <= 0:
            raise error("the deadline has passed")
        return seconds if most is None else min(seconds, most)

    def in_slices(self, most: float | None) -> Iterator[float]:
        """The same seconds of a read in short ones; between them a process that was asked to stop stops."""
        seconds = self(most, httpcore.ReadTimeout)
        while seconds > 0:
            yield min(seconds, SLICE_SECONDS)
            seconds -= SLICE_SECONDS
            self._clock.sleep(0)


class _Stream(httpcore.NetworkStream):
    """A connection on which no read, write or handshake outlasts the request's deadline."""

    def __init__(self, inner: httpcore.NetworkStream, left: _TimeBudget) -> None:
        self._inner = inner
        self._left = left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        for seconds in self._left.in_slices(timeout):
            with suppress(httpcore.ReadTimeout):
                return self._inner.read(max_bytes, seconds)
        raise httpcore.ReadTimeout("the response did not arrive in time")

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        seconds = self._left(CONNECT_SECONDS, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, seconds), self._left)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


@cache
def _trusted() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@cache
def _untrusting() -> ssl.SSLContext:
    """For plain HTTP to loopback: trusts no certificate, and saves loading the authorities."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
