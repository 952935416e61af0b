"""What a provider says that it lists, against what is held → how complete a list is, and why not better."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from etl.loader.batch import ReceivedRecord
from etl.model import DateFilter, Provider, RecordContext, Window
from etl.state import quarantine, streams
from etl.state.streams import StreamState
from etl.sync.pager import Pager
from etl.sync.run import SourceRun

OTHERS = "the provider lists calls of other numbers too: its count is not of this telephone number"
LISTED_AGAIN = "calls are listed again that had been forgotten, or some are not held: `etl verify` tells which"


def check_total(run: SourceRun, stream: StreamState, whole: Window) -> None:
    """Where a windowed list's last verdict was not the best, ask for its whole total: one request for one record."""
    provider = run.provider
    if (
        provider.date_filter is DateFilter.NONE
        or stream.completeness in ("count_match", "verified")
        or stream.checkpoints
    ):
        return
    run.acquire_lease()
    page = Pager(run.client, provider, run.source, stream.partition).first_record(whole)
    run.lease.release()
    with run.deps.db.begin() as connection:
        streams.save_stream(connection, stream, **compare_counts(connection, run, stream, whole.start, page.total))


def compare_counts(
    connection: Connection,
    run: SourceRun,
    stream: StreamState,
    start: datetime,
    total: int | None,
    first_total: int | None = None,
    doubts: Sequence[str] = (),
) -> dict[str, object]:
    """The columns of ``ops.streams`` on completeness, by a total that counts a list's calls from ``start`` on."""
    waiting = quarantine.waiting(connection, run.source.name)
    if stream.is_filter_ignored:
        doubts, total = [OTHERS, *doubts], None

    def judgement(since: datetime, remote_oldest_at: datetime | None) -> dict[str, object]:
        held = streams.count_stored(connection, stream, max(since, remote_oldest_at) if remote_oldest_at else since)
        verdict, reason = rate_completeness(total, held, waiting, first_total, doubts)
        return {"local_count": held, "completeness": verdict, "reason": reason, "remote_oldest_at": remote_oldest_at}

    since = _counted_from(run.provider, start)
    found = judgement(since, stream.remote_oldest_at)
    if found["completeness"] == "incomplete" and stream.remote_oldest_at:
        found = _with_what_was_forgotten(stream, found, judgement(since, None))
    if (found["completeness"], stream.completeness) == ("count_match", "verified"):
        found["completeness"] = "verified"  # day by day, and nothing has come to speak against it
    return {**found, "remote_count": total, "checked_at": run.deps.clock.now()}


def _with_what_was_forgotten(
    stream: StreamState, of_listed: dict[str, object], of_all: dict[str, object]
) -> dict[str, object]:
    """More is listed than is held of what was listed last: it is a gap, unless it may be what had been forgotten."""
    if of_all["completeness"] == "count_match":
        return of_all
    if of_all["completeness"] == "unknown" and stream.completeness != "incomplete":
        return {**of_listed, "completeness": "unknown", "reason": LISTED_AGAIN}
    return of_listed


def count_foreign_rows(run: SourceRun, partition: str, arrivals: Sequence[ReceivedRecord]) -> int:
    """How many records of one partition's stream belong to others: then its total counts their calls too."""
    return sum(is_foreign(run, partition, arrival) for arrival in arrivals) if partition else 0


def is_foreign(run: SourceRun, partition: str, each: ReceivedRecord) -> bool:
    """Whether a record of the list of one telephone number shows only other numbers: the filter was ignored."""
    if not partition or each.context is None:
        return False
    sides = [run.provider.columns[name] for name in ("from_number", "to_number")]
    if partition in [each.context.record.get(path) for side in sides for path in side.paths]:
        return False  # as it is written: most are, and need not be read as numbers
    reading = RecordContext(run.source, each.context.record)
    numbers = {side.read(reading) for side in sides} - {None}
    return bool(numbers) and partition not in numbers


def _counted_from(provider: Provider, start: datetime) -> datetime:
    """From when on a total counts calls: days begin in a zone that nobody states."""
    if provider.date_filter is DateFilter.NONE:
        return datetime.min.replace(tzinfo=UTC)
    return start - (timedelta(days=2) if provider.date_filter is DateFilter.DAYS else timedelta(0))


def rate_completeness(
    total: int | None, held: int, waiting: int, first_total: int | None, doubts: Sequence[str]
) -> tuple[str, str | None]:
    """The verdict on a whole list, and the reason where it is not the best that a count can give."""
    if total is None:
        return "unknown", "; ".join(doubts) or "the provider gives no total"
    if first_total is not None and first_total <= held + waiting < total:
        return "unknown", f"the list grew by {total - held} while it was read: the next run reads what came"
    if held + waiting < total:
        return "incomplete", f"the provider lists {total}, {held} are held: {total - held} are missing"
    if held > total:
        return "unknown", f"the provider lists {total}, {held} are held: {held - total} are gone there, or hidden"
    if doubts:
        return "unknown", "; ".join(doubts)
    return "count_match", f"{total - held} of {total} wait in quarantine" if held < total else None
