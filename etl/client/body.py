"""Turns the chunks of an answer as they come off the wire into its whole body, or into none at all."""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from etl.model import InvalidResponse

_GZIP = zlib.MAX_WBITS | 16
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large an answer may be: decoded bytes, and decoded bytes per byte received."""

    size: int = 64 << 20
    ratio: int = 200


class TruncatedBody(Exception):
    """The body ended too early or is damaged."""


class BodyTooLarge(Exception):
    """The body grew past its bounds; reading stopped there."""


def read_body(chunks: Iterable[bytes], coding: str, length: str | None, bounds: Bounds) -> bytes:
    """The decoded body of an answer with this Content-Encoding and Content-Length.

    Raises :class:`TruncatedBody`, :class:`BodyTooLarge`, or :class:`~etl.model.InvalidResponse` for a coding that was not asked for.
    """
    expected = int(length) if length is not None and length.isascii() and length.isdigit() else None
    if expected is not None and expected > bounds.size:
        raise BodyTooLarge
    counted = _counted(chunks, expected)
    coding = coding.strip().lower()
    if coding in ("gzip", "x-gzip"):
        return b"".join(_gunzip(counted, bounds))
    if coding in ("", "identity"):
        return b"".join(_bounded(counted, bounds.size))
    raise InvalidResponse("the answer has a content coding that was not asked for")


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


def _gunzip(chunks: Iterable[bytes], bounds: Bounds) -> Iterator[bytes]:
    """Every member of a gzip stream, up to the end of the last; a stream without its end is :class:`TruncatedBody`."""
    member, done, received, total = zlib.decompressobj(_GZIP), False, 0, 0
    for received_chunk in chunks:
        received += len(received_chunk)
        chunk = received_chunk
        while chunk:
            if done:
                member, done = zlib.decompressobj(_GZIP), False
            piece = _inflate(member, chunk)
            total += len(piece)
            if total > bounds.size or total > bounds.ratio * max(received, 1 << 10):
                raise BodyTooLarge
            yield piece
            chunk, done = (member.unused_data, True) if member.eof else (member.unconsumed_tail, False)
    if received and not done:
        raise TruncatedBody("its compression has no end")


def _inflate(member: "zlib._Decompress", chunk: bytes) -> bytes:
    try:
        return member.decompress(chunk, _PIECE)
    except zlib.error:
        raise TruncatedBody("its compression is damaged") from None
