"""The chunks of a response as received → its whole decoded body, or an error."""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from etl.model import InvalidResponse

_GZIP = zlib.MAX_WBITS | 16
_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How large a body may be: decoded bytes, and decoded bytes per byte received."""

    size_bytes: int = 64 << 20
    ratio: int = 200


class TruncatedBody(Exception):
    """The body ended too early or is damaged."""


class BodyTooLarge(Exception):
    """The body exceeds its limits; reading stopped there."""


def read_body(chunks: Iterable[bytes], coding: str, length: str | None, limits: BodyLimits) -> bytes:
    """The decoded body of a response with this Content-Encoding and Content-Length.

    Raises :class:`TruncatedBody`, :class:`BodyTooLarge`, or :class:`~etl.model.InvalidResponse` for an unknown coding.
    """
    expected = int(length) if length is not None and length.isascii() and length.isdigit() else None
    if expected is not None and expected > limits.size_bytes:
        raise BodyTooLarge
    counted = _counted(chunks, expected)
    coding = coding.strip().lower()
    if coding in ("gzip", "x-gzip"):
        return b"".join(_gunzip(counted, limits))
    if coding in ("", "identity"):
        return b"".join(_bounded(counted, limits.size_bytes))
    raise InvalidResponse("the response has a content coding that was not requested")


def _counted(chunks: Iterable[bytes], expected: int | None) -> Iterator[bytes]:
    received = 0
    for chunk in chunks:
        received += len(chunk)
        yield chunk
    if expected is not None and received != expected:
        raise TruncatedBody("it is shorter than announced")


def _bounded(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > size:
            raise BodyTooLarge
        yield chunk


def _gunzip(chunks: Iterable[bytes], limits: BodyLimits) -> Iterator[bytes]:
    """Every member of a gzip stream; one without its end raises :class:`TruncatedBody`."""
    member, done, received, total = zlib.decompressobj(_GZIP), False, 0, 0
    for received_chunk in chunks:
        received += len(received_chunk)
        chunk = received_chunk
        while chunk:
            if done:
                member, done = zlib.decompressobj(_GZIP), False
            piece = _inflate(member, chunk)
            total += len(piece)
            if total > limits.size_bytes or total > limits.ratio * max(received, 1 << 10):
                raise BodyTooLarge
            yield piece
            chunk, done = (member.unused_data, True) if member.eof else (member.unconsumed_tail, False)
    if received and not done:
        raise TruncatedBody("its gzip stream has no end")


def _inflate(member: "zlib._Decompress", chunk: bytes) -> bytes:
    try:
        return member.decompress(chunk, _CHUNK_BYTES)
    except zlib.error:
        raise TruncatedBody("its gzip stream is damaged") from None
