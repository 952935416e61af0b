"""Bytes as received → the parts of a response, or a record's values and the hash of its content."""

import codecs
import hashlib
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from etl.decode import tolerant
from etl.decode.invisible import uncover_keys, visible
from etl.model import InvalidResponse, ResponseBody, TooManyValues

_PARTS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_VALUE = msgspec.json.Decoder(float_hook=tolerant.exact)
_CANONICAL = msgspec.json.Encoder(order="sorted", decimal_format="number")
# No invisible character is printable, which is known of a whole record in a third of the time that its keys take.
_ESCAPED_MARK = re.compile(rb"\\u(?:00[aA][dD]|061[cC]|180[eE]|20[0-6]|[fF][eE][fF][fF])")
MAX_RECORD_BYTES = 16 << 20
MAX_RECORD_VALUES = 100_000
TOO_MANY = f"it has more than {MAX_RECORD_VALUES:,} values"
MAX_PAGE_VALUES = 500_000  # of the records that are read; a smaller page has fewer
MAX_PARTS = 100_000  # records of a page, or keys of a response
MANY = 1 << 20  # commas, up to which the fast parser takes little memory, whatever it finds
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
    parts: Mapping[str, msgspec.Raw | bytes] | None = None
    with suppress(*_ERRORS):
        parts = _PARTS.decode(body) if body.count(b",") <= MANY else None
    if parts is None or not _is_whole(body, parts):
        parts = tolerant.parts(body, MAX_PARTS)
    return _JsonBody(received, {visible(key): part for key, part in parts.items()} | dict(parts))


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
        records: Sequence[bytes] | None = None
        with suppress(*_ERRORS):
            records = [bytes(record) for record in _LIST.decode(part)] if part.count(b",") <= MANY else None
        if records is None:
            records = tolerant.elements(part, MAX_PARTS)
        if len(records) > MAX_PARTS or _values_read(part, records) > MAX_PAGE_VALUES:
            raise TooManyValues("the response has more values than any page may have")
        return records


def _values_read(part: bytes, records: Sequence[bytes]) -> int:
    """How many values the records of a page become in memory; 0 where they cannot be too many."""
    if len(part) <= MAX_PAGE_VALUES or tolerant.marks(part) <= MAX_PAGE_VALUES or len(records) == 1:
        return 0
    return sum(tolerant.count_values(record, MAX_RECORD_VALUES) for record in records if _excess(record) is None)


def _excess(data: bytes) -> str | None:
    """Why a value takes more memory than any call needs, found before it is parsed."""
    if len(data) > MAX_RECORD_BYTES:
        return f"it is larger than {MAX_RECORD_BYTES >> 20} MB"
    is_small = len(data) <= MAX_RECORD_VALUES or tolerant.marks(data) <= MAX_RECORD_VALUES
    return TOO_MANY if not is_small and tolerant.count_values(data, MAX_RECORD_VALUES) > MAX_RECORD_VALUES else None


def parse(data: bytes) -> Any:
    """A JSON value with exact numbers. Raises :class:`InvalidResponse` for any other text."""
    if excess := _excess(data):
        raise InvalidResponse(excess)
    try:
        found = _VALUE.decode(data)
    except _ERRORS:
        found = tolerant.value(data)
    _check_depth(data, found)
    found = tolerant.value(data) if b"\\u0000" in data else found
    _uncover_keys(found, data)
    return found


def _uncover_keys(found: Any, data: bytes) -> None:
    is_clean = data.isascii() or data.decode(errors="replace").isprintable()
    if not is_clean or (b"\\u" in data and _ESCAPED_MARK.search(data)):
        try:
            uncover_keys(found)
        except ValueError:
            raise InvalidResponse("it has a duplicate key") from None


def read_record(payload: bytes) -> tuple[dict[str, Any], bytes]:
    """A record's values and the 16-byte hash of its content.

    The hash ignores the order of keys, the notation of numbers and texts, and the signatures of links. Numbers are
    ``int`` or ``Decimal``, unreadable ones ``None``; keys have no invisible characters; NUL and lone surrogates are
    U+FFFD: the record is then a :class:`~etl.decode.tolerant.RepairedRecord`, whose flags say so.
    Raises :class:`InvalidResponse` for what is no object, is too large, is nested too deep, or has a duplicate key.
    """
    if excess := _excess(payload):
        raise InvalidResponse(excess)
    try:
        record = _VALUE.decode(payload)
        if b"\\" in payload and b"\\u0000" in payload:  # the first test is ten times as fast
            record = tolerant.repair(payload)
    except _ERRORS:
        record = tolerant.repair(payload)
    if not isinstance(record, dict):
        raise InvalidResponse("the record is not an object")
    _check_depth(payload, record)
    _uncover_keys(record, payload)
    canonical = _CANONICAL.encode(record)
    if not isinstance(record, tolerant.RepairedRecord) and _may_repeat_a_key(payload, canonical):
        tolerant.repair(payload)
    return record, content_digest(canonical)


def memory_of(payload: bytes) -> int:
    """About how many bytes a record takes with its values: an object of one key takes fifty times those of its text."""
    return len(payload) + 64 * tolerant.marks(payload)


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
