"""JSON that the fast parser rejects → its parts byte for byte, or its value with the damaged parts replaced."""

import json
import re
from collections.abc import Sized
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import islice
from typing import Any

from etl.model import InvalidResponse, TooManyValues

MAX_DEPTH = 64
TOO_DEEP = f"it is nested deeper than {MAX_DEPTH} levels"
REPLACEMENT = "\ufffd"

_MAX_DIGITS = 100
_MAX_EXPONENT = 30  # in exponent notation, of which PostgreSQL writes out every digit
_MAX_NUMBER_LENGTH = 1000
_SPACE = re.compile(rb"[ \t\r\n]*+")
_TEXT = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_STRING = re.compile(_TEXT, re.DOTALL)
_NESTED = _TEXT  # then a text, or an object or list with up to six levels: C finds its end a hundred times as fast
for _ in range(6):
    _NESTED = rb'(?:%b|[\[{](?:[^\[\]{}"]++|%b)*+[\]}])' % (_TEXT, _NESTED)
_BRACKET = re.compile(rb'%b|[\[\]{}"]' % _NESTED, re.DOTALL)
_DEPTH = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}
_VALUE_MARK = re.compile(rb"%b|[,\[{]" % _TEXT, re.DOTALL)
_WORD = re.compile(rb'[^\s,:\[\]{}"]++')
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class RepairedRecord(dict[str, Any]):
    """A record with replaced values; ``flags`` say which."""

    flags: tuple[str, ...] = ()


@lru_cache(maxsize=1 << 14)
def exact(text: str) -> Decimal:
    """A JSON number as a decimal without trailing zeros, so that equal numbers have the same text.

    Raises ArithmeticError for one that no column can hold.
    """
    if len(text) < 32 and text[-1] != "0" and "e" not in text and "E" not in text:
        return Decimal(text)
    number = Decimal(text)
    most = _MAX_EXPONENT if "e" in text.lower() else _MAX_DIGITS
    if len(text) > _MAX_NUMBER_LENGTH or abs(number.adjusted()) > most:
        raise OverflowError("the number is out of range")
    plain = format(number, "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return Decimal(0) if plain == "-0" else Decimal(plain)


class _Parser:
    """One pass of the standard parser, whose hooks record what they replace and never raise."""

    def __init__(self) -> None:
        self.flags = set[str]()
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
            self.flags.add("text_repaired")
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
        return [self._item(item) for item in value] if isinstance(value, list) else value

    def storable(self, text: str) -> str:
        """A text without NUL and lone surrogates, which PostgreSQL cannot store."""
        found = _UNSTORABLE.sub(REPLACEMENT, text)
        if found != text:
            self.flags.add("text_repaired")
        return found

    def _float(self, text: str) -> Decimal | None:
        try:
            return exact(text)
        except (ArithmeticError, InvalidOperation):
            self._constant(text)
            return None

    def _int(self, text: str) -> int | None:
        if len(text) <= _MAX_DIGITS:
            return int(text)
        self._constant(text)
        return None

    def _constant(self, text: str) -> None:
        self.flags.add("number_unreadable")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def value(data: bytes) -> Any:
    """A JSON value with damaged parts replaced. Raises :class:`InvalidResponse` for what is no JSON."""
    return _Parser().value(data)


def repair(data: bytes) -> Any:
    """A record's value, an object as :class:`RepairedRecord`.

    Raises :class:`InvalidResponse` for what is no JSON and for a duplicate key.
    """
    parser = _Parser()
    found = parser.value(data)
    if parser.has_duplicates:
        raise InvalidResponse("it has a duplicate key")
    if not isinstance(found, dict):
        return found
    record = RepairedRecord(found)
    record.flags = tuple(sorted(parser.flags))
    return record


def marks(data: bytes) -> int:
    """At most how many values a JSON text has: its commas and opening brackets, those inside of texts too."""
    return len(data) - len(data.translate(None, b",[{"))


def count_values(data: bytes, limit: int) -> int:
    """How many values a JSON text has, counted no further than to one more than ``limit``."""
    values = (None for token in _VALUE_MARK.finditer(data) if token.group()[0] != ord('"'))
    return 1 + sum(1 for _ in islice(values, limit))


def parts(data: bytes, limit: int) -> dict[str, bytes]:
    """The exact bytes of each value of a JSON object; only its outer structure has to be JSON."""
    position, found = _skip(data, 0), {}
    position = _expect(data, position, b"{")
    while data[position : position + 1] != b"}":
        key = _STRING.match(data, position)
        if key is None:
            raise _broken(data, position)
        name = str(value(key.group()))
        start = _skip(data, _expect(data, _skip(data, key.end()), b":"))
        end = _end(data, start)
        if name in found:
            raise InvalidResponse("the response has a duplicate key")
        found[name] = data[start:end]
        _check_count(found, limit)
        position = _next(data, end, b"}")
    if _skip(data, position + 1) != len(data):
        raise InvalidResponse("the response continues after its end")
    return found


def elements(data: bytes, limit: int) -> list[bytes]:
    """The exact bytes of each element of a JSON list; a damaged element leaves the others intact."""
    position, found = _expect(data, _skip(data, 0), b"["), []
    while data[position : position + 1] != b"]":
        end = _end(data, position)
        found.append(data[position:end])
        _check_count(found, limit)
        position = _next(data, end, b"]")
    return found


def _check_count(found: Sized, limit: int) -> None:
    if len(found) > limit:
        raise TooManyValues(f"the response has more than {limit:,} parts")


def _skip(data: bytes, position: int) -> int:
    found = _SPACE.match(data, position)
    return found.end() if found else position


def _expect(data: bytes, position: int, mark: bytes) -> int:
    if data[position : position + 1] != mark:
        raise _broken(data, position)
    return _skip(data, position + 1)


def _next(data: bytes, end: int, closing: bytes) -> int:
    """The position of the next element, or of the closing bracket."""
    position = _skip(data, end)
    if data[position : position + 1] == closing:
        return position
    position = _expect(data, position, b",")
    if data[position : position + 1] == closing:
        raise _broken(data, position)
    return position


def _end(data: bytes, start: int) -> int:
    """The end of the value that starts here."""
    if data[start : start + 1] not in (b"{", b"["):
        found = _STRING.match(data, start) or _WORD.match(data, start)
        if found is None:
            raise _broken(data, start)
        return found.end()
    depth = 0
    for token in _BRACKET.finditer(data, start):
        is_mark = token.end() - token.start() == 1
        if is_mark and token.group() == b'"':
            break
        depth += _DEPTH[token.group()] if is_mark else 0  # a whole value is as deep as what is around it
        if depth == 0:
            return token.end()
    raise _broken(data, len(data))


def _broken(data: bytes, position: int) -> InvalidResponse:
    return InvalidResponse("the response ends too early" if position >= len(data) else "the response is not JSON")
