"""Turns a request for a source into the value read from its answer: the only HTTP, paced, bounded and retried."""

import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Generic, NamedTuple, Protocol, TypeVar
from urllib.parse import quote, unquote, urlencode

import httpx

from etl.client import transport
from etl.client.body import BodyTooLarge, Bounds, TruncatedBody, read_body
from etl.client.errors import PauseReason, RequestRefused, ResponseTooLarge, SourcePaused, SourceUnavailable
from etl.client.status_policy import (
    TRIES,
    AccessDenied,
    RateLimited,
    RetryableError,
    classify_status,
    classify_transport_error,
    invalid_body,
)
from etl.client.transport import DeadlineTransport
from etl.decode import decode
from etl.model import HttpRequest, InvalidResponse, ResponseBody, Source
from etl.runtime.clock import Clock
from etl.runtime.logs import event
from etl.runtime.tracing import span
from etl.runtime.urls import Origin, origin_of

T = TypeVar("T")
Transport = httpx.BaseTransport
"""What sends requests: the network, unless a test has another."""
_log = logging.getLogger(__name__)

PAUSE = timedelta(minutes=15)
LONGEST_HOLD = 3600.0
MIN_RETRIES = 20
RETRIES_PER_REQUEST = 0.1
IN_FLIGHT = 8
_REFUSAL = Bounds(size=64 << 10)
_PATH = re.compile(r"/[A-Za-z0-9._~%/:-]+\Z")


class RequestLimiter(Protocol):
    """What all processes that read a source share: its pace, and how long it wants to be left alone."""

    def acquire(self) -> int:
        """Blocks until one request may be sent; gives its sequence number, larger than all before."""

    def back_off_until(self, until: datetime) -> None:
        """No request of this source before this time, whoever asks; kept across restarts, never shortened."""

    def on_rate_limited(self, seq: int) -> None:
        """The request of this number was one too many, although the pace was kept: a lower one is in order."""

    def suspend(self, until: datetime, reason: PauseReason) -> None:
        """The source is paused until this time; only a run that a person starts ignores that."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one request may take in all, in seconds, and how large its answer may be."""

    seconds: float = 60.0
    body: Bounds = field(default_factory=Bounds)


class Response(NamedTuple, Generic[T]):
    """What was read, the sequence number that its request started with, and when the answer was there."""

    value: T
    seq: int
    received_at: datetime


class Client:
    """One run's connections to one source; several threads may use it at once.

    ``credential`` makes the header of a key, ``random`` gives numbers in [0, 1), ``transport`` replaces the network.
    """

    def __init__(
        self,
        source: Source,
        credential: Callable[[str], tuple[str, str]],
        gate: RequestLimiter,
        clock: Clock,
        random: Callable[[], float],
        transport: httpx.BaseTransport | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._source = source
        self._credential = credential
        self._gate = gate
        self._clock = clock
        self._random = random
        self._limits = limits or Limits()
        self._origin = origin_of(source.base_url)
        self._echoes = _echoes(source.api_key.reveal())
        # The transport is used by itself: no client above it, no redirect, cookie, proxy or log of a URL to switch off.
        self._transport = transport or DeadlineTransport(source.base_url, clock)
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(IN_FLIGHT)
        self._requests = 0
        self._retries = 0

    @property
    def requests(self) -> int:
        """How many requests were sent, those tried again included."""
        return self._requests

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def get(self, request: HttpRequest, read: Callable[[ResponseBody], T]) -> Response[T]:
        """Sends a request until an answer can be read, and gives what ``read`` makes of it.

        ``read`` may raise :class:`~etl.model.InvalidResponse`, and the request is sent again; its other errors pass through.
        Raises :class:`~etl.client.errors.SourceError`.
        """
        url = self._url(request)
        attempt = 0
        while True:
            attempt += 1
            try:
                with self._places:
                    seq = self._gate.acquire()
                    body = self._send(url)
                received_at = self._clock.now()
                return Response(read(decode(body)), seq, received_at)
            except AccessDenied as barred:
                raise self._pause(barred) from None
            except RateLimited as throttled:
                if throttled.status == 429 and attempt == 1:  # the later tries come after a wait: no haste of ours
                    self._gate.on_rate_limited(seq)
                self._hold(throttled, attempt)
            except InvalidResponse as malformed:
                self._retry(invalid_body(str(malformed)), attempt)
            except RetryableError as fault:
                self._retry(fault, attempt)

    def _pause(self, barred: AccessDenied) -> SourcePaused:
        until = self._clock.now() + PAUSE
        self._gate.suspend(until, barred.reason)
        return SourcePaused(self._source.name, barred.reason.problem, barred.reason.hint, barred.status, until)

    def _hold(self, throttled: RateLimited, attempt: int) -> None:
        """Leaves the whole source alone as long as it asks, or an hour at most; then pauses it."""
        seconds = throttled.seconds
        if seconds is None:
            seconds = max(1.0, self._random() * min(900.0, 30.0 * 2 ** (attempt - 1)))
        until = self._clock.now() + timedelta(seconds=min(seconds, LONGEST_HOLD))
        self._gate.back_off_until(until)
        event(_log, "rate_limited", level=logging.WARNING, **self._about(throttled.status, seconds))
        if seconds > LONGEST_HOLD or attempt >= TRIES:
            problem, hint = PauseReason.RATE_LIMITED.problem, f"no request is sent before {until:%Y-%m-%d %H:%M:%S} UTC"
            self._gate.suspend(until, PauseReason.RATE_LIMITED)
            raise SourcePaused(self._source.name, problem, hint, throttled.status, until) from None

    def _retry(self, fault: RetryableError, attempt: int) -> None:
        """Waits a little before the next try, or gives up."""
        if attempt >= fault.tries or not self._take_retry():
            raise fault.error(self._source.name, fault.problem, fault.hint, fault.status) from None
        seconds = self._random() * min(60.0, 2.0 ** (attempt - 1))
        event(
            _log, "request_retried", level=logging.WARNING, problem=fault.problem, **self._about(fault.status, seconds)
        )
        self._clock.sleep(seconds)

    def _about(self, status: int | None, seconds: float) -> dict[str, object]:
        return {"source": self._source.name, "status": status, "seconds": round(seconds, 1)}

    def _take_retry(self) -> bool:
        """Takes one retry from the run's budget, so that a source in trouble is not asked five times as much."""
        with self._lock:
            self._retries += 1
            return self._retries <= max(MIN_RETRIES, self._requests * RETRIES_PER_REQUEST)

    def _send(self, url: str) -> bytes:
        """One request and its whole body; raises what :mod:`etl.client.status_policy` says for anything else."""
        with self._lock:
            self._requests += 1
        until = self._clock.monotonic() + self._limits.seconds
        with span("request", source=self._source.name), _failures(self._source.name), transport.deadline(until):
            response = self._transport.handle_request(self._signed(url))
            try:
                return self._body(response)
            finally:
                response.close()

    def _body(self, response: httpx.Response) -> bytes:
        headers, status = response.headers, response.status_code
        coding, length = headers.get("content-encoding", ""), headers.get("content-length")
        if response.is_success:
            return self._without_key(read_body(_wire(response), coding, length, self._limits.body))
        detail = read_body(_wire(response), coding, length, _REFUSAL) if status == 422 else b""
        raise classify_status(self._source.name, status, headers, detail, self._clock.now())

    def _without_key(self, body: bytes) -> bytes:
        for echo in self._echoes:
            body = body.replace(echo, b"***")
        return body

    def _signed(self, url: str) -> httpx.Request:
        """The request with the key, which goes on this one request, and only to the source's own origin."""
        timeout = httpx.Timeout(self._limits.seconds, connect=transport.CONNECT_SECONDS)
        request = httpx.Request("GET", url, headers=_headers(), extensions={"timeout": timeout.as_dict()})
        target = request.url
        origin = Origin(target.scheme, target.host, target.port or (443 if target.scheme == "https" else 80))
        if origin != self._origin or target.userinfo:
            raise RuntimeError(f"{self._source.name}: a request was about to leave the source's own host")
        name, value = self._credential(self._source.api_key.reveal())
        request.headers[name] = value
        return request

    def _url(self, request: HttpRequest) -> str:
        """Base URL, path and query as one text; a path that would climb out of the base URL is refused."""
        plain = unquote(unquote(request.path))
        climbs = any(segment in ("", ".", "..") for segment in re.split(r"[/\\]", plain)[1:])
        if climbs or not plain.isprintable() or not _PATH.match(request.path):
            problem, hint = "an id of the provider cannot be part of a URL", "this request is skipped"
            raise RequestRefused(self._source.name, problem, hint)
        query = urlencode(request.query, quote_via=quote, safe="")
        return f"{self._source.base_url.rstrip('/')}{request.path}{'?' if query else ''}{query}"


def _wire(response: httpx.Response) -> httpx.SyncByteStream:
    """The body's bytes as they come: httpx's own decoder takes half a gzip for a whole one."""
    if not isinstance(response.stream, httpx.SyncByteStream):
        raise TypeError("the transport is asynchronous")
    return response.stream


@contextmanager
def _failures(source: str) -> Iterator[None]:
    """No exception of httpx, whose text may show the URL, leaves this room."""
    try:
        yield
    except TruncatedBody as cut:
        raise RetryableError(f"the answer is cut off: {cut}") from None
    except BodyTooLarge:
        raise ResponseTooLarge(source, "the answer is larger than any page may be", "ask for a smaller page") from None
    except transport.ForbiddenAddress:
        hint = "check base_url, and the name server of this machine"
        raise SourceUnavailable(source, "the host name resolves to a private network", hint) from None
    except httpx.InvalidURL:
        raise RequestRefused(source, "the request makes no address", "check base_url and phones") from None
    except httpx.HTTPError as error:
        raise classify_transport_error(error) from None


@cache
def _headers() -> dict[str, str]:
    try:
        release = version("callhouse")
    except PackageNotFoundError:  # run from a tree that was never installed
        release = "0"
    return {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": f"callhouse/{release}"}


def _echoes(key: str) -> tuple[bytes, ...]:
    """The key as an answer might repeat it; one so short that it stands in other words by chance is left alone."""
    forms = {key, json.dumps(key)[1:-1], key.replace("/", "\\/"), quote(key, safe="")}
    return tuple(form.encode() for form in sorted(forms, key=len, reverse=True)) if len(key) >= 8 else ()
