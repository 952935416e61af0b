"""A provider's own counts against the warehouse's → the status of each day, stored; what is missing is loaded.

Read :func:`verify` first. Each list is one :class:`~etl.reconcile.stream_check.StreamCheck`. A sorted list is compared
by rank (:mod:`etl.reconcile.rank_search`), one without order by the counts of windows or call by call
(:mod:`etl.reconcile.count_search`).
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import date

from sqlalchemy import Connection

from etl.client.errors import SourceError, refusal_of_all
from etl.reconcile.day_status import StreamFinding, day_statuses
from etl.reconcile.remote import PositionRefused
from etl.reconcile.rollup_audit import audit
from etl.reconcile.stream_check import StreamCheck, VerifyRequest
from etl.reconcile.transcript_audit import audit_transcripts
from etl.runtime.logs import event
from etl.state import daily_checks, removed_calls, streams
from etl.state.daily_checks import DayStatus
from etl.state.lease import Priority
from etl.sync.run import SourceRun

log = logging.getLogger("etl.reconcile")

__all__ = ["VerifyRequest", "verify"]


def verify(run: SourceRun, request: VerifyRequest, found: list[DayStatus] | None = None) -> None:
    """Compare every list of a source with the warehouse and store each day's status; ``found`` gets them, oldest first.

    The rollups, by which calls are counted here, and the transcripts are repaired first. What went wrong with one list
    is the run's error; the others are compared. Whoever asks for it by hand waits for it; otherwise all other work goes
    before. Raises :class:`~etl.client.errors.SourceError` where it is the whole source, once what was found is stored.
    """
    with run.at_priority(Priority.HEAD if run.is_manual else Priority.BACKFILL):
        audit(run)
        audit_transcripts(run)
        checks, findings, failure = _compared(run, request)
        warning = None if failure else _zone_warning(run, checks)
        stored = _keep(run, checks, findings, warning)
    if found is not None:
        found += stored
    if failure is not None:
        raise failure


def _compared(
    run: SourceRun, request: VerifyRequest
) -> tuple[list[StreamCheck], list[StreamFinding], SourceError | None]:
    """The lists of a source one after the other, up to an error that is the whole source's."""
    checks: list[StreamCheck] = []
    findings: list[StreamFinding] = []
    errors: list[SourceError | None] = []
    for partition in run.partitions:
        check = StreamCheck(run, partition, request)
        finding, error = check.finding()
        checks.append(check)
        findings.append(finding)
        errors.append(error)
        if error is not None:
            run.fail("stream_check_failed", error)
            if error.concerns_source:
                return checks, findings, error
    return checks, findings, refusal_of_all(errors)


def _zone_warning(run: SourceRun, checks: Sequence[StreamCheck]) -> str | None:
    try:
        return checks[0].comparison.zone.warning if checks and checks[0].spans else None
    except (SourceError, PositionRefused) as error:
        event(log, "timezone_probe_failed", level=logging.WARNING, source=run.source.name, error=str(error))
        return None


def _keep(
    run: SourceRun, checks: Sequence[StreamCheck], findings: Sequence[StreamFinding], warning: str | None
) -> list[DayStatus]:
    """Write the statuses on days and lists in one transaction; the statuses as they are stored then."""
    source, now = run.source, run.deps.clock.now()
    found = day_statuses(source.name, source.timezone, findings, warning)

    def keep(connection: Connection) -> Mapping[date, DayStatus]:
        # an incomplete day stays so while nothing is known, unless the provider's retention removed its calls
        incomplete = {status.day for status in daily_checks.incomplete_days(connection, source.name)}
        new = [
            status
            for status in found
            if status.status != "unknown" or status.day not in incomplete or status.is_expired
        ]
        daily_checks.save(connection, new, now, run.result.run_id)
        for check, finding in zip(checks, findings, strict=True):
            removed_calls.leave(connection, check.left, now)
            if columns := check.columns(finding, warning, now):
                streams.save_stream(connection, check.stream, **columns)
        spans = [check.stored_days() for check in checks]
        if not any(finding.has_failed for finding in findings) and daily_checks.are_verified(
            connection, source.name, min(first for first, _ in spans), max(last for _, last in spans)
        ):
            streams.promote_to_verified(connection, source.name)
        return daily_checks.stored(connection, source.name, found[0].day, found[-1].day) if found else {}

    run.acquire_lease()
    statuses = run.transaction(keep)
    return [statuses[status.day] for status in found]
