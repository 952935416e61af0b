"""Each fault of a provider or a network, and how the client handles it."""

import base64
import gzip
import html
import json
import logging
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.client import body
from etl.client.api_client import MAX_IN_FLIGHT, Client, Limits
from etl.client.body import BodyLimits, TruncatedBody, read_body
from etl.client.errors import (
    AccessRefused,
    AnsweredInBetween,
    PauseReason,
    RequestRefused,
    ResponseTooLarge,
    ResponseUnreadable,
    SourceError,
    SourcePaused,
    SourceUnavailable,
)
from etl.client.retry_after import retry_after
from etl.client.transport import DeadlineTransport
from etl.model import HttpRequest, InvalidResponse, ResponseBody, Source
from etl.runtime.clock import Stopped, SystemClock
from etl.runtime.secret import Secret
from tests.fakes import FakeClock, FakeRateLimiter
from tests.scripted_server import http_response, sends, serve

KEY = "CANARY/key+7f3a=="
KEY_NAME = "CanaryKeyOfLetters"  # one that could be a host or the name of a field
PHONE = "+919876543210"
REQUEST = HttpRequest("/calls", {"phone": PHONE, "page": "1"})
OK = httpx.Response(200, json={"data": [{"id": 1}]})
SOURCE = Source("acme", "ringg", "https://api.example.com/v1", Secret(KEY), "credits")

Step = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


class Script(httpx.BaseTransport):
    """A provider that answers by its steps, and by the last one from then on; ``sent`` are the requests."""

    def __init__(self, clock: FakeClock, *steps: Step) -> None:
        self._clock = clock
        self._steps = steps
        self.sent: list[httpx.Request] = []
        self.at: list[datetime] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        step = self._steps[min(len(self.sent), len(self._steps) - 1)]
        self.sent.append(request)
        self.at.append(self._clock.now())
        if isinstance(step, Exception):
            raise step
        found = step if isinstance(step, httpx.Response) else step(request)
        return httpx.Response(found.status_code, headers=found.headers, content=found.content)


class Scene:
    """A client of one source, its scripted provider, its rate limiter and its clock."""

    def __init__(self, *steps: Step, source: Source = SOURCE, limits: Limits | None = None) -> None:
        self.clock = FakeClock()
        self.gate = FakeRateLimiter(self.clock)
        self.script = Script(self.clock, *steps)
        self.client = Client(source, api_key_header, self.gate, self.clock, Random(7).random, self.script, limits)

    def get(self, request: HttpRequest = REQUEST) -> Any:
        return self.client.get(request, data).value


def api_key_header(key: str) -> tuple[str, str]:
    return "X-API-KEY", key


def data(body: ResponseBody) -> Any:
    found = body.get("data")
    if found is None:
        raise InvalidResponse("there is no data")
    return found


def failing(*steps: Step) -> tuple[SourceError, Scene]:
    scene = Scene(*steps)
    with pytest.raises(SourceError) as caught:
        scene.get()
    assert not any(secret in str(caught.value) for secret in (KEY, PHONE, PHONE[1:], "api.example.com/"))
    assert caught.value.source in str(caught.value)
    return caught.value, scene


@pytest.mark.parametrize(
    ("date", "age", "said"),
    [
        ("Fri, 01 May 2026 10:00:00 GMT", None, "this machine's clock is 2 h ahead of that of the provider"),
        ("Sat, 02 May 2026 12:00:00 GMT", None, "this machine's clock is 1 d behind that of the provider"),
        ("Fri, 01 May 2026 12:00:59 GMT", None, None),
        ("Fri, 01 May 2026 10:00:00 GMT", "7200", None),  # a cache's response
        ("yesterday", None, None),
    ],
)
def test_a_clock_that_differs_from_the_providers_is_said_once(
    caplog: pytest.LogCaptureFixture, date: str, age: str | None, said: str | None
) -> None:
    headers = {"Date": date, **({"Age": age} if age else {})}
    step = httpx.Response(200, headers=headers, json={"data": []})
    scene = Scene(step, step)
    scene.get(), scene.get()
    assert scene.client.clock_difference == said
    assert [record.getMessage() for record in caplog.records].count("clock_differs") == (said is not None)


# ------------------------------------------------------------------ what is sent


def test_a_request_has_the_key_and_asks_for_gzipped_json() -> None:
    scene = Scene(OK)
    assert scene.get() == [{"id": 1}]
    sent = scene.script.sent[0]
    assert sent.method == "GET"
    assert str(sent.url) == "https://api.example.com/v1/calls?phone=%2B919876543210&page=1"
    assert sent.headers["x-api-key"] == KEY
    assert sent.headers["accept"] == "application/json"
    assert sent.headers["accept-encoding"] == "gzip"
    assert sent.headers["user-agent"].startswith("callhouse/")
    assert "cookie" not in sent.headers


def test_a_response_carries_the_sequence_number_of_its_request() -> None:
    scene = Scene(httpx.Response(500), OK)
    found = scene.client.get(REQUEST, data)
    assert found.seq == 2
    assert found.received_at == scene.clock.now()
    assert scene.client.requests == 2


def test_a_base_url_may_end_in_a_slash() -> None:
    scene = Scene(OK, source=replace(SOURCE, base_url="https://api.example.com/v1/"))
    scene.get(HttpRequest("/calls"))
    assert str(scene.script.sent[0].url) == "https://api.example.com/v1/calls"


@given(st.text(min_size=1).filter(lambda text: text.isprintable()))
def test_every_value_of_a_query_arrives_as_it_was(value: str) -> None:
    scene = Scene(OK)
    scene.get(HttpRequest("/calls", {"q": value}))
    assert scene.script.sent[0].url.params["q"] == value


@pytest.mark.parametrize(
    "path",
    [
        "/t/../../admin",
        "/t/..%2F..%2Fadmin",
        "/t/%2e%2e/admin",
        "/t/%252e%252e/x",
        "//evil.example/x",
        "/t/a?b",
        "/t/a#b",
        "/t/a\\..\\b",
        "/t/%5c..%5cb",
        "/@evil.example",
        ":8443/x",
        "@evil.example/x",
        ".evil.example/x",
        "/t/%0d%0aX: y",
        "",
    ],
)
def test_a_path_that_leaves_the_base_url_is_never_sent(path: str) -> None:
    scene = Scene(OK)
    with pytest.raises(RequestRefused):
        scene.get(HttpRequest(path))
    assert scene.script.sent == []


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_an_id_stays_one_segment_of_its_path_or_is_never_sent(call_id: str) -> None:
    scene = Scene(OK)
    path = f"/transcript/{quote(call_id, safe='')}"
    try:
        scene.get(HttpRequest(path))
    except RequestRefused:
        assert scene.script.sent == []
    else:
        url = scene.script.sent[0].url
        assert (url.scheme, url.host, url.raw_path.decode()) == ("https", "api.example.com", f"/v1{path}")


@pytest.mark.parametrize("base_url", ["https://api.example.com@evil.example", "https://user:pass@api.example.com"])
def test_no_key_is_sent_to_an_ambiguous_url(base_url: str) -> None:
    scene = Scene(OK, source=replace(SOURCE, base_url=base_url))
    with pytest.raises(RuntimeError):
        scene.get()
    assert scene.script.sent == []


def test_no_key_is_sent_to_another_host_even_if_the_base_url_changes() -> None:
    source = replace(SOURCE)
    scene = Scene(OK, source=source)
    object.__setattr__(source, "base_url", "https://evil.example/v1")
    with pytest.raises(RuntimeError):
        scene.get()
    assert scene.script.sent == []


def test_a_set_cookie_is_not_sent_back() -> None:
    scene = Scene(httpx.Response(200, json={"data": []}, headers={"Set-Cookie": "session=1; Path=/"}))
    scene.get()
    scene.get()
    assert "cookie" not in scene.script.sent[1].headers


# ------------------------------------------------------------------ asked to wait


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        ("0", 1),
        ("-5", None),
        ("1.5", None),
        ("120, 60", None),
        ("", None),
        ("soon", None),
        ("٣", None),
        ("1_0", None),
        ("1000000000", float("inf")),
        ("1" + "0" * 20, float("inf")),
        ("9" * 5000, float("inf")),
        ("Fri, 01 May 2026 12:02:00 GMT", 120),
        ("Friday, 01-May-26 12:02:00 GMT", 120),
        ("Fri May  1 12:02:00 2026", 120),
        ("Fri, 01 May 2026 17:32:00 +0530", 120),
        ("Fri, 01 May 2026 11:00:00 GMT", 1),
        ("Fri, 99 May 2026 12:00:00 GMT", None),
    ],
)
def test_retry_after_is_understood_in_every_form(value: str, seconds: float | None) -> None:
    assert retry_after(value, None, datetime(2026, 5, 1, 12, tzinfo=UTC)) == seconds


def test_a_retry_after_date_is_relative_to_the_servers_clock() -> None:
    now = datetime(2020, 1, 1, tzinfo=UTC)
    assert retry_after("Fri, 01 May 2026 12:02:00 GMT", "Fri, 01 May 2026 12:00:00 GMT", now) == 120


@given(st.text(), st.none() | st.text())
def test_no_retry_after_breaks_the_client(value: str, date: str | None) -> None:
    seconds = retry_after(value, date, datetime(2026, 5, 1, tzinfo=UTC))
    assert seconds is None or seconds >= 1


@pytest.mark.parametrize("status", [429, 503])
def test_the_whole_source_waits_as_long_as_requested(status: int) -> None:
    scene = Scene(httpx.Response(status, headers={"Retry-After": "120"}), OK)
    start = scene.clock.now()
    assert scene.get() == [{"id": 1}]
    assert scene.script.at == [start, start + timedelta(seconds=120)]
    assert scene.gate.blocked_until == start + timedelta(seconds=120)


def test_a_429_lowers_the_rate_unless_it_follows_a_wait() -> None:
    scene = Scene(*[httpx.Response(429, headers={"Retry-After": "9"})] * 3, OK, httpx.Response(429), OK)
    assert scene.get() == scene.get() == [{"id": 1}]
    assert scene.gate.rate_limited == [1, 5]


def test_a_server_error_does_not_lower_the_rate() -> None:
    scene = Scene(httpx.Response(503, headers={"Retry-After": "9"}), httpx.Response(500), OK)
    assert scene.get() == [{"id": 1}]
    assert scene.gate.rate_limited == []


def test_requests_in_flight_are_limited() -> None:
    full, others = threading.Barrier(MAX_IN_FLIGHT + 1), threading.Event()

    def wait_for_the_others(request: httpx.Request) -> httpx.Response:
        if not others.is_set():
            full.wait(10)
            others.wait(10)
        return OK

    scene = Scene(wait_for_the_others)
    with ThreadPoolExecutor(3 * MAX_IN_FLIGHT) as threads:
        answers = [threads.submit(scene.get) for _ in range(3 * MAX_IN_FLIGHT)]
        full.wait(10)
        assert len(scene.script.sent) == scene.gate.sent == MAX_IN_FLIGHT
        others.set()
        assert [answer.result(10) for answer in answers] == [[{"id": 1}]] * 3 * MAX_IN_FLIGHT


def test_without_retry_after_the_waits_grow_and_end() -> None:
    error, scene = failing(httpx.Response(429))
    assert isinstance(error, SourcePaused)
    assert error.until == scene.gate.blocked_until
    waits = [(b - a).total_seconds() for a, b in zip(scene.script.at, scene.script.at[1:], strict=False)]
    assert len(waits) == 4
    assert all(1 <= wait <= min(900, 30 * 2**n) for n, wait in enumerate(waits))


def test_a_retry_after_of_more_than_an_hour_blocks_the_source_for_an_hour() -> None:
    error, scene = failing(httpx.Response(429, headers={"Retry-After": "86400"}))
    assert isinstance(error, SourcePaused)
    assert len(scene.script.sent) == 1
    assert scene.gate.blocked_until == scene.clock.now() + timedelta(hours=1)
    assert "13:00:00 UTC" in str(error)


DENIED = {401: PauseReason.KEY_REFUSED, 402: PauseReason.PAYMENT_REQUIRED, 403: PauseReason.ACCESS_FORBIDDEN}


@pytest.mark.parametrize("status", DENIED)
@pytest.mark.parametrize("body", [{"json": {"error": KEY}}, {"text": "Unauthorized"}, {}])
def test_a_refusal_is_of_the_request_and_pauses_nothing_by_itself(status: int, body: dict[str, Any]) -> None:
    error, scene = failing(httpx.Response(status, **body))
    assert isinstance(error, AccessRefused)
    assert (error.reason, error.status, len(scene.script.sent)) == (DENIED[status], status, 1)
    assert scene.gate.pauses == []


PAGES: list[dict[str, Any]] = [
    {"html": "<!DOCTYPE html><html><title>Access denied</title>"}, {"content": b"\xef\xbb\xbf \n<html>"},
    {"content": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"}, {"text": "error code: 1020"},
    {"content": b"", "headers": {"Content-Type": "text/html; charset=utf-8"}}, {"html": "<html>" + "x" * (1 << 17)},
]  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=range(len(PAGES)))
@pytest.mark.parametrize("status", [401, 402, 403, 407])
def test_a_firewalls_page_is_no_refused_key(page: dict[str, Any], status: int) -> None:
    error, scene = failing(httpx.Response(status, **page))
    assert isinstance(error, AnsweredInBetween)
    assert f"such as a firewall, answers in place of api.example.com (HTTP {status})" in str(error)
    assert (len(scene.script.sent), scene.gate.pauses) == (3, [])
    assert Scene(httpx.Response(status, **page), OK).get() == [{"id": 1}]


@pytest.mark.parametrize("status", [400, 405, 406, 422, 451])
def test_a_refusal_by_a_web_page_is_said_to_be_one(status: int) -> None:
    error, _ = failing(httpx.Response(status, html="<html>blocked</html>"))
    assert isinstance(error, RequestRefused)
    assert f"api.example.com answers with a web page, not as this API does (HTTP {status})" in str(error)


@pytest.mark.parametrize("body", [b"<html>", b"", b"ok", b"[1]", b'{"other": 1}'])
def test_a_body_that_is_no_answer_of_this_api_names_its_host_and_status(body: bytes) -> None:
    error, _ = failing(httpx.Response(200, content=body, headers={"Content-Type": "text/html"}))
    assert "the response of api.example.com is not what the API documents" in str(error)
    assert "(HTTP 200)" in str(error)


# ------------------------------------------------------------------ refused


@pytest.mark.parametrize("status", [400, 404, 405, 410, 413, 422, 451])
def test_a_refused_request_is_not_sent_again(status: int) -> None:
    error, scene = failing(httpx.Response(status, json={"error": f"bad {PHONE} {KEY}"}))
    assert isinstance(error, RequestRefused)
    assert error.status == status
    assert len(scene.script.sent) == 1
    assert scene.clock.slept == []


def test_a_validation_error_names_its_fields_and_no_value() -> None:
    detail = [{"loc": ["query", "page_size"], "msg": f"{PHONE} is bad", "input": KEY}, {"loc": ["query", PHONE]}]
    error, _ = failing(httpx.Response(422, json={"detail": detail}))
    assert "query.page_size" in str(error)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_no_validation_error_breaks_the_client(detail: Any) -> None:
    error, _ = failing(httpx.Response(422, content=json.dumps({"detail": detail}).encode()))
    assert isinstance(error, RequestRefused)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "host"),
    [
        (f"https://evil.example/steal?key={KEY}", "evil.example"),
        (f"http://api.example.com/v1/calls?phone={PHONE}", "api.example.com"),
        ("//evil.example/x", "evil.example"),
        ("http://169.254.169.254/latest", "169.254.169.254"),
        ("/login", "another address"),
        (r"https://api.example.com\@evil.example/", "evil.example"),
        ("https://[::bad", "another address"),
        (f"https://{PHONE[1:]}.example/", "another address"),
        ("", "another address"),
    ],
)
def test_a_redirect_is_not_followed(status: int, location: str, host: str) -> None:
    scene = Scene(httpx.Response(status, headers={"Location": location}))
    with pytest.raises(RequestRefused) as caught:
        scene.get()
    assert f"redirects to {host}, where" in str(caught.value)
    assert len(scene.script.sent) == 1
    assert KEY not in str(caught.value)
    assert PHONE[1:] not in str(caught.value)


# ------------------------------------------------------------------ retryable errors


TRANSIENT: list[Step] = [
    *(httpx.Response(status) for status in (408, 425, 499, 500, 502, 503, 504, 520, 530, 599)),
    httpx.ReadTimeout(f"GET {PHONE}"),
    httpx.ConnectTimeout("x"),
    httpx.PoolTimeout("x"),
    httpx.ConnectError(f"{KEY}"),
    httpx.ReadError("x"),
    httpx.RemoteProtocolError("x"),
]


@pytest.mark.parametrize("step", TRANSIENT, ids=lambda step: str(getattr(step, "status_code", type(step).__name__)))
def test_a_retryable_error_is_retried_a_limited_number_of_times(step: Step) -> None:
    scene = Scene(step, step, step, step, OK)
    assert scene.get() == [{"id": 1}]
    assert len(scene.clock.slept) == 4
    assert all(0 <= wait <= 2**n for n, wait in enumerate(scene.clock.slept))
    error, scene = failing(step)
    assert isinstance(error, SourceUnavailable)
    assert len(scene.script.sent) == 5


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Log in</body></html>",
        b'{"data": [{"id": 1}',
        b"[1]",
        b'"x"',
        b"null",
        b'{"success": false, "data": null}',
        b'{"other": []}',
    ],
)
def test_an_invalid_response_is_requested_three_times_and_is_never_an_empty_page(body: bytes) -> None:
    error, scene = failing(httpx.Response(200, content=body))
    assert isinstance(error, ResponseUnreadable)
    assert len(scene.script.sent) == 3
    assert Scene(httpx.Response(200, content=body), OK).get() == [{"id": 1}]


def test_the_content_type_does_not_matter() -> None:
    for kind in ("text/html", "text/plain", "application/octet-stream"):
        assert Scene(httpx.Response(200, content=b'{"data": [1]}', headers={"Content-Type": kind})).get() == [1]


def test_a_run_has_a_budget_of_retries() -> None:
    scene = Scene(httpx.Response(500))
    for _ in range(50):
        with pytest.raises(SourceUnavailable):
            scene.get()
    assert scene.client.requests == 50 + 20


def test_threads_share_one_client_and_its_count() -> None:
    scene = Scene(OK)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: scene.client.get(REQUEST, data), range(200)))
    assert [answer.value for answer in found] == [[{"id": 1}]] * 200
    assert scene.client.requests == 200


def test_waits_are_reported_without_details_of_the_request(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(httpx.Response(429, headers={"Retry-After": "7"}), httpx.Response(500), OK)
    with caplog.at_level(logging.DEBUG):
        scene.get()
    assert [record.getMessage() for record in caplog.records] == ["rate_limited", "request_retried"]
    fields = [getattr(record, "event_fields") for record in caplog.records]  # noqa: B009 - logging adds it
    assert fields[0] == {"source": "acme", "status": 429, "seconds": 7.0}
    assert fields[1]["status"] == 500


def test_errors_of_the_read_callback_pass_through() -> None:
    class NotReady(Exception):
        pass

    def not_ready(body: ResponseBody) -> None:
        raise NotReady

    scene = Scene(OK)
    with pytest.raises(NotReady):
        scene.client.get(REQUEST, not_ready)
    assert len(scene.script.sent) == 1


def test_a_stop_ends_a_wait_and_is_not_swallowed() -> None:
    stop = threading.Event()
    stop.set()
    script = Script(FakeClock(), httpx.Response(500))
    client = Client(SOURCE, api_key_header, FakeRateLimiter(FakeClock()), SystemClock(stop), Random(7).random, script)
    with pytest.raises(Stopped):
        client.get(REQUEST, data)
    assert not issubclass(Stopped, Exception)


# ------------------------------------------------------------------ bodies


ECHOES = (
    *(form(KEY) for form in (
        str, str.lower, str.upper, quote, lambda key: quote(quote(key, safe=""), safe=""), html.escape,
        lambda key: json.dumps(key)[1:-1], lambda key: json.dumps(json.dumps(key))[1:-1],
        lambda key: key.encode().hex(), lambda key: base64.b64encode(key.encode()).decode(),
        lambda key: base64.urlsafe_b64encode(f"user:{key}".encode()).decode(),
    )),
    *(KEY.replace(character, escape) for character, escape in (
        ("/", "\\/"), ("+", "\\u002B"), ("+", "\\u002b"), ("=", "\\u003D"), ("/", "\\u002f"), ("+", "%2B"),
        ("+", "&#43;"), ("/", "&#x2F;"), ("=", "%3d"), ("7", "\\u0037"), ("+", "\\\\u002B"), ("/", "%252F"),
    )),
    "".join(f"\\u{ord(character):04x}" for character in KEY), "".join(f"%{ord(character):02X}" for character in KEY),
)  # fmt: skip


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("coding", ["utf-8", "utf-16", "utf-16-be"])
def test_an_echoed_key_is_redacted_in_every_form(echo: str, coding: str) -> None:
    body = f'{{"data": ["{echo}", "x{echo}y", {{"{echo}": 1}}, "caf\u00e9"]}}'.encode(coding)
    scene = Scene(httpx.Response(200, content=body))
    shown = json.dumps(scene.get())
    assert not any(part in shown for part in (echo[2:-2], KEY[8:], echo[3:9])), shown
    assert shown.count("***") == 3
    assert "caf\\u00e9" in shown


@pytest.mark.parametrize("echo", [KEY_NAME, KEY_NAME.lower(), KEY_NAME.upper(), KEY_NAME.title()])
def test_a_key_is_not_shown_as_a_host_or_the_name_of_a_field(echo: str) -> None:
    source = replace(SOURCE, api_key=Secret(KEY_NAME))
    detail = {
        "detail": [
            {"loc": ["query", echo]},
            {"loc": ["query", f"x_{echo}"]},
            {"loc": [echo, "page"]},
            {"loc": [*KEY_NAME]},
        ]
    }
    answers = [httpx.Response(422, json=detail)]
    answers += [
        httpx.Response(302, headers={"Location": f"https://{host}/"}) for host in (f"{echo}.example", f"a.{echo}.io")
    ]
    for answer in answers:
        with pytest.raises(RequestRefused) as caught:
            Scene(answer, source=source).get()
        assert KEY_NAME.lower() not in str(caught.value).lower().replace(".", "")


def test_a_key_so_short_that_it_may_be_part_of_a_word_is_left_in_the_data() -> None:
    scene = Scene(httpx.Response(200, json={"data": ["the dog"]}), source=replace(SOURCE, api_key=Secret("the")))
    assert scene.get() == ["the dog"]


def zipped(*bodies_: bytes) -> bytes:
    return b"".join(gzip.compress(body) for body in bodies_)


def unzip(wire: bytes, sizes: list[int], length: int | None = None, bounds: BodyLimits | None = None) -> bytes:
    chunks, rest = [], wire
    for size in sizes:
        chunks.append(rest[:size])
        rest = rest[size:]
    announced = None if length is None else str(length)
    return read_body([*chunks, rest], "gzip", announced, bounds or BodyLimits())


@given(st.lists(st.binary(max_size=2000), min_size=1, max_size=3), st.lists(st.integers(0, 60), max_size=20))
def test_gzip_of_several_members_is_read_to_its_end(members: list[bytes], sizes: list[int]) -> None:
    wire = zipped(*members)
    assert unzip(wire, sizes, len(wire)) == b"".join(members)


@given(st.lists(st.binary(max_size=500), min_size=1, max_size=3), st.data(), st.lists(st.integers(0, 60), max_size=9))
def test_truncated_gzip_is_refused(members: list[bytes], data: st.DataObject, sizes: list[int]) -> None:
    wire = zipped(*members)
    cut = data.draw(st.integers(1, len(wire) - 1))
    with pytest.raises(TruncatedBody):
        unzip(wire[:cut], sizes, len(wire))


@given(st.binary(max_size=500), st.integers(1, 7))
def test_truncated_gzip_is_refused_without_a_content_length(body: bytes, missing: int) -> None:
    with pytest.raises(TruncatedBody):
        unzip(zipped(body)[:-missing], [])


def test_damaged_gzip_is_requested_again() -> None:
    clock = FakeClock()
    transport = Raw(b"no gzip", zipped(b'{"data": [1]}')[:-4], zipped(b'{"data": [1]}'))
    client = Client(SOURCE, api_key_header, FakeRateLimiter(clock), clock, Random(7).random, transport)
    assert client.get(REQUEST, data).value == [1]
    assert transport.turn == 3


class Raw(httpx.BaseTransport):
    """Answers with bodies as they are on the wire."""

    def __init__(self, *wires: bytes, coding: str = "gzip") -> None:
        self._wires = wires
        self._coding = coding
        self.turn = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        wire = self._wires[min(self.turn, len(self._wires) - 1)]
        self.turn += 1
        return httpx.Response(200, headers={"Content-Encoding": self._coding}, stream=httpx.ByteStream(wire))


def test_a_decompression_bomb_is_stopped_at_the_limits() -> None:
    produced = 0
    bomb = zipped(bytes(50 << 20))

    def chunks() -> Iterator[bytes]:
        nonlocal produced
        for at in range(0, len(bomb), 4096):
            produced += 1
            yield bomb[at : at + 4096]

    with pytest.raises(body.BodyTooLarge):
        read_body(chunks(), "gzip", None, BodyLimits())
    assert produced < len(bomb) / 4096


@pytest.mark.parametrize("coding", ["", "gzip"])
def test_a_response_over_the_limits_is_not_requested_again(coding: str) -> None:
    body = json.dumps({"data": ["x" * 1000 + str(n) for n in range(100)]}).encode()
    clock = FakeClock()
    transport = Raw(zipped(body) if coding else body, coding=coding)
    limits = Limits(body=BodyLimits(size_bytes=50_000))
    client = Client(SOURCE, api_key_header, FakeRateLimiter(clock), clock, Random(7).random, transport, limits)
    with pytest.raises(ResponseTooLarge):
        client.get(REQUEST, data)
    assert transport.turn == 1


@pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "gzip, gzip", "compress"])
def test_a_content_encoding_that_was_not_requested_is_refused(coding: str) -> None:
    clock = FakeClock()
    client = Client(SOURCE, api_key_header, FakeRateLimiter(clock), clock, Random(7).random, Raw(b"xx", coding=coding))
    with pytest.raises(ResponseUnreadable):
        client.get(REQUEST, data)


# ------------------------------------------------------------------ real sockets

GOOD = http_response(b'{"data": [1]}')
HEAD = b"HTTP/1.1 200 OK\r\n"


def over_sockets(port: int, scheme: str = "http", seconds: float = 5.0) -> Client:
    """A client with a fake clock and real connections."""
    source = replace(SOURCE, base_url=f"{scheme}://127.0.0.1:{port}")
    clock = FakeClock()
    transport = DeadlineTransport(source.base_url, SystemClock())
    return Client(
        source, api_key_header, FakeRateLimiter(clock), Blend(clock), Random(7).random, transport, Limits(seconds)
    )


class Blend(SystemClock):
    """The machine's clocks, and waits that take no time."""

    def __init__(self, fake: FakeClock) -> None:
        super().__init__()
        self._fake = fake

    def sleep(self, seconds: float) -> None:
        self._fake.sleep(seconds)


def reset(connection: socket.socket) -> None:
    connection.sendall(HEAD + b'Content-Length: 100\r\n\r\n{"data"')
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize(
    "talk",
    [
        pytest.param(sends(HEAD + b'Content-Length: 100\r\n\r\n{"data": [1]}'), id="short of its length"),
        pytest.param(
            sends(HEAD + b"Transfer-Encoding: chunked\r\n\r\nd\r\n" + b'{"data": [1]}\r\n'), id="no last chunk"
        ),
        pytest.param(sends(HEAD + b'\r\n{"data": [1'), id="cut without a length"),
        pytest.param(sends(HEAD[:7]), id="half a status"),
        pytest.param(sends(), id="nothing"),
        pytest.param(sends(b"SSH-2.0-OpenSSH\r\n\r\n"), id="no HTTP"),
        pytest.param(sends(HEAD + b"X: " + b"a" * (1 << 20) + b"\r\n\r\n{}"), id="a header of a megabyte"),
        pytest.param(sends(HEAD + b"X: a\r\n" * 20_000 + b"\r\n{}"), id="20,000 headers"),
        pytest.param(sends(HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}"), id="two lengths"),
        pytest.param(reset, id="reset"),
        pytest.param(
            sends(http_response(gzip.compress(b'{"data": [1]}')[:-4], "Content-Encoding: gzip")), id="cut gzip"
        ),
    ],
)
def test_a_broken_response_is_requested_again(talk: Callable[[socket.socket], None]) -> None:
    with serve(talk, sends(GOOD)) as server:
        client = over_sockets(server.port)
        assert client.get(REQUEST, data).value == [1]
        assert client.requests == 2
        client.close()


@pytest.mark.parametrize(
    "drops",
    [
        pytest.param([HEAD + b"Content-Length: 1000\r\n\r\n", *[b" "] * 1000], id="body"),
        pytest.param([HEAD, *[b"X: y\r\n"] * 1000], id="headers"),
        pytest.param([b""] * 1000, id="silence"),
    ],
)
def test_one_deadline_bounds_the_whole_request(drops: list[bytes]) -> None:
    gone = threading.Event()
    with serve(sends(*drops, pause=0.05, gone=gone)) as server:
        client = over_sockets(server.port, seconds=0.3)
        with pytest.raises(SourceUnavailable, match="in time"):
            client.get(REQUEST, data)
        assert client.requests == 5
        gone.set()
        client.close()


def test_interim_responses_and_closed_connections_are_handled() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    kept = HEAD + b'Content-Length: 13\r\n\r\n{"data": [1]}'
    with serve(sends(early + kept), sends(GOOD)) as server:
        client = over_sockets(server.port)
        assert client.get(REQUEST, data).value == [1]
        assert client.get(REQUEST, data).value == [1]
        assert len(server.heard) == 2
        client.close()


def test_a_redirect_sends_the_key_nowhere() -> None:
    with serve(sends(GOOD)) as elsewhere:
        away = http_response(b"", f"Location: http://127.0.0.1:{elsewhere.port}/", status="302 Found")
        with serve(sends(away)) as server:
            client = over_sockets(server.port)
            with pytest.raises(RequestRefused):
                client.get(REQUEST, data)
            assert len(server.heard) == 1
            client.close()
        assert elsewhere.heard == []


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(sends(GOOD)) as proxy, serve(sends(GOOD)) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        client = over_sockets(server.port)
        assert client.get(REQUEST, data).value == [1]
        assert proxy.heard == []
        client.close()


def test_an_untrusted_certificate_is_never_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # an environment that trusts it
        monkeypatch.setenv(name, str(Path(__file__).with_name("self_signed.pem")))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).with_name("self_signed.pem"))
    with serve(sends(GOOD), tls=context) as server:
        client = over_sockets(server.port, "https")
        with pytest.raises(SourceUnavailable, match="certificate"):
            client.get(REQUEST, data)
        assert client.requests == 3
        assert server.heard == []
        client.close()


def test_a_refused_connection_is_retried_and_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = over_sockets(port)
    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        client.get(REQUEST, data)
    assert client.requests == 5
    client.close()


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "10.1.2.3", "192.168.0.1", "100.64.0.1", "::1", "127.0.0.1", "::ffff:127.0.0.1", "fd00::1"],
)
def test_a_public_name_that_resolves_to_a_private_address_is_not_connected_to(address: str) -> None:
    clock = FakeClock()
    wire = DeadlineTransport(SOURCE.base_url, SystemClock(), resolve=lambda host, port: ["93.184.216.34", address])
    client = Client(SOURCE, api_key_header, FakeRateLimiter(clock), clock, Random(7).random, wire)
    with pytest.raises(SourceError, match="private network"):
        client.get(REQUEST, data)
    assert client.requests == 1
    client.close()


def test_nothing_of_a_request_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), serve(sends(http_response(b"", status="500 X")), sends(GOOD)) as server:
        client = over_sockets(server.port)
        client.get(REQUEST, data)
        client.close()
    assert not any(secret in caplog.text for secret in (KEY, PHONE, PHONE[1:]))
