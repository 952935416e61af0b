"""What a provider lists against what is stored → how complete a stream is, and why not better."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection

from etl.loader.batch import ReceivedRecord
from etl.model import DateFilter, RecordContext, Window
from etl.state import quarantine, streams
from etl.state.streams import StreamState
from etl.sync.pager import Pager
from etl.sync.run import SourceRun


class Reason(StrEnum):
    """Why a stream's completeness is what it is."""

    NO_TOTAL = "the provider gives no total"
    FOREIGN_CALLS = "the provider lists calls of other numbers too: its count is not of this telephone number"
    BEING_READ = "its history is still being read"
    GREW = "the list grew by {difference} while it was read: the next run reads what came"
    INCOMPLETE = "the provider lists {total}, {stored} are stored: {difference} are missing"
    COUNTS_MORE = "the provider counts {total} and lists no more than {stored}: {difference} are on no page"
    SURPLUS = "the provider lists {total}, {stored} are stored: {difference} were deleted there, or are hidden"
    LISTED_AGAIN = "calls that had been delisted are listed again, or some are missing: `etl verify` finds out which"
    QUARANTINED = "{difference} of {total} wait in quarantine"


class RemoteCount(NamedTuple):
    """What a scan learned about the provider's count of a stream."""

    total: int | None
    first_total: int | None = None  # the total of the first page
    warnings: Sequence[str] = ()  # what speaks against it
    surplus: int | None = None  # by how many calls it exceeds what was listed, where all pages were read


def check_total(run: SourceRun, stream: StreamState, whole: Window) -> None:
    """Request the total of a stream with a date filter, unless its counts match already: one request for one row."""
    is_known = stream.completeness in ("count_match", "verified") or stream.checkpoints
    if run.provider.date_filter is DateFilter.NONE or is_known:
        return
    run.acquire_lease()
    page = Pager(run.client, run.provider, run.source, stream.partition).first_record(whole)
    run.lease.release()
    with run.deps.db.begin() as connection:
        values = compare_counts(connection, run, stream, whole.start, RemoteCount(page.total))
        streams.save_stream(connection, stream, **values)


def compare_counts(
    connection: Connection, run: SourceRun, stream: StreamState, start: datetime, remote: RemoteCount
) -> dict[str, object]:
    """The columns of ``ops.streams`` about completeness, by a total that counts the calls since ``start``."""
    waiting = quarantine.waiting(connection, run.source.name)
    known = stream.surplus_count if remote.surplus is None else remote.surplus
    if stream.is_filter_ignored:
        remote = RemoteCount(None, warnings=[Reason.FOREIGN_CALLS, *remote.warnings])

    def compare(since: datetime, remote_oldest_at: datetime | None) -> dict[str, object]:
        stored = streams.count_stored(connection, stream, max(since, remote_oldest_at) if remote_oldest_at else since)
        surplus = min(known or 0, max(0, (remote.total or 0) - stored - waiting))  # no more than what is not stored
        status, reason = rate_completeness(remote._replace(surplus=surplus), stored, waiting)
        found = {"local_count": stored, "completeness": status, "reason": reason, "remote_oldest_at": remote_oldest_at}
        return found | {"surplus_count": known if remote.total is None else surplus}

    days = timedelta(days=2 if run.provider.date_filter is DateFilter.DAYS else 0)  # they begin in an unknown time zone
    since = datetime.min.replace(tzinfo=UTC) if run.provider.date_filter is DateFilter.NONE else start - days
    found = compare(since, stream.remote_oldest_at)
    if found["completeness"] == "incomplete" and stream.remote_oldest_at:
        # more is listed than stored: calls are missing, unless those are listed again that the provider had dropped
        of_all = compare(since, None)
        if of_all["completeness"] == "count_match":
            found = of_all
        elif of_all["completeness"] == "unknown" and stream.completeness != "incomplete":
            found |= {"completeness": "unknown", "reason": Reason.LISTED_AGAIN.value}
    if (found["completeness"], stream.completeness) == ("count_match", "verified"):
        found["completeness"] = "verified"  # day by day, and nothing has changed since
    return {**found, "remote_count": remote.total, "checked_at": run.deps.clock.now()}


def is_foreign(run: SourceRun, partition: str, record: ReceivedRecord) -> bool:
    """Whether a record has only numbers of other partitions: the provider ignored the filter."""
    if not partition or record.context is None:
        return False
    values = record.context.record
    sides = [run.provider.columns[name] for name in ("from_number", "to_number")]
    if partition in [values.get(path) for side in sides for path in side.paths]:
        return False  # as it is written: most are, and need no parsing
    context = RecordContext(run.source, values)
    numbers = {side.read(context) for side in sides} - {None}
    return bool(numbers) and partition not in numbers


def rate_completeness(remote: RemoteCount, stored: int, waiting: int) -> tuple[str, str | None]:
    """The status of a whole stream, and the reason where counts do not match or records wait."""
    total, warnings = remote.total, "; ".join(remote.warnings)
    if total is None:
        return "unknown", warnings or Reason.NO_TOTAL.value
    numbers = {"total": total, "stored": stored, "difference": abs(total - stored)}
    if remote.first_total is not None and remote.first_total <= stored + waiting < total:
        return "unknown", Reason.GREW.format(**numbers)
    if stored + waiting < total <= stored + waiting + (remote.surplus or 0):
        return "unknown", Reason.COUNTS_MORE.format(**numbers)
    if stored + waiting < total:
        return "incomplete", Reason.INCOMPLETE.format(**numbers)
    if stored > total:
        return "unknown", Reason.SURPLUS.format(**numbers)
    if warnings:
        return "unknown", warnings
    return "count_match", Reason.QUARANTINED.format(**numbers) if stored < total else None
