"""Records that could not become rows: kept with their reason and exact bytes until they can."""

import hashlib
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert

from etl.db.tables import calls
from etl.db.tables import quarantine as table
from etl.decode import read_record
from etl.loader.writer import WriteContext
from etl.model import InvalidResponse, Reject


def put(connection: Connection, writing: WriteContext, rejects: Sequence[Reject]) -> None:
    """Keep rejects; one that is there already is seen once more."""
    for reject in rejects:
        seen = {"last_seen_at": writing.now, "reason": reject.reason, "resolved_at": None}
        connection.execute(
            insert(table)
            .values(
                source=writing.source,
                provider_call_id=reject.provider_call_id,
                digest=_digest(reject.payload),
                payload=reject.payload,
                first_seen_at=writing.now,
                run_id=writing.run_id,
                **seen,
            )
            .on_conflict_do_update(index_elements=["source", "digest"], set_=seen)
        )


def resolve(connection: Connection, writing: WriteContext, call_ids: Collection[str]) -> None:
    """Note that calls whose records waited here are rows now."""
    waiting = connection.scalars(
        select(table.c.provider_call_id).where(*_open(writing.source), table.c.provider_call_id.is_not(None))
    ).all()
    loaded = set(waiting) & set(call_ids)
    if loaded:
        connection.execute(
            update(table)
            .where(*_open(writing.source), table.c.provider_call_id.in_(loaded))
            .values(resolved_at=writing.now)
        )


def waiting(connection: Connection, source: str) -> int:
    """How many records of a source wait in place of a call: a bad version of one that is held stands for none."""
    return int(connection.scalar(select(func.count()).select_from(table).where(*_in_place(source))) or 0)


def payloads_waiting(connection: Connection, source: str) -> Sequence[bytes]:
    """The exact bytes of the records that wait in place of a call."""
    return [bytes(each) for each in connection.scalars(select(table.c.payload).where(*_in_place(source)))]


def _in_place(source: str) -> tuple[Any, ...]:
    is_held = exists().where(calls.c.source == source, calls.c.provider_call_id == table.c.provider_call_id)
    return *_open(source), ~is_held


def listed(connection: Connection, sources: Sequence[str], *, resolved: bool = False) -> Sequence[RowMapping]:
    """The records that wait, newest first; ``resolved`` ones too if asked for. Without sources: of all."""
    query = select(table).order_by(table.c.last_seen_at.desc(), table.c.quarantine_id.desc())
    if sources:
        query = query.where(table.c.source.in_(sources))
    if not resolved:
        query = query.where(table.c.resolved_at.is_(None))
    return connection.execute(query).mappings().all()


def one(connection: Connection, quarantine_id: int) -> RowMapping | None:
    """One record with its bytes."""
    return connection.execute(select(table).filter_by(quarantine_id=quarantine_id)).mappings().one_or_none()


def resolve_payloads(connection: Connection, writing: WriteContext, payloads: Sequence[bytes]) -> None:
    """Note that these records are rows now."""
    digests = [_digest(payload) for payload in payloads]
    connection.execute(
        update(table).where(*_open(writing.source), table.c.digest.in_(digests)).values(resolved_at=writing.now)
    )


def _digest(payload: bytes) -> bytes:
    """The digest of the content: a link that is signed anew with every answer makes no other record of it."""
    try:
        return read_record(payload)[1]
    except InvalidResponse:
        return hashlib.blake2b(payload, digest_size=16).digest()


def _open(source: str) -> tuple[Any, ...]:
    return table.c.source == source, table.c.resolved_at.is_(None)
