"""A request for a source → the value read from its response, rate-limited, bounded and retried."""

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, NamedTuple, Protocol, TypeVar
from urllib.parse import quote, unquote, urlencode

import httpx

from etl import __version__
from etl.client import transport
from etl.client.body import BodyLimits, BodyTooLarge, TruncatedBody, read_body
from etl.client.errors import PauseReason, RequestRefused, ResponseTooLarge, SourcePaused, SourceUnavailable
from etl.client.retry_after import instant
from etl.client.status_policy import (
    NEXT_RUN,
    TRIES,
    RetryableError,
    RetryLater,
    classify_status,
    classify_transport_error,
    invalid_body,
)
from etl.client.transport import DeadlineTransport
from etl.decode import decode, utf8
from etl.model import HttpRequest, InvalidResponse, ResponseBody, Source, TooManyValues
from etl.runtime.clock import Clock
from etl.runtime.humanize import clock_difference
from etl.runtime.logs import event
from etl.runtime.redaction import Redaction
from etl.runtime.tracing import span
from etl.runtime.urls import Origin, origin_of

T = TypeVar("T")
Transport = httpx.BaseTransport
"""What sends requests: the network, unless a test replaces it."""
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": f"callhouse/{__version__}"}

_log = logging.getLogger(__name__)

CLOCK_TOLERANCE_SECONDS = 60  # a slow response has an older date
MAX_WAIT_SECONDS = 3600.0
MIN_RETRY_BUDGET = 20
RETRIES_PER_REQUEST = 0.1
MAX_IN_FLIGHT = 8
SHORTEST_KEY = 8
_ERROR_BODY = BodyLimits(size_bytes=64 << 10)
_PATH = re.compile(r"/[A-Za-z0-9._~%/:-]+\Z")


class RequestLimiter(Protocol):
    """The rate limit of a source, shared by all processes that read it."""

    def acquire(self) -> int:
        """Blocks until one request may be sent; returns its sequence number, larger than all before."""

    def back_off_until(self, until: datetime) -> None:
        """Allows no request to this source before this time, also after a restart; never shortens a wait."""

    def on_rate_limited(self, seq: int) -> None:
        """Reports that the request with this number was refused although it kept the rate, which is then lowered."""

    def suspend(self, until: datetime, reason: PauseReason) -> None:
        """Pauses the source until this time; only a run that a person starts ignores that."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one request may take in all, and how large its body may be."""

    seconds: float = 60.0
    body: BodyLimits = field(default_factory=BodyLimits)


class Response(NamedTuple, Generic[T]):
    """The value read, the sequence number of its request, and when the response had arrived."""

    value: T
    seq: int
    received_at: datetime


class Client:
    """One run's connections to one source; thread-safe.

    ``credential`` gives the header for a key, ``random`` a number in [0, 1); ``transport`` replaces the network.
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
        # a key so short that it may be part of a word is not replaced
        self._redaction = Redaction([source.api_key] if len(source.api_key.reveal()) >= SHORTEST_KEY else [])
        # A transport without httpx.Client: no redirects, cookies, proxies or logged URLs to switch off.
        self._transport = transport or DeadlineTransport(source.base_url, clock)
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(MAX_IN_FLIGHT)
        self._requests = 0
        self.clock_difference: str | None = None  # from the provider's clock, once a response has said it
        self._retries = 0

    @property
    def requests(self) -> int:
        """How many requests were sent, retries included."""
        return self._requests

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def get(self, request: HttpRequest, read: Callable[[ResponseBody], T]) -> Response[T]:
        """Sends a request until ``read`` accepts its response, and returns the value.

        Where ``read`` raises :class:`~etl.model.InvalidResponse`, the request is sent again.
        Raises :class:`~etl.client.errors.SourceError`.
        """
        url = self._url(request)
        attempt = 0
        while True:
            attempt += 1
            try:
                with self._slots:
                    seq = self._gate.acquire()
                    body = self._send(url)
                received_at = self._clock.now()
                return Response(read(decode(body)), seq, received_at)
            except RetryLater as later:
                if later.status == 429 and attempt == 1:  # later attempts follow a wait: the rate is not the cause
                    self._gate.on_rate_limited(seq)
                self._back_off(later, attempt)
            except TooManyValues as many:
                raise ResponseTooLarge(self._source.name, str(many), "request a smaller page") from None
            except InvalidResponse as invalid:
                self._wait_for_retry(invalid_body(self._source, str(invalid)), attempt)
            except RetryableError as error:
                self._wait_for_retry(error, attempt)

    def _back_off(self, later: RetryLater, attempt: int) -> None:
        """Waits as long as the source asks, at most an hour; beyond that, or after the last attempt, pauses it."""
        seconds = later.seconds
        if seconds is None:
            seconds = max(1.0, self._random() * min(900.0, 30.0 * 2 ** (attempt - 1)))
        until = self._clock.now() + timedelta(seconds=min(seconds, MAX_WAIT_SECONDS))
        self._gate.back_off_until(until)
        event(_log, "rate_limited", level=logging.WARNING, **self._about(later.status, seconds))
        if seconds > MAX_WAIT_SECONDS or attempt >= TRIES:
            problem, hint = PauseReason.RATE_LIMITED.problem, f"no request is sent before {until:%Y-%m-%d %H:%M:%S} UTC"
            self._gate.suspend(until, PauseReason.RATE_LIMITED)
            raise SourcePaused(self._source.name, problem, hint, later.status, until) from None

    def _wait_for_retry(self, retryable: RetryableError, attempt: int) -> None:
        """Waits before the next attempt, or gives up."""
        error = retryable.error
        if attempt >= retryable.tries or not self._take_retry():
            raise error from None
        seconds = self._random() * min(60.0, 2.0 ** (attempt - 1))
        about = self._about(error.status, seconds)
        event(_log, "request_retried", level=logging.WARNING, problem=error.problem, **about)
        self._clock.sleep(seconds)

    def _about(self, status: int | None, seconds: float) -> dict[str, object]:
        return {"source": self._source.name, "status": status, "seconds": round(seconds, 1)}

    def _take_retry(self) -> bool:
        """Takes one retry from the run's budget, which keeps a failing source from getting five times the requests."""
        with self._lock:
            self._retries += 1
            return self._retries <= max(MIN_RETRY_BUDGET, self._requests * RETRIES_PER_REQUEST)

    def _send(self, url: str) -> bytes:
        """The whole body of one successful response; raises what :mod:`etl.client.status_policy` says for any other."""
        with self._lock:
            self._requests += 1
        until = self._clock.monotonic() + self._limits.seconds
        with (
            span("request", source=self._source.name),
            _translated_errors(self._source.name),
            transport.deadline(until),
        ):
            response = self._transport.handle_request(self._signed(url))
            self._compare_clocks(response.headers)
            try:
                return self._body(response)
            finally:
                response.close()

    def _compare_clocks(self, headers: httpx.Headers) -> None:
        """Say once that this machine's clock and the provider's differ; a cache's response has an old date."""
        at = None if "age" in headers or self.clock_difference else instant(headers.get("date"))
        if at:
            seconds = (self._clock.now() - at).total_seconds()
            self.clock_difference = clock_difference(seconds, "the provider", CLOCK_TOLERANCE_SECONDS)
            if self.clock_difference:
                about = {"source": self._source.name, "problem": self.clock_difference}
                event(_log, "clock_differs", level=logging.WARNING, **about)

    def _body(self, response: httpx.Response) -> bytes:
        headers, status = response.headers, response.status_code
        coding, length = headers.get("content-encoding", ""), headers.get("content-length")
        if response.is_success:
            return self._without_key(read_body(_raw_stream(response), coding, length, self._limits.body))
        detail = b""
        with suppress(BodyTooLarge, TruncatedBody, InvalidResponse):  # then nothing of it is shown
            detail = read_body(_raw_stream(response), coding, length, _ERROR_BODY) if 400 <= status < 500 else b""
        shown = {name: self._redaction.secrets(value) for name, value in headers.items()}
        raise classify_status(self._source, status, shown, self._without_key(detail), self._clock.now())

    def _without_key(self, body: bytes) -> bytes:
        """The body without the key, which a provider may echo, before anything of it is read, kept or shown."""
        received = utf8(body)
        found = self._redaction.secrets_in_bytes(received)
        return body if found is received else found

    def _signed(self, url: str) -> httpx.Request:
        """The request with the key, which is sent to the source's own origin only."""
        timeout = httpx.Timeout(self._limits.seconds, connect=transport.CONNECT_SECONDS)
        request = httpx.Request("GET", url, headers=_HEADERS, extensions={"timeout": timeout.as_dict()})
        target = request.url
        origin = Origin(target.scheme, target.host, target.port or (443 if target.scheme == "https" else 80))
        if origin != self._origin or target.userinfo:
            raise RuntimeError(f"{self._source.name}: a request would have left the source's own host")
        name, value = self._credential(self._source.api_key.reveal())
        request.headers[name] = value
        return request

    def _url(self, request: HttpRequest) -> str:
        """Base URL, path and query as one text; refuses a path that would leave the base URL."""
        plain = unquote(unquote(request.path))
        climbs = any(segment in ("", ".", "..") for segment in re.split(r"[/\\]", plain)[1:])
        if climbs or not plain.isprintable() or not _PATH.match(request.path):
            problem, hint = "an id of the provider cannot be part of a URL", "this request is skipped"
            raise RequestRefused(self._source.name, problem, hint)
        query = urlencode(request.query, quote_via=quote, safe="")
        return f"{self._source.base_url.rstrip('/')}{request.path}{'?' if query else ''}{query}"


def _raw_stream(response: httpx.Response) -> httpx.SyncByteStream:
    """The undecoded bytes of the body: httpx's decoder accepts a truncated gzip stream."""
    if not isinstance(response.stream, httpx.SyncByteStream):
        raise TypeError("the transport is asynchronous")
    return response.stream


@contextmanager
def _translated_errors(source: str) -> Iterator[None]:
    """Replaces the exceptions of httpx, whose text may show the URL."""
    try:
        yield
    except TruncatedBody as error:
        raise RetryableError(SourceUnavailable(source, f"the response is incomplete: {error}", NEXT_RUN)) from None
    except BodyTooLarge:
        raise ResponseTooLarge(
            source, "the response is larger than any page may be", "request a smaller page"
        ) from None
    except transport.ForbiddenAddress:
        hint = "check base_url, and the name server of this machine"
        raise SourceUnavailable(source, "the host name resolves to a private network", hint) from None
    except httpx.InvalidURL:
        raise RequestRefused(source, "the request makes no valid URL", "check base_url and phones") from None
    except httpx.HTTPError as error:
        raise classify_transport_error(source, error) from None
