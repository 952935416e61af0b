"""An HTTP status, or a failed connection → what to do about it."""

import json
import re
import ssl
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlsplit

import httpx

from etl.client.errors import PauseReason, RequestRefused, ResponseUnreadable, SourceError, SourceUnavailable
from etl.client.retry_after import retry_after
from etl.runtime.urls import ip_of

TRIES = 5
FEW_TRIES = 3

_AGAIN = frozenset({408, 425, 499})
_DENIED = {401: PauseReason.KEY_REFUSED, 402: PauseReason.PAYMENT_REQUIRED, 403: PauseReason.ACCESS_FORBIDDEN}
_NAME = re.compile(r"[A-Za-z_][A-Za-z_.-]{0,39}\Z")
_PLAIN_HOST = re.compile(r"[a-z][a-z0-9-]{0,30}(\.[a-z][a-z0-9-]{0,30}){1,4}\Z")


class RetryableError(Exception):
    """No usable answer this time; the same request may have more luck, ``tries`` times in all."""

    def __init__(
        self,
        problem: str,
        status: int | None = None,
        tries: int = TRIES,
        error: type[SourceError] = SourceUnavailable,
        hint: str = "the next run tries again",
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.status = status
        self.tries = tries
        self.error = error
        self.hint = hint


class RateLimited(Exception):
    """The source asks us to wait, for ``seconds`` if it says how long."""

    def __init__(self, status: int, seconds: float | None) -> None:
        super().__init__(status)
        self.status = status
        self.seconds = seconds


class AccessDenied(Exception):
    """The key, its rights or the balance are refused: only a person can fix that."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status
        self.reason = _DENIED[status]


def classify_status(source: str, status: int, headers: Mapping[str, str], detail: bytes, now: datetime) -> Exception:
    """What to raise for an answer without success: a fault, or the error that ends this request.

    ``detail`` is the body of a 422 and empty otherwise; of it only the names of fields are shown.
    """
    if status in _DENIED:
        return AccessDenied(status)
    seconds = retry_after(headers.get("retry-after"), headers.get("date"), now)
    if status == 429 or (status == 503 and seconds is not None):
        return RateLimited(status, seconds)
    if status in _AGAIN or not 300 <= status < 500:
        return RetryableError("the provider has trouble of its own", status)
    return RequestRefused(source, *_refusal(status, headers, detail), status)


def _refusal(status: int, headers: Mapping[str, str], detail: bytes) -> tuple[str, str]:
    if status < 400:
        return (
            f"the provider sends us on to {_host(headers.get('location', ''))}, where the key must not go",
            "the key may have expired, or base_url is not the address of the API",
        )
    if status in (404, 410):
        return "there is nothing at this address", "check base_url; the provider may have moved its API"
    if status == 422:
        return f"the provider does not accept {_fields(detail)}", "its API may have changed; please report it"
    return "the provider does not accept this request", "check the settings of this source, its phones above all"


def _host(location: str) -> str:
    try:
        host = urlsplit(location).hostname or ""
    except ValueError:
        host = ""
    return host if _PLAIN_HOST.match(host) or ip_of(host) else "another address"


def _fields(detail: bytes) -> str:
    """The fields that a validation error names, such as ``query.page``; never a value that it shows."""
    try:
        names = {".".join(_names(entry["loc"])) for entry in json.loads(detail)["detail"]}
    except (ValueError, TypeError, KeyError, LookupError, RecursionError):
        names = set()
    return ", ".join(sorted(names - {""})[:5]) or "a field of this request"


def _names(location: list[object]) -> list[str]:
    return [part for part in location if isinstance(part, str) and _NAME.match(part)]


def invalid_body(problem: str) -> RetryableError:
    """An answer that is not what the API promises: a page of HTML, half a page, an error under status 200."""
    hint = "check base_url; if it is right, the provider's API may have changed"
    return RetryableError(
        f"the answer is not what the API promises: {problem}", 200, FEW_TRIES, ResponseUnreadable, hint
    )


def classify_transport_error(error: httpx.HTTPError) -> RetryableError:
    """The connection failed; the reason is named as far as it holds nothing of the request."""
    if isinstance(error, httpx.TimeoutException):
        return RetryableError("no whole answer came in time")
    if _is_tls(error):
        hint = "check the host in base_url, this machine's clock, and what stands between it and the provider"
        return RetryableError("the provider's certificate cannot be trusted", tries=FEW_TRIES, hint=hint)
    if isinstance(error, httpx.ConnectError):
        return RetryableError(
            "the host cannot be reached", hint="check base_url and the network; the next run tries again"
        )
    return RetryableError("the connection broke before the answer was whole")


def _is_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
