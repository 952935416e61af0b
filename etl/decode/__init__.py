"""Bytes as received → the parts of a response, or a record's values and the hash of its content."""

import codecs
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from etl.decode import tolerant
from etl.model import InvalidResponse, ResponseBody

_PARTS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_VALUE = msgspec.json.Decoder(float_hook=tolerant.exact)
_CANONICAL = msgspec.json.Encoder(order="sorted", decimal_format="number")
_ERRORS = (ValueError, ArithmeticError, RecursionError)  # msgspec's own errors are ValueErrors

# A signed link has another signature in every response: these parameters are no part of its content.
_LINK = re.compile(rb'(://[^"\s?#\\]*+)\?([^"\s#\\]++)')
_SIGNING = re.compile(
    rb"(x-(amz|goog|oss|cos|bz)-[^=]*|(aws|google|oss)?access(key)?id|key-pair-id|policy|signature|sig"
    rb"|(access_|auth_)?token|expires(_in|_at)?|expiry|exp|hdnea)=.*",
    re.IGNORECASE | re.DOTALL,
)
# Parameters of a shared access signature, which has a sig=; elsewhere such short names may mean anything.
_SHARED_ACCESS = re.compile(rb"(s[eprtvi]|spr|sk[estv]|skoid|sktid)=.*", re.IGNORECASE | re.DOTALL)


def decode(body: bytes) -> ResponseBody:
    """The parts of a response's JSON object; a damaged record leaves the others intact.

    Raises :class:`InvalidResponse` for anything else: HTML, an empty or a truncated text.
    """
    received, body = body, utf8(body)
    start = body[:64].lstrip()[:1] or body.lstrip()[:1]
    if start != b"{":
        raise InvalidResponse(_not_an_object(start))
    try:
        parts: Mapping[str, msgspec.Raw | bytes] = _PARTS.decode(body)
    except _ERRORS:
        parts = tolerant.parts(body)
    else:
        parts = parts if _is_whole(body, parts) else tolerant.parts(body)
    return _JsonBody(received, parts)


def _is_whole(body: bytes, parts: Mapping[str, msgspec.Raw | bytes]) -> bool:
    """Whether the parts add up to the body, byte for byte: a duplicate key would hide its first value."""
    if not parts:
        return True
    compact = 1 + sum(len(memoryview(part)) + len(key.encode()) + 4 for key, part in parts.items())
    rest = len(body) - body.endswith(b"\n") - compact
    is_spaced = rest > 0 and body[(start := len(next(iter(parts)).encode()) + 3) : start + 2] == b": "
    return rest == 0 or (is_spaced and rest == 2 * len(parts) - 1)


def _not_an_object(start: bytes) -> str:
    if not start:
        return "the response is empty"
    if start == b"<":
        return "the response is a web page, not JSON; is the base URL right?"
    return "the response is a list, not an object" if start == b"[" else "the response is not a JSON object"


def utf8(body: bytes) -> bytes:
    """A JSON text in another encoding of Unicode as UTF-8; any other bytes as they are."""
    if body.startswith(codecs.BOM_UTF8):
        return body[3:]
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        coding = "utf-16"
    elif body[:2] == b"{\0":
        coding = "utf-16-le"
    elif body[:2] == b"\0{":
        coding = "utf-16-be"
    else:
        return body
    return body.decode(coding, errors="replace").encode()


class _JsonBody:
    """The parts of a response, each of which is parsed when it is needed."""

    __slots__ = ("_parts", "payload")

    def __init__(self, payload: bytes, parts: Mapping[str, msgspec.Raw | bytes]) -> None:
        self.payload = payload
        self._parts = parts

    def __contains__(self, key: str) -> bool:
        return key in self._parts

    def get(self, key: str) -> Any:
        part = self._parts.get(key)
        return None if part is None else parse(bytes(part))

    def records(self, key: str) -> Sequence[bytes]:
        part = bytes(self._parts.get(key, b""))
        if part[:1] != b"[":
            raise InvalidResponse(f"the response has no list {key!r}")
        try:
            return [bytes(record) for record in _LIST.decode(part)]
        except _ERRORS:
            return tolerant.elements(part)


def parse(data: bytes) -> Any:
    """A JSON value with exact numbers. Raises :class:`InvalidResponse` for any other text."""
    try:
        found = _VALUE.decode(data)
    except _ERRORS:
        found = tolerant.value(data)
    _check_depth(data, found)
    return tolerant.value(data) if b"\\u0000" in data else found


def read_record(payload: bytes) -> tuple[dict[str, Any], bytes]:
    """A record's values and the 16-byte hash of its content.

    The hash ignores the order of keys, the notation of numbers and texts, and the signatures of links. Numbers are
    ``int`` or ``Decimal``, unreadable ones ``None``; NUL and lone surrogates are U+FFFD: the record is then a
    :class:`~etl.decode.tolerant.RepairedRecord`, whose flags say so.
    Raises :class:`InvalidResponse` for what is no object, is nested too deep, or has a duplicate key.
    """
    try:
        record = _VALUE.decode(payload)
        if b"\\" in payload and b"\\u0000" in payload:  # the first test is ten times as fast
            record = tolerant.repair(payload)
    except _ERRORS:
        record = tolerant.repair(payload)
    if not isinstance(record, dict):
        raise InvalidResponse("the record is not an object")
    _check_depth(payload, record)
    canonical = _CANONICAL.encode(record)
    if not isinstance(record, tolerant.RepairedRecord) and _may_repeat_a_key(payload, canonical):
        tolerant.repair(payload)
    return record, content_digest(canonical)


def content_digest(canonical: bytes) -> bytes:
    """The hash of a canonical text without the signatures of its links."""
    if b"=" in canonical:  # in every signature, and hardly ever in a conversation
        canonical = _LINK.sub(_unsigned, canonical)
    return hashlib.blake2b(canonical, digest_size=16).digest()


def _unsigned(link: re.Match[bytes]) -> bytes:
    parts = link[2].split(b"&")
    kept = [part for part in parts if not _SIGNING.fullmatch(part)]
    if any(part[:4].lower() == b"sig=" for part in parts):
        kept = [part for part in kept if not _SHARED_ACCESS.fullmatch(part)]
    return link[1] + (b"?" + b"&".join(kept) if kept else b"")


def _may_repeat_a_key(payload: bytes, canonical: bytes) -> bool:
    """Whether the parser may have dropped a value: then a colon is missing, or an escaped one stands for it."""
    return payload.count(b":") != canonical.count(b":") or (b"\\" in payload and b"\\u003" in payload)


def _check_depth(data: bytes, found: Any) -> None:
    if len(data) - len(data.translate(None, b"[{")) <= tolerant.MAX_DEPTH:  # twice as fast as two counts
        return
    level = [found]
    for _ in range(tolerant.MAX_DEPTH):
        level = [
            inner
            for value in level
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise InvalidResponse(tolerant.TOO_DEEP)
