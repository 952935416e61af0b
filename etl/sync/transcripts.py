"""Calls whose transcript takes a request of its own: asked once they are final, and again while it is not ready."""

import hashlib
import logging
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection

from etl.client.errors import RequestRefused, SourceError, SourcePaused
from etl.db.engine import uuid_array
from etl.db.statements import Statements, execute
from etl.loader import writer
from etl.loader.batch import Counts
from etl.loader.writer import RawRecord, RowChange
from etl.model import ResponseBody, TranscriptNotReady, TranscriptRequest, Turn
from etl.sync.load import write
from etl.sync.run import SourceRun

log = logging.getLogger("etl.sync.transcripts")
SQL = Statements("transcripts")

MAX_PARALLEL_TRANSCRIPTS = 4
QUICK_SECONDS = 0.005  # one hand whose answers take less asks more often than any pace allows
BATCH = 50  # so many answers are asked for again after a crash, at most
BATCH_MINUTES = 1 / 6  # a slow source is not kept from others for longer, as far as its pace goes
NOT_FOUND = (404, 410)
AGE_CAP = timedelta(days=30)

# What a transcript changes of its call, and what says which call it is.
TOUCHED = (
    "call_key", "provider_call_id", "latest_request_seq", "payload_seqs", "turn_count", "has_transcript", "transcript_hash",
    "changed_at",
)  # fmt: skip


class Fetched(NamedTuple):
    """The answer to one transcript request: turns, or the reason why there are none."""

    key: uuid.UUID
    state: str  # held, not_ready or failed
    turns: tuple[Turn, ...] = ()
    record: RawRecord | None = None
    reason: str | None = None


def waiting(run: SourceRun) -> int:
    """How many transcripts a command by hand would ask for now."""
    return int(run.state.fetch_all(SQL.count_due_transcripts, _due(run, None))[0].calls)


def _due(run: SourceRun, lookback_start: datetime | None) -> dict[str, object]:
    """Which transcripts are due: never asked for, or not ready then and young enough for what this run reads."""
    now = run.deps.clock.now()
    again_since = now - AGE_CAP if run.is_manual else lookback_start or now
    batch = min(BATCH, max(MAX_PARALLEL_TRANSCRIPTS, round(run.source.requests_per_minute * BATCH_MINUTES)))
    return {"source": run.source.name, "run_began": now, "again_since": again_since, "batch": batch}


def fetch_transcripts(run: SourceRun, lookback_start: datetime | None = None, batches: int | None = None) -> bool:
    """Ask for every transcript that is due, newest call first, and load them fifty at a time; whether any is left.

    One that was not ready is due again for calls since ``lookback_start``. ``batches`` is how many fifties at most.
    """
    wanted = run.provider.transcript
    if wanted is None:
        return False
    due, done, total = _due(run, lookback_start), 0, 0
    with ThreadPoolExecutor(MAX_PARALLEL_TRANSCRIPTS) as threads:
        while batch := run.state.fetch_all(SQL.due_transcripts, due):
            if batches is not None and done >= batches * BATCH:
                return True
            total = total or int(run.state.fetch_all(SQL.count_due_transcripts, due)[0].calls)
            run.acquire_lease()
            fetched = _fetch(run, threads, wanted, batch)
            with run.lease.transaction() as connection:
                _load(connection, run, fetched)
            done += len(fetched)
            run.recorder.report_progress("transcripts", done, max(done, total))
    return False


def _fetch(run: SourceRun, threads: Executor, wanted: TranscriptRequest, batch: Sequence[Any]) -> list[Fetched]:
    """Ask for a batch's transcripts; one that fails stops none of the others, a refused key all.

    One hand asks, and where it waits for an answer more come to it: where none waits, they stand in each other's way.
    """
    rows, fetched, clock = iter(batch), list[Fetched](), run.deps.clock
    hands: list[Future[None]] = []

    def hand() -> None:
        try:
            for row in rows:  # the next that no other hand took
                began = clock.monotonic()
                fetched.append(_ask(run, wanted, row.call_key, row.provider_call_id))
                if clock.monotonic() - began > QUICK_SECONDS and len(hands) < MAX_PARALLEL_TRANSCRIPTS:
                    hands.append(threads.submit(hand))
        finally:
            list(rows)  # who fails leaves nothing for the others

    hands.append(threads.submit(hand))
    failure = next(filter(None, [each.exception() for each in hands]), None)  # those too that come meanwhile
    if isinstance(failure, SourcePaused):
        with run.lease.transaction() as connection:  # what came before the refusal stays
            _load(connection, run, fetched)
    if failure:
        raise failure
    return fetched


def _ask(run: SourceRun, wanted: TranscriptRequest, key: uuid.UUID, call_id: str) -> Fetched:
    def read(body: ResponseBody) -> tuple[tuple[Turn, ...], bytes]:
        return wanted.read(body), body.payload

    try:
        answer = run.client.get(wanted.ask(call_id), read)
    except TranscriptNotReady:
        return Fetched(key, "not_ready")
    except SourcePaused:
        raise
    except RequestRefused as refused:
        return Fetched(key, "not_ready" if refused.status in NOT_FOUND else "failed", reason=refused.problem)
    except SourceError as error:
        return Fetched(key, "failed", reason=error.problem)
    turns, payload = answer.value
    digest = hashlib.blake2b(payload, digest_size=16).digest()
    return Fetched(key, "stored", turns, RawRecord("transcript", digest, answer.seq, payload))


def _load(connection: Connection, run: SourceRun, fetched: Sequence[Fetched]) -> None:
    writing = run.write_context()
    rows = writer.fetch_rows(connection, [each.key for each in fetched if each.record], TOUCHED)
    entries = [_entry(rows[each.key], each.turns, each.record) for each in fetched if each.record]
    changing = [entry for entry in entries if writer.has_changes(entry)]
    write(connection, run, writing, changing, Counts(received=len(changing)))
    states, reasons = [each.state for each in fetched], [each.reason for each in fetched]
    keys = uuid_array(each.key for each in fetched)
    execute(connection, SQL.record_requests, {"keys": keys, "states": states, "reasons": reasons, "now": writing.now})


def _entry(before: Mapping[str, Any], turns: tuple[Turn, ...], record: RawRecord) -> RowChange:
    entry = RowChange(before, {**before, "payload_seqs": writer.seqs_with(before, record.seq)}, None, [record])
    writer.set_transcript(entry, turns)
    return entry
