"""Calls that are stored no more: whose they were is known by a token, which they were by their key, nothing else."""

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import accumulate, groupby
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from etl.db.engine import uuid_array
from etl.db.statements import Statements, execute, fetch_all, fetch_value
from etl.loader import raw
from etl.loader.batch import WriteContext
from etl.loader.plan import Change

SQL = Statements("removed_calls")
REMOVED = 0  # in place of the number of the request that brought what is stored of a call
PART_BYTES = 16 << 20  # of quarantined records that are read at once


class Removed(NamedTuple):
    """How much was removed."""

    calls: int = 0
    payloads: int = 0  # records as received
    changes: int = 0
    quarantined: int = 0


def erased_tokens(connection: Connection) -> frozenset[UUID]:
    """The tokens of all erased people."""
    return frozenset(row.token for row in fetch_all(connection, SQL.erased_tokens))


def remove(connection: Connection, keys: Collection[UUID], reason: str, now: datetime) -> Removed:
    """Remove some stored calls with all that belongs to them, in a transaction of their source's lease."""
    values = {"keys": uuid_array(keys), "reason": reason, "now": now}
    seqs = [row.seq for row in fetch_all(connection, SQL.seqs_of, values)]
    changes = int(fetch_value(connection, SQL.count_changes, values))
    execute(connection, SQL.remember, values)
    quarantined = execute(connection, SQL.delete_rejects_of, values)
    payloads = raw.remove(connection, seqs, frozenset(keys))
    return Removed(execute(connection, SQL.delete_calls, values), payloads, changes, quarantined)


def keep(
    connection: Connection, ctx: WriteContext, changes: Sequence[Change], partitions: Sequence[str]
) -> Sequence[Change]:
    """The changes of calls that stay; of the others what is stored is removed, and what is not is not stored."""
    reasons = [(change, ctx.removals.reason(change.row)) for change in changes]
    for reason in {reason for _, reason in reasons if reason}:
        removed = [change for change, why in reasons if why == reason]
        if keys := [change.row["call_key"] for change in removed if change.before is not None]:
            remove(connection, keys, reason, ctx.now)
        if new := [change.row for change in removed if change.before is None]:
            _refuse(connection, ctx, new, reason, partitions)
    return [change for change, reason in reasons if reason is None]


def _refuse(
    connection: Connection, ctx: WriteContext, rows: Sequence[Mapping[str, Any]], reason: str, partitions: Sequence[str]
) -> None:
    """Keep of new calls that they are not stored, and under which partitions they are listed."""
    ones, others = (
        [row[name] if row[name] in partitions else None for row in rows] for name in ("from_number", "to_number")
    )
    values = {"source": ctx.source, "now": ctx.now, "reason": reason, "ones": ones, "others": others}
    keys, times = uuid_array(row["call_key"] for row in rows), [row["created_at"] for row in rows]
    execute(connection, SQL.refuse, values | {"keys": keys, "times": times})


def forget_transcripts(connection: Connection, keys: Collection[UUID], now: datetime) -> int:
    """Remove the transcripts of some calls → of how many; the calls stay."""
    return execute(connection, SQL.forget_transcripts, {"keys": uuid_array(keys), "now": now}) if keys else 0


def without_raw(connection: Connection, source: str) -> int:
    """How many calls of a source have lost raw payloads to their age."""
    return int(fetch_value(connection, SQL.count_without_raw, {"source": source}))


def see(connection: Connection, keys: Collection[UUID], now: datetime) -> None:
    """Store that removed calls were received again."""
    if keys:
        execute(connection, SQL.see, {"keys": uuid_array(keys), "now": now})


def leave(connection: Connection, keys: Collection[Any], now: datetime) -> None:
    """Store that removed calls are no longer listed."""
    if keys:
        execute(connection, SQL.leave, {"keys": uuid_array(keys), "now": now})


def erased_in(connection: Connection, source: str, partition: str) -> Mapping[UUID, datetime]:
    """The erased calls that a stream lists, and when they were created."""
    rows = fetch_all(connection, SQL.erased_in, {"source": source, "partition": partition})
    return {row.call_key: row.created_at for row in rows}


def among(connection: Connection, keys: Collection[UUID]) -> set[Hashable]:
    """Which of some calls were removed."""
    rows = fetch_all(connection, SQL.removed_keys, {"keys": uuid_array(keys)}) if keys else ()
    return {row.call_key for row in rows}


def rejects(connection: Connection, source: str) -> Iterator[Any]:
    """All quarantined records of a source, of which few are held at once."""
    rows = fetch_all(connection, SQL.rejects, {"source": source})
    sizes = accumulate(row.size_bytes for row in rows)
    for _, part in groupby(zip(sizes, rows, strict=True), lambda each: each[0] // PART_BYTES):
        yield from fetch_all(connection, SQL.rejects_by_id, {"ids": [row.quarantine_id for _, row in part]})
