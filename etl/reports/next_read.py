"""One call and the books of the lists it stands in → what reads it again, and about when."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select, text

from etl.client.errors import PauseReason
from etl.db import tables
from etl.extractors import providers
from etl.model import DateFilter, Source
from etl.paging import SortOrder
from etl.pipeline import OLDEST_LOOKBACK
from etl.runtime.humanize import duration
from etl.state import lookbacks, streams
from etl.sync.checkpoint import OVERLAP
from etl.sync.window import UNSORTED_AT_LEAST

BOOKS = text("""
    SELECT s.next_run_at, s.paused_until, s.pause_reason, p.blocked_until
      FROM ops.sources s LEFT JOIN ops.rate_limits p USING (source) WHERE s.source = :source
""")


@dataclass(frozen=True, slots=True)
class NextRead:
    """What reads a call again: ``by`` head, sweep or whole list, null where nothing does; ``said`` in words why.

    ``at`` is about when: the run that finds it due starts no earlier. It ``is_scheduled`` where a daemon will do it.
    """

    by: str | None
    at: datetime | None
    is_scheduled: bool
    said: str


def next_read(connection: Connection, call: Mapping[str, Any], source: Source | None, now: datetime) -> NextRead:
    """The earliest reading that comes to a call again; ``call`` is its row, with ``is_final`` decided."""
    if source is None:
        return _never("its source is configured no more")
    stream = connection.execute(BOOKS, {"source": source.name}).one()
    run = max(at for at in (now, stream.next_run_at, stream.paused_until, stream.blocked_until) if at is not None)
    readings = [
        reading
        for partition in _phones(source, call)
        for reading in _readings(connection, source, partition, call["created_at"], run)
    ]
    if not readings:
        return _never(_why_never(call, source, now))
    at, by, said = min(readings)
    if call["delisted_at"]:
        said += "; the provider listed it no more when it was last read whole"
    if stream.next_run_at is None:
        said += "; no daemon is running: `etl sync` does it"
    if stream.paused_until and stream.paused_until > now:
        said += f"; the source is paused: {PauseReason(stream.pause_reason).problem}"
    if stream.blocked_until and stream.blocked_until > now:
        said += "; the provider asked us to wait until then"
    return NextRead(by, at, stream.next_run_at is not None, said)


def _never(said: str) -> NextRead:
    return NextRead(None, None, False, said)


def _phones(source: Source, call: Mapping[str, Any]) -> tuple[str, ...]:
    """The lists that a call stands in."""
    if not providers()[source.provider].is_partitioned:
        return ("",)
    own = {call["from_number"], call["to_number"]}
    return tuple(partition for partition in source.partitions if partition in own) or source.partitions


def _readings(
    connection: Connection, source: Source, partition: str, created_at: datetime, run: datetime
) -> Iterator[tuple[datetime, str, str]]:
    """Each reading of a list that comes down to a time: about when, which kind, and in words."""
    stream = streams.load_stream(connection, source.name, partition)
    if stream.sort_order is SortOrder.UNSORTED and providers()[source.provider].date_filter is DateFilter.NONE:
        due = stream.full_scan_at + UNSORTED_AT_LEAST if stream.full_scan_at else run
        yield max(run, due), "whole list", "the list has no order, so it is read whole once a day, or when it grew"
        return
    if stream.watermark is None or created_at >= stream.watermark - OVERLAP:
        yield run, "head", "the next run: it is at the head of the list"
    widest = max((sweep.window for sweep in source.lookbacks), default=None)
    done = _sweeps_done(connection, source.name, partition)
    for sweep in source.lookbacks:
        at = run if sweep.window not in done else max(run, done[sweep.window] + sweep.interval)
        name = f"the sweep of {duration(sweep.window.total_seconds())} back, due every {duration(sweep.interval.total_seconds())}"
        if created_at >= at - sweep.window:
            yield at, "sweep", name
        elif sweep.window == widest:
            unfinished = lookbacks.oldest_open_call(connection, source.name, at - OLDEST_LOOKBACK)
            if unfinished and created_at >= unfinished - timedelta(seconds=1):
                yield at, "sweep", f"{name}, which goes on to the oldest call that is not final"


def _sweeps_done(connection: Connection, source: str, partition: str) -> dict[timedelta, datetime]:
    t = tables.lookbacks
    rows = connection.execute(select(t).where(t.c.source == source, t.c.partition == partition))
    return {timedelta(seconds=float(row.window_seconds)): row.completed_at for row in rows}


def _why_never(call: Mapping[str, Any], source: Source, now: datetime) -> str:
    widest = max((sweep.window for sweep in source.lookbacks), default=timedelta(0))
    if call["is_final"] and call["created_at"] + widest <= now:
        return "settled: it is final, and older than any sweep reads"
    if call["is_final"]:
        return "it is final, and will be older than any sweep reads when the next is due"
    day = f"{call['created_at']:%Y-%m-%d}"
    return f"older than any sweep reads; `etl backfill {source.name} --from {day} --again` reads it once more"
