"""The calls of a source, counted anew in slices of days → its rollups repaired, or counted by another time zone.

A slice keeps writers of the source's calls waiting for less than a second; between two slices they go on. What they
change in days that are counted already, the triggers count by both time zones (``warehouse.counted_zones``).
"""

import logging
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from sqlalchemy import Connection

from etl.db.statements import Statements, execute, fetch_all, fetch_one, fetch_value
from etl.runtime.logs import event

SQL = Statements("rollups")
CALLS_PER_SLICE = 10_000  # and the rest of the oldest day of these
NEWEST, OLDEST = "infinity", "-infinity"  # days that Python has no value for
log = logging.getLogger(__name__)


class ZoneChange(NamedTuple):
    """How many calls of a source are counted by another time zone; ``None``: the old one's rows are being removed."""

    timezone: str | None
    calls: int
    counted: int

    @property
    def message(self) -> str | None:
        """The same for people."""
        percent = 100 * self.counted // max(self.calls, 1)
        return self.timezone and f"metrics are being counted by the days and hours of {self.timezone}: {percent} %"


def repair_slice(
    connection: Connection, source: str, before: str, size: int = CALLS_PER_SLICE
) -> tuple[str, set[date]]:
    """Repair the rollups of the days before ``before`` → the first of these days, and those that were wrong."""
    fetch_value(connection, SQL.lock_rollups, {"source": source})
    zone = fetch_one(connection, SQL.zones, {"source": source}).report_timezone
    first, wrong = _count_slice(connection, source, (zone, before), size)
    days = {"source": source, "first": first, "before": before}
    wrong |= {row.day for row in fetch_all(connection, SQL.recount_streams, days)}
    if wrong:
        execute(connection, SQL.delete_orphans)
    return first, wrong


def zone_changes(connection: Connection, sources: Sequence[str]) -> dict[str, ZoneChange]:
    """How far the rollups of these sources are counted by another time zone, of those that are."""
    rows = fetch_all(connection, SQL.zone_changes, {"sources": list(sources)})
    return {row.source: ZoneChange(row.timezone, row.calls, row.counted) for row in rows}


def zone_change(connection: Connection, source: str) -> ZoneChange | None:
    """The same of one source."""
    return zone_changes(connection, [source]).get(source)


def change_zone(connection: Connection, source: str, size: int = CALLS_PER_SLICE) -> None:
    """Count one more slice by the next time zone, which is shown once all are; then remove rows of the one before."""
    fetch_value(connection, SQL.lock_rollups, {"source": source})
    zones = fetch_one(connection, SQL.zones, {"source": source})
    if zones.next_report_timezone is None:
        execute(connection, SQL.delete_old_zone, {"source": source, "rows": size})
        return
    first, _ = _count_slice(connection, source, (zones.next_report_timezone, zones.next_counted_from), size)
    execute(connection, SQL.save_next_zone, {"source": source, "first": first})
    if first == OLDEST:
        event(log, "rollups_rebuilt", source=source, timezone=zones.next_report_timezone)


def _count_slice(connection: Connection, source: str, end: tuple[str, str], size: int) -> tuple[str, set[date]]:
    values = {"source": source, "timezone": end[0], "before": end[1], "calls": size}
    values["first"] = first = fetch_value(connection, SQL.slice_start, values)
    execute(connection, SQL.add_dimensions, values)
    return first, {row.day for row in fetch_all(connection, SQL.recount_calls, values)}
