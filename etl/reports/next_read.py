"""One call and the books of the lists it stands in → what reads it again, and about when."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select, text

from etl.db import tables
from etl.extractors import providers
from etl.model import DateFilter, Source
from etl.paging import Order
from etl.pipeline import OLDEST_SWEEP
from etl.state import lookbacks, streams
from etl.sync.checkpoint import OVERLAP
from etl.sync.window import UNSORTED_AT_LEAST

BOOKS = text("""
    SELECT s.next_run_at, s.paused_until, s.pause_reason, p.not_before
      FROM ops.sources s LEFT JOIN ops.pace p USING (source) WHERE s.source = :source
""")


@dataclass(frozen=True, slots=True)
class Rereading:
    """What reads a call again: ``by`` head, sweep or whole list, null where nothing does; ``said`` in words why.

    ``at`` is about when: the run that finds it due starts no earlier. It ``is_scheduled`` where a daemon will do it.
    """

    by: str | None
    at: datetime | None
    is_scheduled: bool
    said: str


def rereading(connection: Connection, call: Mapping[str, Any], source: Source | None, now: datetime) -> Rereading:
    """The earliest reading that comes to a call again; ``call`` is its row, with ``is_final`` decided."""
    if source is None:
        return _never("its source is configured no more")
    books = connection.execute(BOOKS, {"source": source.name}).one()
    run = max(at for at in (now, books.next_run_at, books.paused_until, books.not_before) if at is not None)
    readings = [
        reading
        for phone in _phones(source, call)
        for reading in _readings(connection, source, phone, call["created_at"], run)
    ]
    if not readings:
        return _never(_why_never(call, source, now))
    at, by, said = min(readings)
    if call["missing_since"]:
        said += "; the provider listed it no more when it was last read whole"
    if books.next_run_at is None:
        said += "; no daemon is running: `etl sync` does it"
    if books.paused_until and books.paused_until > now:
        said += f"; the source is set aside: {books.pause_reason}"
    if books.not_before and books.not_before > now:
        said += "; the provider asks to be left alone until then"
    return Rereading(by, at, books.next_run_at is not None, said)


def _never(said: str) -> Rereading:
    return Rereading(None, None, False, said)


def _phones(source: Source, call: Mapping[str, Any]) -> tuple[str, ...]:
    """The lists that a call stands in."""
    if not providers()[source.provider].needs_phones:
        return ("",)
    own = {call["from_number"], call["to_number"]}
    return tuple(phone for phone in source.phones if phone in own) or source.phones


def _readings(
    connection: Connection, source: Source, phone: str, created_at: datetime, run: datetime
) -> Iterator[tuple[datetime, str, str]]:
    """Each reading of a list that comes down to a time: about when, which kind, and in words."""
    books = streams.load_list(connection, source.name, phone)
    if books.order is Order.UNSORTED and providers()[source.provider].date_filter is DateFilter.NONE:
        due = books.read_whole_at + UNSORTED_AT_LEAST if books.read_whole_at else run
        yield max(run, due), "whole list", "the list has no order, so it is read whole once a day, or when it grew"
        return
    if books.watermark is None or created_at >= books.watermark - OVERLAP:
        yield run, "head", "the next run: it is at the head of the list"
    widest = max((sweep.horizon for sweep in source.sweeps), default=None)
    done = _sweeps_done(connection, source.name, phone)
    for sweep in source.sweeps:
        at = run if sweep.horizon not in done else max(run, done[sweep.horizon] + sweep.every)
        name = f"the sweep of {span(sweep.horizon)} back, due every {span(sweep.every)}"
        if created_at >= at - sweep.horizon:
            yield at, "sweep", name
        elif sweep.horizon == widest:
            unfinished = lookbacks.oldest_unfinished(connection, source.name, at - OLDEST_SWEEP)
            if unfinished and created_at >= unfinished - timedelta(seconds=1):
                yield at, "sweep", f"{name}, which goes on to the oldest call that is not final"


def _sweeps_done(connection: Connection, source: str, phone: str) -> dict[timedelta, datetime]:
    t = tables.sweeps
    rows = connection.execute(select(t).where(t.c.source == source, t.c.phone == phone))
    return {timedelta(seconds=float(row.horizon_seconds)): row.swept_at for row in rows}


def _why_never(call: Mapping[str, Any], source: Source, now: datetime) -> str:
    widest = max((sweep.horizon for sweep in source.sweeps), default=timedelta(0))
    if call["is_final"] and call["created_at"] + widest <= now:
        return "settled: it is final, and older than any sweep reads"
    if call["is_final"]:
        return "it is final, and will be older than any sweep reads when the next is due"
    day = f"{call['created_at']:%Y-%m-%d}"
    return f"older than any sweep reads; `etl backfill {source.name} --from {day} --again` reads it once more"


def span(length: timedelta) -> str:
    """A span of time in its largest whole unit: ``6 hours``."""
    seconds = int(length.total_seconds())
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds % size == 0 and seconds >= size:
            count = seconds // size
            return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
    return f"{seconds} seconds"
