"""A status or a failed connection → the exception that says what to do about it."""

import codecs
import json
import re
import ssl
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlsplit

import httpx

from etl.client.errors import (
    AccessRefused,
    AnsweredInBetween,
    PauseReason,
    RequestRefused,
    ResponseUnreadable,
    SourceError,
    SourceUnavailable,
)
from etl.client.retry_after import retry_after
from etl.model import Source
from etl.runtime.urls import ip_of, origin_of

TRIES = 5
FEW_TRIES = 3
NEXT_RUN = "the next run tries again"
BLOCKED = "check base_url, and whether a firewall or proxy blocks this machine"
PROXY_DENIED = 407

_RETRYABLE = frozenset({408, 425, 499})
_DENIED = {401: PauseReason.KEY_REFUSED, 402: PauseReason.PAYMENT_REQUIRED, 403: PauseReason.ACCESS_FORBIDDEN}
_PLACES = ("query", "path", "header", "cookie", "body")
_NAME = re.compile(r"[A-Za-z_][A-Za-z_.-]{0,39}\Z")
_PLAIN_HOST = re.compile(r"[a-z][a-z0-9-]{0,30}(\.[a-z][a-z0-9-]{0,30}){1,4}\Z")


class RetryableError(Exception):
    """No usable response: the request may be sent again, ``tries`` times in all; then ``error`` is the result."""

    def __init__(self, error: SourceError, tries: int = TRIES) -> None:
        super().__init__(str(error))
        self.error = error
        self.tries = tries


class RetryLater(Exception):
    """The source asks for a retry after ``seconds``, if it says how many."""

    def __init__(self, status: int, seconds: float | None) -> None:
        super().__init__(status)
        self.status = status
        self.seconds = seconds


def classify_status(source: Source, status: int, headers: Mapping[str, str], detail: bytes, now: datetime) -> Exception:
    """An unsuccessful status → the exception to raise; of ``detail``, the body of a 4xx, only field names are shown."""
    name, is_foreign = source.name, 400 <= status < 500 and _is_foreign(headers, detail)
    if status in _DENIED and not is_foreign:
        return AccessRefused(name, source.key_name, _DENIED[status], status)
    if status in (*_DENIED, PROXY_DENIED):
        problem = f"something in between, such as a firewall, answers in place of {_host_of(source)}"
        return RetryableError(AnsweredInBetween(name, problem, f"{BLOCKED}; {NEXT_RUN}", status), FEW_TRIES)
    seconds = retry_after(headers.get("retry-after"), headers.get("date"), now)
    if status == 429 or (status == 503 and seconds is not None):
        return RetryLater(status, seconds)
    if status in _RETRYABLE or not 300 <= status < 500:
        return RetryableError(SourceUnavailable(name, "the provider reports a server error", NEXT_RUN, status))
    if is_foreign and status not in (404, 410):  # where there is nothing, a web page may say so
        return RequestRefused(
            name, f"{_host_of(source)} answers with a web page, not as this API does", BLOCKED, status
        )
    return RequestRefused(name, *_refusal(status, headers, detail), status)


def _is_foreign(headers: Mapping[str, str], detail: bytes) -> bool:
    """Whether a web page, or what Cloudflare says instead of one, answers in place of the API."""
    start = detail.removeprefix(codecs.BOM_UTF8).lstrip()[:11].lower()
    is_page = start.startswith(b"<") or (not start and "html" in headers.get("content-type", "").lower())
    return is_page or start == b"error code:"


def _host_of(source: Source) -> str:
    return origin_of(source.base_url).host


def _refusal(status: int, headers: Mapping[str, str], detail: bytes) -> tuple[str, str]:
    if status < 400:
        return (
            f"the provider redirects to {_host(headers.get('location', ''))}, where the key must not be sent",
            "the key may have expired, or base_url is not the address of the API",
        )
    if status in (404, 410):
        return "there is nothing at this address", "check base_url; the provider may have moved its API"
    if status == 422:
        return f"the provider does not accept {_fields(detail)}", "its API may have changed; please report it"
    return "the provider does not accept this request", "check the settings of this source, first of all its phones"


def _host(location: str) -> str:
    try:
        host = urlsplit(location).hostname or ""
    except ValueError:
        host = ""
    return host if _PLAIN_HOST.match(host) or ip_of(host) else "another address"


def _fields(detail: bytes) -> str:
    """The fields that a validation error names, such as ``query.page``, without any value."""
    try:
        names = {_name(entry["loc"]) for entry in json.loads(detail)["detail"]}
    except (ValueError, TypeError, KeyError, LookupError, RecursionError):
        names = set()
    return ", ".join(sorted(names - {""})[:5]) or "a field of this request"


def _name(location: list[object]) -> str:
    """Where FastAPI found the field, and the field's own name; a longer path could spell anything."""
    names = [part for part in location if isinstance(part, str) and _NAME.match(part)]
    return ".".join(names[:2]) if names and names[0] in _PLACES else ""


def invalid_body(source: Source, problem: str) -> RetryableError:
    """A response that is not what the API documents: a page of HTML, half a page, an error under status 200."""
    hint = "check base_url; if it is right, the provider's API may have changed"
    shown = f"the response of {_host_of(source)} is not what the API documents: {problem}"
    return RetryableError(ResponseUnreadable(source.name, shown, hint, 200), FEW_TRIES)


def classify_transport_error(source: str, error: httpx.HTTPError) -> RetryableError:
    """A failed connection → its problem, without anything of the request."""
    problem, hint, tries = "the connection closed before the response was complete", NEXT_RUN, TRIES
    if isinstance(error, httpx.TimeoutException):
        problem = "the response did not arrive in time"
    elif _is_tls(error):
        problem, tries = "the provider's certificate cannot be trusted", FEW_TRIES
        hint = "check the host in base_url, this machine's clock, and any proxy between it and the provider"
    elif isinstance(error, httpx.ConnectError):
        problem, hint = "the host cannot be reached", f"check base_url and the network; {NEXT_RUN}"
    return RetryableError(SourceUnavailable(source, problem, hint), tries)


def _is_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
