"""Payloads as received → records whose call, time and content hash are known, beside what is stored of them."""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from etl.decode import read_record
from etl.fields.person import REMOVE_NOTHING, Removals
from etl.model import InvalidResponse, Provider, RecordContext, Source
from etl.transformer import read_identity

_NAMESPACE = hashlib.sha1(uuid.UUID("6f2b8c1e-6a57-5d0e-9d0c-1f1d3e0b7a42").bytes, usedforsecurity=False)
_VERSION_5 = 5 << 76 | 0x8000 << 48  # and the variant, in place of the bits that are neither's
_BITS = ~(0xF000 << 64 | 0xC000 << 48)
_new, _set = uuid.UUID.__new__, object.__setattr__


def call_key(source: str, provider_call_id: str) -> uuid.UUID:
    """The key of a call: the same for the same source and provider id, everywhere and always (RFC 9562, version 5)."""
    digest = _NAMESPACE.copy()
    digest.update(f"{source}\x1f{provider_call_id}".encode())
    key = _new(uuid.UUID)  # its own way to the same takes three times as long
    _set(key, "int", int.from_bytes(digest.digest()[:16]) & _BITS | _VERSION_5)
    _set(key, "is_safe", uuid.SafeUUID.unknown)
    return key


@dataclass(frozen=True, slots=True)
class WriteContext:
    """Which run writes, of which source, at what time; the key of customers' tokens, and the number of the settings."""

    source: str
    provider: str
    run_id: int | None
    now: datetime
    masking_key: bytes
    settings_id: int = 0  # of ops.settings_versions
    removals: Removals = REMOVE_NOTHING  # what is not stored


class ReceivedRecord(NamedTuple):
    """One record as received, read as far as to know its call and whether its content is new."""

    kind: str  # call: an element of a list; transcript: the answer to a request of its own
    digest: bytes  # of its content, without the order of keys and the signature of a link; of bytes without content
    seq: int  # the number of the request that it answers
    payload: bytes
    call_id: str | None = None
    key: uuid.UUID | None = None
    created_at: datetime | None = None
    context: RecordContext | None = None
    error: str | None = None  # why it became no row; shows no value of it
    stored_seq: int | None = None  # the request that brought what is stored of its call, where that is anything
    stored_digest: bytes | None = None  # the hash of its content, unless its row has to be written in any case
    seal: int | None = None  # by which its bytes are known when they come again
    is_whole: bool = True  # no: its bytes are known, and ``context`` has only the keys that a scan asks for


def read_received(provider: Provider, source: Source, payload: bytes, seq: int) -> ReceivedRecord:
    """Read a record's id, creation time and content hash; one that cannot be read says why in ``error``."""
    try:
        values, digest = read_record(payload)
    except InvalidResponse as error:
        digest = hashlib.blake2b(payload, digest_size=16).digest()
        return ReceivedRecord("call", digest, seq, payload, error=str(error))
    context = read_identity(provider, source, values)
    key = call_key(source.name, context.call_id) if context.call_id else None
    return ReceivedRecord("call", digest, seq, payload, context.call_id, key, context.row["created_at"], context)


class Counts(NamedTuple):
    """What became of the records received; the last four add up to ``received``."""

    pages: int = 0
    received: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    quarantined: int = 0
