"""Faults of statuses, headers, bodies and connections, as effects: the H rows of the catalogue."""

import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from etl.sandbox.effect import Effect, FaultFiring
from etl.sandbox.http_messages import JSON, JsonObject, SendOptions, VendorResponse, json_response, to_json
from etl.sandbox.vendor import ListQuery, VendorPage

ENCODING = "Content-Encoding"
HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><form>Please sign in</form></body></html>"
# The eighth is an Arabic digit, as its UTF-8 bytes arrive in a header.
INVALID_WAITS = ("-5", "0", "1.5", "1e9", "120, 60", "", "soon", "\xd9\xa3", "1" + "0" * 20,
                 "Fri, 31 Dec 9999 23:59:59 GMT")  # fmt: skip
LOCATIONS = {"same": "/login", "other": "https://evil.example/calls", "downgrade": "http://evil.example/calls",
             "protocol": "//evil.example/calls", "userinfo": "https://sandbox\\@evil.example/calls"}  # fmt: skip
DETAIL: JsonObject = {"loc": ["query", "page"], "msg": "value is not a valid integer", "type": "type_error.integer"}
SERVER_ERROR: JsonObject = {"code": "500 Internal Server Error",
                            "message": "An unexpected error occurred on the server."}  # fmt: skip


def status(code: int, **headers: str) -> Effect:
    """That status, with the error body of an overloaded server."""
    body: JsonObject = {"error": {"code": str(code), "message": "The request could not be served."}}
    extra = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Effect(instead=lambda firing: VendorResponse(code, (*JSON, *extra), to_json(body)))


def constant(response: VendorResponse) -> Effect:
    """The same response to every request."""
    return Effect(instead=lambda firing: response)


def rate_limited(retry_after: Callable[[FaultFiring], str]) -> Effect:
    """429 with a Retry-After."""
    rest, body = ("X-RateLimit-Remaining", "0"), to_json({"message": "Slow down"})
    return Effect(instead=lambda firing: VendorResponse(429, (*JSON, ("Retry-After", retry_after(firing)), rest), body))


def rate_limited_until(form: str) -> Effect:
    """429 with a Retry-After that is a date."""
    return rate_limited(lambda firing: f"{firing.world.now() + timedelta(seconds=firing.number('after', 2)):{form}}")


def invalid_wait(text: str) -> Effect:
    """429 with this Retry-After."""
    return rate_limited(lambda firing: text)


def sent_with(options: Callable[[FaultFiring], SendOptions]) -> Effect:
    """The normal response, sent in another way."""
    return Effect(response=lambda firing, response: replace(response, send_options=options(firing)))


def with_header(name: str, value: str, change: Callable[[FaultFiring, bytes], bytes] | None = None) -> Effect:
    """The normal response with one header replaced, and its body changed."""

    def respond(firing: FaultFiring, response: VendorResponse) -> VendorResponse:
        headers = (*(pair for pair in response.headers if pair[0] != name), (name, value))
        return replace(response, headers=headers, body=change(firing, response.body) if change else response.body)

    return Effect(response=respond)


def with_body(change: Callable[[bytes], bytes], media_type: str = "application/json") -> Effect:
    """The normal response with its bytes changed."""
    return with_header("Content-Type", media_type, lambda firing, body: change(body))


def with_envelope(change: Callable[[JsonObject], object]) -> Effect:
    """The normal response with its JSON object changed."""

    def respond(firing: FaultFiring, response: VendorResponse) -> VendorResponse:
        try:
            body = json.loads(response.body)
        except ValueError:
            return response
        return replace(response, body=to_json(change(body))) if isinstance(body, dict) else response

    return Effect(response=respond)


def with_list(body: JsonObject, value: object) -> JsonObject:
    """An envelope with another value in place of its records."""
    return {name: value if name in ("calls", "data") else part for name, part in body.items()}


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, 6, mtime=0)


def _gzip_bomb(firing: FaultFiring, body: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    blank, size = b" " * 1_000_000, firing.number("size", 80_000_000)
    packed = [packer.compress(blank) for _ in range(max(1, size // len(blank)))]
    return b"".join((*packed, packer.compress(body), packer.flush()))


def _truncated_gzip(firing: FaultFiring, body: bytes) -> bytes:
    packed = _gzip(body)
    return packed[: max(12, len(packed) * 2 // 3)]


def _two_gzip_members(firing: FaultFiring, body: bytes) -> bytes:
    middle = len(body) // 2
    return _gzip(body[:middle]) + _gzip(body[middle:])


def _without_key(firing: FaultFiring) -> VendorResponse | None:
    headers = {**firing.request.headers, "x-api-key": "", "authorization": ""}
    return firing.vendor.reject(replace(firing.request, headers=headers))


def _phone_rejected(firing: FaultFiring) -> VendorResponse | None:
    if firing.request.query.get("phone") != firing.options.get("phone", firing.world.phones[-1]):
        return None
    return json_response({"success": False, "message": "invalid organization id"}, 400)


def _redirect(name: str) -> Effect:
    return Effect(
        instead=lambda firing: VendorResponse(302, (("Location", firing.options.get("to", LOCATIONS[name])),), b"Moved")
    )


def _redirect_loop(firing: FaultFiring) -> VendorResponse:
    return VendorResponse(307, (("Location", f"/{firing.vendor.name}{firing.request.path}"),), b"")


def _broken_index(firing: FaultFiring, query: ListQuery) -> ListQuery | VendorResponse:
    is_on_page = query.skip <= firing.number("at", 25) < query.skip + query.size
    return json_response({"error": SERVER_ERROR}, 500) if is_on_page else query


def _other_echo(firing: FaultFiring, page: VendorPage) -> VendorPage:
    query, phone = page.query, page.query.phone
    if phone[-1:].isdigit():
        phone = f"{phone[:-1]}{(int(phone[-1]) + 1) % 10}"
    return replace(page, query=replace(query, page=query.page + 1, offset=query.offset + query.size, phone=phone))


HTTP_EFFECTS: dict[str, dict[str, Effect]] = {
    "H01": {"seconds": rate_limited(lambda firing: firing.options.get("after", "2"))},
    "H02": {
        "imf": rate_limited_until("%a, %d %b %Y %H:%M:%S GMT"),
        "rfc850": rate_limited_until("%A, %d-%b-%y %H:%M:%S GMT"),
        "asctime": rate_limited_until("%a %b %e %H:%M:%S %Y"),
        "naive": rate_limited_until("%a, %d %b %Y %H:%M:%S"),
    },
    "H03": {"bare": status(429)},
    "H04": {f"form{index}": invalid_wait(text) for index, text in enumerate(INVALID_WAITS)},
    "H05": {"bare": status(429), "seconds": status(429, Retry_After="60")},
    "H06": {"burst": constant(json_response({"error": SERVER_ERROR}, 500))},
    "H07": {"502": status(502), "503": status(503), "503-after": status(503, Retry_After="2"), "504": status(504),
            "520": status(520), "530": status(530)},
    "H08": {"position": Effect(query=_broken_index)},
    "H09": {"401": Effect(instead=_without_key)},
    "H10": {"402": status(402), "403": status(403)},
    "H11": {"phone": Effect(instead=_phone_rejected)},
    "H12": {"404": status(404), "410": status(410)},
    "H13": {"422": constant(json_response({"detail": [DETAIL]}, 422))},
    "H14": {"408": status(408), "425": status(425), "499": status(499)},
    "H16": {"hold": sent_with(lambda firing: SendOptions(delay_seconds=firing.number("seconds", 30)))},
    "H17": {"drip": sent_with(lambda firing: SendOptions(bytes_per_second=firing.number("bytes_per_second", 40)))},
    "H18": {
        "many": Effect(response=lambda firing, response: replace(
            response, headers=(*response.headers, *((f"X-Pad-{n}", "x") for n in range(10_000))))),
        "long": with_header("X-Pad", "x" * 1_000_000),
        "endless": sent_with(lambda firing: SendOptions(is_endless=True)),
    },
    "H19": {"cut": sent_with(lambda firing: SendOptions(sent_share=0.5)),
            "reset": sent_with(lambda firing: SendOptions(sent_share=0.5, reset=True))},
    "H20": {"cut": sent_with(lambda firing: SendOptions(sent_share=0.5, is_sized=False))},
    "H21": {"truncated": with_header(ENCODING, "gzip", _truncated_gzip),
            "members": with_header(ENCODING, "gzip", _two_gzip_members)},
    "H22": {"bomb": with_header(ENCODING, "gzip", _gzip_bomb),
            "stacked": with_header(ENCODING, "gzip, gzip", lambda firing, body: _gzip(_gzip(body))),
            "br": with_header(ENCODING, "br"), "zstd": with_header(ENCODING, "zstd")},
    "H23": {
        "html": constant(VendorResponse(200, (("Content-Type", "text/html; charset=utf-8"),), HTML)),
        "json-as-html": with_header("Content-Type", "text/html"),
        "json-as-text": with_header("Content-Type", "text/plain"),
        "empty": constant(VendorResponse(200, JSON, b"")),
        "204": constant(VendorResponse(204, (), b"")),
    },
    "H24": {
        "charset": with_header("Content-Type", "application/json; charset=iso-8859-1"),
        "bom": with_body(lambda body: b"\xef\xbb\xbf" + body),
        "utf-16": with_body(lambda body: body.decode().encode("utf-16"), "application/json; charset=utf-16"),
        "invalid": with_body(lambda body: body.replace(b'":"', b'":"\xff', 1)),  # inside the first string value
    },
    "H25": {
        "success-false": with_envelope(
            lambda body: with_list(body, []) | {"success": False, "message": "query failed"}),
        "error": constant(json_response({"error": SERVER_ERROR})),
        "null": with_envelope(lambda body: with_list(body, None)), "missing": with_envelope(
            lambda body: {name: part for name, part in body.items() if name not in ("calls", "data", "transcript")}),
    },
    "H26": {name: _redirect(name) for name in LOCATIONS} | {"loop": Effect(instead=_redirect_loop)},
    "H27": {"echo": Effect(page=_other_echo)},
    "H28": {"stale": Effect(moment=lambda firing, at: at - timedelta(seconds=firing.number("lag", 900)))},
    "H29": {"close": sent_with(lambda firing: SendOptions(close=True))},
}  # fmt: skip
