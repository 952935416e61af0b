"""JSON that the fast parser refuses → its parts byte by byte, or its value with what is damaged in it replaced."""

import json
import re
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from etl.model import InvalidResponse

MAX_DEPTH = 64
TOO_DEEP = f"it is nested deeper than {MAX_DEPTH} levels"
REPLACEMENT = "\ufffd"

_LARGEST_EXPONENT = 100
_LONGEST_NUMBER = 1000
_SPACE = re.compile(rb"[ \t\r\n]*+")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_BRACKET = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}"]', re.DOTALL)
_WORD = re.compile(rb'[^\s,:\[\]{}"]++')
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class RepairedRecord(dict[str, Any]):
    """A record in which something was replaced; ``flags`` say what."""

    flags: tuple[str, ...] = ()


@lru_cache(maxsize=1 << 14)
def exact(text: str) -> Decimal:
    """A JSON number as a decimal without trailing zeros, so that equal numbers are written alike.

    Raises ArithmeticError for one that no column could hold.
    """
    if len(text) < 32 and text[-1] != "0" and "e" not in text and "E" not in text:
        return Decimal(text)
    number = Decimal(text)
    if len(text) > _LONGEST_NUMBER or abs(number.adjusted()) > _LARGEST_EXPONENT:
        raise OverflowError("the number is out of range")
    plain = format(number, "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return Decimal(0) if plain == "-0" else Decimal(plain)


class _Parser:
    """One reading with the standard parser, whose hooks note what they replace and never raise."""

    def __init__(self) -> None:
        self.flags: list[str] = []
        self.has_duplicates = False
        self._decoder = json.JSONDecoder(
            strict=False,
            parse_float=self._float,
            parse_int=self._int,
            parse_constant=self._constant,
            object_pairs_hook=self._object,
        )

    def value(self, data: bytes) -> Any:
        text = data.decode(errors="replace")
        if REPLACEMENT in text and not _is_utf8(data):
            self.flags.append("text_repaired")
        try:
            return self._decoder.decode(text)
        except RecursionError:
            raise InvalidResponse(TOO_DEEP) from None
        except ValueError:
            raise InvalidResponse("it is not JSON") from None

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = {self.storable(key): self._item(value) for key, value in pairs}
        self.has_duplicates = self.has_duplicates or len(found) < len(pairs)
        return found

    def _item(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.storable(value)
        return [self._item(each) for each in value] if isinstance(value, list) else value

    def storable(self, text: str) -> str:
        """A text without NUL and lone surrogates, which PostgreSQL cannot hold."""
        found = _UNSTORABLE.sub(REPLACEMENT, text)
        if found != text:
            self.flags.append("text_repaired")
        return found

    def _float(self, text: str) -> Decimal | None:
        try:
            return exact(text)
        except (ArithmeticError, InvalidOperation):
            self._constant(text)
            return None

    def _int(self, text: str) -> int | None:
        if len(text) <= _LARGEST_EXPONENT:
            return int(text)
        self._constant(text)
        return None

    def _constant(self, text: str) -> None:
        self.flags.append("number_unreadable")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def value(data: bytes) -> Any:
    """Any JSON value, what is damaged in it replaced; :class:`InvalidResponse` where it is no JSON."""
    return _Parser().value(data)


def repair(data: bytes) -> Any:
    """A record's value; an object is :class:`RepairedRecord`. :class:`InvalidResponse` for no JSON, or a key that stands twice."""
    parser = _Parser()
    found = parser.value(data)
    if parser.has_duplicates:
        raise InvalidResponse("a key stands in it twice")
    if not isinstance(found, dict):
        return found
    mended = RepairedRecord(found)
    mended.flags = tuple(parser.flags)
    return mended


def parts(data: bytes) -> dict[str, bytes]:
    """The exact bytes of each value of a JSON object; only its outline has to be JSON."""
    place, found = _skip(data, 0), {}
    place = _expect(data, place, b"{")
    while data[place : place + 1] != b"}":
        key = _STRING.match(data, place)
        if key is None:
            raise _broken(data, place)
        name = str(value(key.group()))
        start = _skip(data, _expect(data, _skip(data, key.end()), b":"))
        end = _end(data, start)
        if name in found:
            raise InvalidResponse("a key stands twice in the answer")
        found[name] = data[start:end]
        place = _next(data, end, b"}")
    if _skip(data, place + 1) != len(data):
        raise InvalidResponse("the answer goes on after its end")
    return found


def elements(data: bytes) -> list[bytes]:
    """The exact bytes of each element of a JSON list; a damaged element is only itself damaged."""
    place, found = _expect(data, _skip(data, 0), b"["), []
    while data[place : place + 1] != b"]":
        end = _end(data, place)
        found.append(data[place:end])
        place = _next(data, end, b"]")
    return found


def _skip(data: bytes, place: int) -> int:
    found = _SPACE.match(data, place)
    return found.end() if found else place


def _expect(data: bytes, place: int, mark: bytes) -> int:
    if data[place : place + 1] != mark:
        raise _broken(data, place)
    return _skip(data, place + 1)


def _next(data: bytes, end: int, closing: bytes) -> int:
    """Where the next element starts, or the closing bracket stands."""
    place = _skip(data, end)
    if data[place : place + 1] == closing:
        return place
    place = _expect(data, place, b",")
    if data[place : place + 1] == closing:
        raise _broken(data, place)
    return place


def _end(data: bytes, start: int) -> int:
    """Where the value ends that starts here."""
    if data[start : start + 1] not in (b"{", b"["):
        found = _STRING.match(data, start) or _WORD.match(data, start)
        if found is None:
            raise _broken(data, start)
        return found.end()
    depth = 0
    for token in _BRACKET.finditer(data, start):
        mark = token.group()
        if mark == b'"':
            break
        depth += (mark in b"[{") - (mark in b"]}")
        if depth == 0:
            return token.end()
    raise _broken(data, len(data))


def _broken(data: bytes, place: int) -> InvalidResponse:
    return InvalidResponse("the answer ends in the middle" if place >= len(data) else "the answer is not JSON")
