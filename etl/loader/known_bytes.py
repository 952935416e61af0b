"""A record whose bytes were read before → its call, its time and the hash of its content, without reading all of it.

The warehouse keeps a seal of each call's record: one hash of its bytes, of the hash of their content, and of the values
that are read here. Only bytes that were read whole with just these results have it: whatever is stored of
the call by now, and however the bytes are damaged, a record that is not known so is read whole.
"""

import hashlib
from collections.abc import Callable
from functools import cache
from typing import Any, TypedDict, cast

import msgspec

from etl.decode import tolerant
from etl.loader.batch import ReceivedRecord, call_key
from etl.model import Provider, Source
from etl.transformer import read_identity


@cache
def _keys(provider: Provider) -> tuple[str, ...]:
    """The keys by which a record's call, its time and its partition are known."""
    sides = [provider.columns[name] for name in ("from_number", "to_number")] if provider.is_partitioned else []
    paths = [path for field in (provider.call_id, provider.created_at, *sides) for path in field.paths]
    return tuple(dict.fromkeys(path.partition(".")[0] for path in paths))


@cache
def _decoder(provider: Provider) -> Callable[[bytes], dict[str, Any]]:
    keys = cast("Any", TypedDict)("keys", dict.fromkeys(_keys(provider), Any), total=False)
    read: Callable[[bytes], dict[str, Any]] = msgspec.json.Decoder(keys, float_hook=tolerant.exact).decode
    return read


def glimpse(provider: Provider, source: Source, payload: bytes, seq: int) -> ReceivedRecord:
    """What a record seems to be by a few of its keys; it has none where these cannot be read alone."""
    try:
        values = _decoder(provider)(payload)
    except (ValueError, ArithmeticError, RecursionError):
        return ReceivedRecord("call", b"", seq, payload)
    context = read_identity(provider, source, values)
    key = call_key(source.name, context.call_id) if context.call_id else None
    return ReceivedRecord("call", b"", seq, payload, context.call_id, key, context.row["created_at"], context)


def seal(provider: Provider, record: ReceivedRecord, digest: bytes) -> int | None:
    """The seal of a record whose content has this hash."""
    if record.context is None:
        return None
    facts = repr([record.context.record.get(key, ...) for key in _keys(provider)]).encode()
    sealed = hashlib.sha256(b"%b%d:%b%b" % (digest, len(facts), facts, record.payload)).digest()
    return int.from_bytes(sealed[:8], "big", signed=True)
