"""What goes wrong with statuses, headers, bodies and sockets, as effects: the H rows of the catalogue."""

import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime

from etl.sandbox.effect import Effect, FaultFiring
from etl.sandbox.http_messages import JSON, RecordBytes, SendOptions, VendorRequest, VendorResponse, answered, dumped
from etl.sandbox.vendor import ListQuery, VendorPage

HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><form>Please sign in</form></body></html>"
# The eighth is an Arabic digit, as its UTF-8 bytes travel in a header.
HOSTILE_WAITS = ("-5", "0", "1.5", "1e9", "120, 60", "", "soon", "\xd9\xa3", "1" + "0" * 20,
                 "Fri, 31 Dec 9999 23:59:59 GMT")  # fmt: skip
LOCATIONS = {"same": "/login", "other": "https://evil.example/calls", "downgrade": "http://evil.example/calls",
             "protocol": "//evil.example/calls", "userinfo": "https://sandbox\\@evil.example/calls"}  # fmt: skip


def status(code: int, **headers: str) -> Effect:
    """Answers with that status and the error body of an overloaded server."""
    body: RecordBytes = {"error": {"code": str(code), "message": "The request could not be served."}}
    extra = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Effect(instead=lambda hit: VendorResponse(code, (*JSON, *extra), dumped(body)))


def too_many(wait: Callable[[FaultFiring], str]) -> Effect:
    """429 with a Retry-After that is made when it is sent."""
    return Effect(
        instead=lambda hit: VendorResponse(
            429, (*JSON, ("Retry-After", wait(hit)), ("X-RateLimit-Remaining", "0")), dumped({"message": "Slow down"})
        )
    )


def _hostile(wait: str) -> Effect:
    return too_many(lambda hit: wait)


def waits(form: Callable[[datetime], str]) -> Effect:
    """429 with the date until which to wait, in one of the forms that HTTP dates have."""
    return too_many(lambda hit: form(hit.world.now() + timedelta(seconds=hit.number("after", 2))))


def wire(make: Callable[[FaultFiring], SendOptions]) -> Effect:
    """The right answer, sent badly."""
    return Effect(answer=lambda hit, response: replace(response, wire=make(hit)))


def sent(change: Callable[[FaultFiring, VendorResponse], VendorResponse]) -> Effect:
    """The right answer, changed as a whole."""
    return Effect(answer=change)


def typed(media_type: str) -> Effect:
    """The right body under another Content-Type."""
    return sent(lambda hit, response: replace(response, headers=_headers(response, ("Content-Type", media_type))))


def bodied(change: Callable[[bytes], bytes], media_type: str = "application/json") -> Effect:
    """The right answer with its bytes changed."""
    header = ("Content-Type", media_type)
    return sent(lambda hit, response: replace(response, body=change(response.body), headers=_headers(response, header)))


def coded(pack: Callable[[FaultFiring, bytes], bytes], coding: str) -> Effect:
    """The right answer in a content coding."""
    header = ("Content-Encoding", coding)
    return sent(
        lambda hit, response: replace(response, body=pack(hit, response.body), headers=_headers(response, header))
    )


def enveloped(change: Callable[[RecordBytes], object]) -> Effect:
    """The right answer with its envelope changed."""
    return sent(lambda hit, response: _reprinted(response, change))


def _headers(response: VendorResponse, header: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return (*((name, value) for name, value in response.headers if name != header[0]), header)


def _reprinted(response: VendorResponse, change: Callable[[RecordBytes], object]) -> VendorResponse:
    try:
        body = json.loads(response.body)
    except ValueError:
        return response
    return replace(response, body=dumped(change(body))) if isinstance(body, dict) else response


def _without_list(body: RecordBytes) -> RecordBytes:
    return {name: value for name, value in body.items() if name not in ("calls", "data", "transcript")}


def _empty_list(body: RecordBytes) -> RecordBytes:
    return {name: [] if name in ("calls", "data") else value for name, value in body.items()}


def _null_list(body: RecordBytes) -> RecordBytes:
    return {name: None if name in ("calls", "data") else value for name, value in body.items()}


def _bomb(hit: FaultFiring, body: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    blank, size = b" " * 1_000_000, hit.number("size", 80_000_000)
    packed = [packer.compress(blank) for _ in range(max(1, size // len(blank)))]
    return b"".join((*packed, packer.compress(body), packer.flush()))


def _half(hit: FaultFiring, body: bytes) -> bytes:
    packed = gzip.compress(body, 6, mtime=0)
    return packed[: max(12, len(packed) * 2 // 3)]


def _members(hit: FaultFiring, body: bytes) -> bytes:
    middle = len(body) // 2
    return gzip.compress(body[:middle], 6, mtime=0) + gzip.compress(body[middle:], 6, mtime=0)


def _stacked(hit: FaultFiring, body: bytes) -> bytes:
    return gzip.compress(gzip.compress(body, 6, mtime=0), 6, mtime=0)


def _not_utf8(body: bytes) -> bytes:
    # One byte inside the first string value.
    return body.replace(b'":"', b'":"\xff', 1)


def _refused(hit: FaultFiring) -> VendorResponse:
    kept = {name: value for name, value in hit.request.headers.items() if name not in ("x-api-key", "authorization")}
    stranger = VendorRequest(hit.request.method, hit.request.path, hit.request.query, kept)
    return hit.source.refuse(stranger) or answered({"message": "Unauthenticated."}, 401)


def _phone_refused(hit: FaultFiring) -> VendorResponse | None:
    if hit.request.query.get("phone") != hit.options.get("phone", hit.world.phones[-1]):
        return None
    return answered({"success": False, "message": "invalid organization id"}, 400)


def _moved(name: str) -> Effect:
    return Effect(
        instead=lambda hit: VendorResponse(302, (("Location", hit.options.get("to", LOCATIONS[name])),), b"Moved")
    )


def _loop(hit: FaultFiring) -> VendorResponse:
    return VendorResponse(307, (("Location", f"/{hit.provider}{hit.request.path}"),), b"")


def _broken_position(hit: FaultFiring, asked: ListQuery) -> ListQuery | VendorResponse:
    place = hit.number("at", 25)
    if asked.skip <= place < asked.skip + asked.size:
        return answered({"error": {"code": "500 Internal Server Error", "message": "An unexpected error"}}, 500)
    return asked


def _wrong_echo(hit: FaultFiring, page: VendorPage) -> VendorPage:
    asked = page.asked
    phone = f"{asked.phone[:-1]}{(int(asked.phone[-1]) + 1) % 10}" if asked.phone[-1:].isdigit() else asked.phone
    return replace(page, asked=replace(asked, page=asked.page + 1, offset=asked.offset + asked.size, phone=phone))


def _cut(response: VendorResponse, **more: bool) -> VendorResponse:
    return replace(response, wire=SendOptions(cut=0.5, **more))


DETAIL: RecordBytes = {"loc": ["query", "page"], "msg": "value is not a valid integer", "type": "type_error.integer"}
SERVER_ERROR: RecordBytes = {
    "code": "500 Internal Server Error",
    "message": "An unexpected error occurred on the server.",
}
HTTP_EFFECTS: dict[str, dict[str, Effect]] = {
    "H01": {"seconds": too_many(lambda hit: hit.options.get("after", "2"))},
    "H02": {
        "imf": waits(lambda moment: format_datetime(moment, usegmt=True)),
        "rfc850": waits(lambda moment: moment.strftime("%A, %d-%b-%y %H:%M:%S GMT")),
        "asctime": waits(lambda moment: moment.strftime("%a %b %e %H:%M:%S %Y")),
        "naive": waits(lambda moment: moment.strftime("%a, %d %b %Y %H:%M:%S")),
    },
    "H03": {"bare": status(429)},
    "H04": {f"form{place}": _hostile(text) for place, text in enumerate(HOSTILE_WAITS)},
    "H05": {"bare": status(429), "seconds": status(429, Retry_After="60")},
    "H06": {"burst": Effect(instead=lambda hit: answered({"error": SERVER_ERROR}, 500))},
    "H07": {"502": status(502), "503": status(503), "503-after": status(503, Retry_After="2"), "504": status(504),
            "520": status(520), "530": status(530)},
    "H08": {"position": Effect(ask=_broken_position)},
    "H09": {"401": Effect(instead=_refused)},
    "H10": {"402": status(402), "403": status(403)},
    "H11": {"phone": Effect(instead=_phone_refused)},
    "H12": {"404": status(404), "410": status(410)},
    "H13": {"422": Effect(instead=lambda hit: answered({"detail": [DETAIL]}, 422))},
    "H14": {"408": status(408), "425": status(425), "499": status(499)},
    "H16": {"hold": wire(lambda hit: SendOptions(hold=hit.number("seconds", 30)))},
    "H17": {"drip": wire(lambda hit: SendOptions(pace=hit.number("pace", 40)))},
    "H18": {
        "many": sent(lambda hit, response: replace(
            response, headers=(*response.headers, *((f"X-Pad-{n}", "x") for n in range(10_000))))),
        "long": sent(lambda hit, response: replace(response, headers=(*response.headers, ("X-Pad", "x" * 1_000_000)))),
        "endless": wire(lambda hit: SendOptions(is_endless=True)),
    },
    "H19": {"cut": sent(lambda hit, response: _cut(response)),
            "reset": sent(lambda hit, response: _cut(response, reset=True))},
    "H20": {"cut": sent(lambda hit, response: _cut(response, is_sized=False))},
    "H21": {"truncated": coded(_half, "gzip"), "members": coded(_members, "gzip")},
    "H22": {"bomb": coded(_bomb, "gzip"), "stacked": coded(_stacked, "gzip, gzip"),
            "br": coded(lambda hit, body: body, "br"), "zstd": coded(lambda hit, body: body, "zstd")},
    "H23": {
        "html": Effect(instead=lambda hit: VendorResponse(200, (("Content-Type", "text/html; charset=utf-8"),), HTML)),
        "json-as-html": typed("text/html"), "json-as-text": typed("text/plain"),
        "empty": Effect(instead=lambda hit: VendorResponse(200, JSON, b"")),
        "204": Effect(instead=lambda hit: VendorResponse(204, (), b"")),
    },
    "H24": {
        "charset": typed("application/json; charset=iso-8859-1"),
        "bom": bodied(lambda body: b"\xef\xbb\xbf" + body),
        "utf-16": bodied(lambda body: body.decode().encode("utf-16"), "application/json; charset=utf-16"),
        "invalid": bodied(_not_utf8),
    },
    "H25": {
        "success-false": enveloped(lambda body: _empty_list(body) | {"success": False, "message": "query failed"}),
        "error": Effect(instead=lambda hit: answered({"error": SERVER_ERROR})),
        "null": enveloped(_null_list), "missing": enveloped(_without_list),
    },
    "H26": {name: _moved(name) for name in LOCATIONS} | {"loop": Effect(instead=_loop)},
    "H27": {"echo": Effect(page=_wrong_echo)},
    "H28": {"stale": Effect(moment=lambda hit, at: at - timedelta(seconds=hit.number("lag", 900)))},
    "H29": {"close": wire(lambda hit: SendOptions(close=True))},
}  # fmt: skip
