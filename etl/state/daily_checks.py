"""How complete each day of a source was when it was last compared with the provider's list."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime

from sqlalchemy import Connection

from etl.db.engine import as_json
from etl.db.statements import Statements, execute, fetch_all, fetch_value

SQL = Statements("daily_checks")
WORST_FIRST = ("incomplete", "unknown", "count_match", "verified")


@dataclass(frozen=True, slots=True)
class DayStatus:
    """How complete a day of a source is: ``verified``, ``count_match``, ``incomplete`` or ``unknown``.

    The day is in the source's time zone; ``missing_count`` is the number of calls that are listed and not stored;
    ``reason`` says why the status is not better, or what was found.
    """

    source: str
    day: date
    status: str
    missing_count: int = 0
    reason: str | None = None
    is_expired: bool = False  # the provider's retention removed the day's calls; not stored

    def as_dict(self) -> dict[str, object]:
        """The status ready for JSON."""
        values = asdict(self)
        del values["is_expired"]
        return {**values, "day": self.day.isoformat()}


def save(connection: Connection, statuses: Sequence[DayStatus], now: datetime, run_id: int | None) -> None:
    """Store the status of days; a verified day stays verified while its count matches."""
    if statuses:
        days = as_json([status.as_dict() for status in statuses])
        execute(connection, SQL.save_daily_checks, {"days": days, "now": now, "run_id": run_id})


def stored(connection: Connection, source: str, first: date, last: date) -> dict[date, DayStatus]:
    """The stored status of the days from ``first`` to ``last``."""
    rows = fetch_all(connection, SQL.daily_checks, {"source": source, "first": first, "last": last})
    return {row.day: DayStatus(*row) for row in rows}


def incomplete_days(connection: Connection, source: str) -> list[DayStatus]:
    """The days of a source that lack calls, oldest first."""
    return [DayStatus(*row) for row in fetch_all(connection, SQL.incomplete_days, {"source": source})]


def are_verified(connection: Connection, source: str, first: date, last: date) -> bool:
    """Whether each day from ``first`` to ``last`` is verified."""
    days = {"source": source, "first": first, "last": last}
    return bool(fetch_value(connection, SQL.count_verified_days, days) == (last - first).days + 1)
