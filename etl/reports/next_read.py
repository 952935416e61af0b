"""A call and the sync state of its streams → when it is read next, and why."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from etl.client.errors import PauseReason
from etl.db.statements import Statements, fetch_one
from etl.extractors import providers
from etl.model import DateFilter, Source
from etl.paging import SortOrder
from etl.runtime.humanize import duration
from etl.state import lookbacks, streams
from etl.sync.checkpoint import OVERLAP
from etl.sync.due import OLDEST_LOOKBACK
from etl.sync.window import UNSORTED_AT_LEAST

SQL = Statements("sources")


@dataclass(frozen=True, slots=True)
class NextRead:
    """When a call is read again: ``by`` is head, lookback or full_scan, null if nothing reads it; ``message`` says why.

    ``at`` is when its run may start at the earliest; ``is_scheduled`` says whether a daemon will start it.
    """

    by: str | None
    at: datetime | None
    is_scheduled: bool
    message: str


def next_read(connection: Connection, call: Mapping[str, Any], source: Source | None, now: datetime) -> NextRead:
    """The earliest run that reads a call again; ``call`` is its row, with ``is_final`` decided."""
    if source is None:
        return NextRead(None, None, False, "its source is no longer configured")
    state = fetch_one(connection, SQL.next_run, {"source": source.name})
    run_at = max(at for at in (now, state.next_run_at, state.paused_until, state.blocked_until) if at is not None)
    reads = [
        read
        for partition in _partitions(source, call)
        for read in _reads(connection, source, partition, call["created_at"], run_at)
    ]
    if not reads:
        return NextRead(None, None, False, _why_never(call, source, now))
    at, by, message = min(reads)
    if call["delisted_at"]:
        message += "; the provider did not list it in the last full scan"
    if state.next_run_at is None:
        message += "; no daemon is running: `etl sync` does it"
    if state.paused_until and state.paused_until > now:
        message += f"; the source is paused: {PauseReason(state.pause_reason).problem}"
    if state.blocked_until and state.blocked_until > now:
        message += "; the provider asked us to wait until then"
    return NextRead(by, at, state.next_run_at is not None, message)


def _partitions(source: Source, call: Mapping[str, Any]) -> tuple[str, ...]:
    """The partitions whose lists contain a call."""
    if not providers()[source.provider].is_partitioned:
        return ("",)
    own = {call["from_number"], call["to_number"]}
    return tuple(partition for partition in source.partitions if partition in own) or source.partitions


def _reads(
    connection: Connection, source: Source, partition: str, created_at: datetime, run_at: datetime
) -> Iterator[tuple[datetime, str, str]]:
    """Each scan of a stream that reaches ``created_at``: when, which kind, and a message."""
    stream = streams.load_stream(connection, source.name, partition)
    if stream.sort_order is SortOrder.UNSORTED and providers()[source.provider].date_filter is DateFilter.NONE:
        due = stream.full_scan_at + UNSORTED_AT_LEAST if stream.full_scan_at else run_at
        yield max(run_at, due), "full_scan", "the list has no order: it is read completely once a day, or when it grew"
        return
    if stream.watermark is None or created_at >= stream.watermark - OVERLAP:
        yield run_at, "head", "the next run: it is among the newest calls"
    widest = max((lookback.window for lookback in source.lookbacks), default=None)
    done = lookbacks.completed(connection, source.name, partition)
    for lookback in source.lookbacks:
        at = run_at if lookback.window not in done else max(run_at, done[lookback.window] + lookback.interval)
        window, interval = (duration(part.total_seconds()) for part in (lookback.window, lookback.interval))
        name = f"the lookback of {window}, due every {interval}"
        if created_at >= at - lookback.window:
            yield at, "lookback", name
        elif lookback.window == widest:
            oldest_open = lookbacks.oldest_open_call(connection, source.name, at - OLDEST_LOOKBACK)
            if oldest_open and created_at >= oldest_open - timedelta(seconds=1):
                yield at, "lookback", f"{name}, which extends to the oldest open call"


def _why_never(call: Mapping[str, Any], source: Source, now: datetime) -> str:
    widest = max((lookback.window for lookback in source.lookbacks), default=timedelta(0))
    if call["is_final"] and call["created_at"] + widest <= now:
        return "it is final, and older than every lookback"
    if call["is_final"]:
        return "it is final, and will be older than every lookback when the next one is due"
    day = f"{call['created_at']:%Y-%m-%d}"
    return f"it is older than every lookback; `etl backfill {source.name} --from {day} --again` reads it once more"
