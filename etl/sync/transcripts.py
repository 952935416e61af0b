"""Transcripts that take a request of their own: requested once the call is final, and again while not ready."""

import logging
import uuid
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection

from etl.client.errors import AccessRefused, RequestRefused, SourceError, SourcePaused
from etl.db.engine import uuid_array
from etl.db.statements import Statements, execute
from etl.fields.person import since
from etl.loader import writer
from etl.loader.batch import ReceivedRecord, WriteContext, read_received
from etl.loader.merge import Row
from etl.loader.plan import BatchPlan, RowChange, seqs_with, set_transcript
from etl.model import RecordContext, TranscriptNotReady, TranscriptRequest, Turn
from etl.runtime.logs import event
from etl.sync.load import write
from etl.sync.run import SourceRun

log = logging.getLogger("etl.sync.transcripts")
SQL = Statements("transcripts")

MAX_PARALLEL_TRANSCRIPTS = 4
MAX_REFUSED = 4  # in a row
QUICK_SECONDS = 0.005  # one worker whose responses take less sends more requests than any rate limit allows
BATCH = 50  # transcripts: this many are requested again after a crash, at most
BATCH_MINUTES = 1 / 6  # a batch of a slow source takes no longer, so that others get their turn
NOT_FOUND = (404, 410)
AGE_CAP = timedelta(days=30)


class Fetched(NamedTuple):
    """The result of one transcript request: turns, or the reason why there are none."""

    key: uuid.UUID
    state: str  # stored, not_ready, failed or refused: to this key
    turns: tuple[Turn, ...] = ()
    record: ReceivedRecord | None = None
    reason: str | None = None


def waiting(run: SourceRun) -> int:
    """How many transcripts a manual run would request now."""
    return int(run.state.fetch_all(SQL.count_due_transcripts, _due(run, None))[0].calls)


def _due(run: SourceRun, lookback_start: datetime | None) -> dict[str, object]:
    """Which transcripts are due: never requested, or not ready then and recent enough."""
    now = run.deps.clock.now()
    again_since = now - AGE_CAP if run.is_manual else lookback_start or now
    batch = min(BATCH, max(MAX_PARALLEL_TRANSCRIPTS, round(run.source.requests_per_minute * BATCH_MINUTES)))
    kept = {"kept_since": since(run.source.retention.transcripts, now)}
    return {"source": run.source.name, "run_began": now, "again_since": again_since, "batch": batch} | kept


def fetch_transcripts(run: SourceRun, lookback_start: datetime | None = None, batches: int | None = None) -> bool:
    """Request every transcript that is due, newest call first, and load them fifty at a time → whether any is left.

    One that was not ready is due again for calls since ``lookback_start``. ``batches`` limits the number of fifties.
    """
    request = run.provider.transcript
    if request is None:
        return False
    due, done, total, refused = _due(run, lookback_start), 0, 0, 0
    with ThreadPoolExecutor(MAX_PARALLEL_TRANSCRIPTS) as threads:
        while calls := run.state.fetch_all(SQL.due_transcripts, due):
            if batches is not None and done >= batches * BATCH:
                return True
            total = total or int(run.state.fetch_all(SQL.count_due_transcripts, due)[0].calls)
            run.acquire_lease()
            fetched = _fetch(run, threads, request, calls)
            run.transaction(_load, run, fetched)
            done += len(fetched)
            run.report_progress("transcripts", done, max(done, total))
            refused += sum(each.state == "refused" for each in fetched)
            if _is_refused_on(fetched):
                break
    if refused:
        run.result.notes.append(f"{refused} transcripts are refused to this key; the calls are read all the same")
        event(log, "transcripts_refused", level=logging.WARNING, source=run.source.name, count=refused)
    return False


def _is_refused_on(fetched: Sequence[Fetched]) -> bool:
    """Whether the last ones were all refused: then the key may read no transcript at all."""
    return len(fetched) >= MAX_REFUSED and all(each.state == "refused" for each in fetched[-MAX_REFUSED:])


def _fetch(run: SourceRun, threads: Executor, request: TranscriptRequest, calls: Sequence[Any]) -> list[Fetched]:
    """Request the transcripts of some calls; an error of one stops none of the others, a paused source stops all.

    One worker starts; each that has to wait for a response adds another, so that quick responses are not read by
    threads that only wait for each other.
    """
    remaining, fetched, clock = iter(calls), list[Fetched](), run.deps.clock
    workers: list[Future[None]] = []

    def work() -> None:
        try:
            for call in remaining:  # the next that no other worker took
                began = clock.monotonic()
                fetched.append(_fetch_one(run, request, call))
                if _is_refused_on(fetched):
                    break
                if clock.monotonic() - began > QUICK_SECONDS and len(workers) < MAX_PARALLEL_TRANSCRIPTS:
                    workers.append(threads.submit(work))
        finally:
            list(remaining)  # after an error, or refused, nothing is left for the others

    workers.append(threads.submit(work))
    error = next(filter(None, [worker.exception() for worker in workers]), None)  # workers added meanwhile as well
    if isinstance(error, SourcePaused):
        run.transaction(_load, run, fetched)  # what came before it is kept
    if error:
        raise error
    return fetched


def _fetch_one(run: SourceRun, request: TranscriptRequest, call: Any) -> Fetched:
    key, call_id = call.call_key, call.provider_call_id
    context = RecordContext(run.source, {}, call_id, call._asdict())
    try:
        response = run.client.get(request.ask(call_id), lambda body: (request.read(context, body), body.payload))
    except TranscriptNotReady:
        return Fetched(key, "not_ready")
    except SourcePaused:
        raise
    except AccessRefused as refused:
        return Fetched(key, "refused", reason=f"{refused.problem} (HTTP {refused.status})")
    except SourceError as error:
        is_missing = isinstance(error, RequestRefused) and error.status in NOT_FOUND
        return Fetched(key, "not_ready" if is_missing else "failed", reason=error.problem)
    turns, payload = response.value
    record = read_received(run.provider, run.source, payload, response.seq)
    return Fetched(key, "stored", turns, record._replace(kind="transcript", call_id=call_id, key=key))


def _load(connection: Connection, run: SourceRun, fetched: Sequence[Fetched]) -> None:
    """Write the transcripts that came, and the result of each request."""
    ctx = run.write_context()
    rows = writer.fetch_rows(connection, [result.key for result in fetched])
    fetched = [result for result in fetched if result.key in rows]  # others were removed meanwhile
    changes = [_change(ctx, rows[result.key], result.turns, result.record) for result in fetched if result.record]
    changes = [change for change in changes if change.fields]
    write(connection, run, ctx, BatchPlan(changes, len(changes)))
    values = {"keys": uuid_array(each.key for each in fetched), "states": [each.state for each in fetched]}
    execute(connection, SQL.record_requests, values | {"reasons": [each.reason for each in fetched], "now": ctx.now})


def _change(ctx: WriteContext, before: Row, turns: tuple[Turn, ...], record: ReceivedRecord) -> RowChange:
    row = {**before, "payload_seqs": seqs_with(before, record.seq)}
    return RowChange(before, row, set_transcript(row, turns), (record,), ctx.now)
