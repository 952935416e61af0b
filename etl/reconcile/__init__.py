"""A provider's own counts against the warehouse's → a verdict on each day, kept in the books; what is missing, loaded.

Read :func:`verify` first. Each list is one :class:`~etl.reconcile.stream_check.Proof`. A sorted list is proved by rank
(:mod:`etl.reconcile.rank_search`), one without order by the counts of windows or call by call
(:mod:`etl.reconcile.count_search`).
"""

import logging
from collections.abc import Sequence

from etl.client.errors import SourceError, SourcePaused, SourceUnavailable
from etl.reconcile.day_status import RETAINED, Finding, verdicts
from etl.reconcile.remote import OutOfReach
from etl.reconcile.stream_check import Asked, Proof
from etl.runtime.logs import event
from etl.state import daily_checks as books_of_verdicts
from etl.state import streams
from etl.state.daily_checks import Verdict
from etl.state.lease import Lane
from etl.sync.run import Reader

log = logging.getLogger("etl.reconcile")

__all__ = ["Asked", "verify"]


def verify(reader: Reader, asked: Asked, found: list[Verdict] | None = None) -> None:
    """Compare every list of a source with what is held, and keep the verdicts; ``found`` takes them, oldest day first.

    What went wrong with one list is the run's error; the others are compared. Whoever asks for it by hand waits for it;
    otherwise all other work goes before. Raises :class:`~etl.client.errors.SourceError` where it is the whole source,
    once what was found is kept.
    """
    with reader.lane(Lane.LIVE if reader.by_hand else Lane.HISTORY):
        proofs, findings, failure = _compared(reader, asked)
        doubt = None if failure else _doubt_of_zone(reader, proofs)
        kept = _keep(reader, proofs, findings, doubt)
    if found is not None:
        found += kept
    if failure is not None:
        raise failure


def _compared(reader: Reader, asked: Asked) -> tuple[list[Proof], list[Finding], SourceError | None]:
    """The lists of a source one after the other, up to an error that is the whole source's."""
    proofs: list[Proof] = []
    findings: list[Finding] = []
    for phone in reader.phones:
        proof = Proof(reader, phone, asked)
        finding, error = proof.finding()
        proofs.append(proof)
        findings.append(finding)
        if error is not None:
            reader.report.error = reader.report.error or str(error)
            event(log, "list not compared", level=logging.WARNING, source=reader.source.name, error=str(error))
            if isinstance(error, SourcePaused) or (isinstance(error, SourceUnavailable) and error.status is None):
                return proofs, findings, error
    return proofs, findings, None


def _doubt_of_zone(reader: Reader, proofs: Sequence[Proof]) -> str | None:
    try:
        return proofs[0].comparison.zone_of_days.doubt if proofs and proofs[0].spans else None
    except (SourceError, OutOfReach) as error:
        event(log, "time zone not measured", level=logging.WARNING, source=reader.source.name, error=str(error))
        return None


def _keep(reader: Reader, proofs: Sequence[Proof], findings: Sequence[Finding], doubt: str | None) -> list[Verdict]:
    """Write the verdicts on days and lists in one transaction; the verdicts as they stand in the books then."""
    source, now = reader.source, reader.means.clock.now()
    found = verdicts(source.name, source.timezone, findings, doubt)
    reader.take_turn()
    with reader.lease.transaction() as connection:
        # where nothing can be told now, a gap that was seen still stands, unless its calls can no longer be had
        gaps = {each.day for each in books_of_verdicts.gaps(connection, source.name)}
        new = [each for each in found if each.verdict != "unknown" or each.day not in gaps or each.reason == RETAINED]
        books_of_verdicts.save(connection, new, now, reader.run.run_id)
        for proof, finding in zip(proofs, findings, strict=True):
            if not finding.has_failed:
                streams.save_list(connection, proof.books, **proof.columns(finding, doubt, now))
        spans = [proof.days_held() for proof in proofs]
        if not any(each.has_failed for each in findings) and books_of_verdicts.are_verified(
            connection, source.name, min(first for first, _ in spans), max(last for _, last in spans)
        ):
            streams.raise_to_verified(connection, source.name)
        kept = books_of_verdicts.kept(connection, source.name, found[0].day, found[-1].day) if found else {}
    return [kept[each.day] for each in found]
