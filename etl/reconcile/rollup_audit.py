"""The stored calls of a source, row by row → the counters that are kept of them, repaired where they differ."""

from etl.runtime.humanize import counted
from etl.state import recount
from etl.sync.run import SourceRun


def audit(run: SourceRun) -> None:
    """Count the calls anew and repair what differs, with a note: whoever writes past the triggers leaves rollups wrong.

    From then on the triggers keep them right, so that a proof may count by them.
    """
    before, wrong = recount.NEWEST, set()
    while before != recount.OLDEST:
        run.acquire_lease()
        before, days = run.transaction(recount.repair_slice, run.source.name, before)
        wrong |= days
    if wrong:
        run.result.notes.append(
            f"calls of {counted(len(wrong), 'day')} were written past the triggers of warehouse.calls: the rollups are "
            "counted anew"
        )
