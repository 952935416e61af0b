"""A changed time zone of reports: the metrics are counted by it while calls are loaded."""

import logging
from itertools import count

from etl.runtime.logs import event
from etl.state import recount
from etl.sync.run import SourceRun


def change_report_zone(run: SourceRun, *, slices: int = -1) -> bool:
    """Count the metrics of a source by the days and hours of another time zone, if need be → whether more is left."""
    for done in count():
        change = run.state.run(recount.zone_change, run.source.name)
        if change is None or done == slices:
            break
        if change.timezone and not done:
            event(logging.getLogger(__name__), "rollups_counting", source=run.source.name, message=change.message)
        run.acquire_lease()
        run.transaction(recount.change_zone, run.source.name)
        run.report_progress("metrics", change.counted, change.calls)
    return change is not None
