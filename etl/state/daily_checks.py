"""What the last look at each day of a source proved: kept until the next one says otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, case, func, select
from sqlalchemy.dialects.postgresql import insert

from etl.db.tables import daily_checks as table

WORST_FIRST = ("incomplete", "unknown", "count_match", "verified")


@dataclass(frozen=True, slots=True)
class DayStatus:
    """How complete a day of a source is: ``verified``, ``agrees``, ``gap`` or ``unknown``.

    The day is one of the source's time zone; ``missing_count`` is how many calls are listed and not held; ``reason`` says why
    the verdict is not better, or what was found.
    """

    source: str
    day: date
    status: str
    missing_count: int = 0
    reason: str | None = None

    def as_dict(self) -> dict[str, object]:
        """The verdict as a program reads it."""
        return {
            "source": self.source,
            "day": self.day.isoformat(),
            "status": self.status,
            "missing_count": self.missing_count,
            "reason": self.reason,
        }


def save(connection: Connection, verdicts: Sequence[DayStatus], now: datetime, run_id: int | None) -> None:
    """Keep verdicts in place of those before; a day that was verified stays so while whole counts agree."""
    if not verdicts:
        return
    rows = [{**_columns(each), "checked_at": now, "run_id": run_id} for each in verdicts]
    new = insert(table)
    stays = (table.c.status == "verified") & (new.excluded.status == "count_match")
    values: dict[str, Any] = {name: new.excluded[name] for name in ("missing_count", "reason", "checked_at", "run_id")}
    values["status"] = case((stays, table.c.status), else_=new.excluded.status)
    connection.execute(new.on_conflict_do_update(constraint="pk_daily_checks", set_=values), rows)


def stored(connection: Connection, source: str, first: date, last: date) -> dict[date, DayStatus]:
    """The verdicts in the books on the days from ``first`` to ``last``."""
    t = table.c
    rows = connection.execute(
        select(t.source, t.day, t.status, t.missing_count, t.reason).where(
            t.source == source, t.day.between(first, last)
        )
    )
    return {row.day: DayStatus(*row) for row in rows}


def incomplete_days(connection: Connection, source: str) -> list[DayStatus]:
    """The days of a source on which calls are missing, oldest first."""
    t = table.c
    rows = connection.execute(
        select(t.source, t.day, t.status, t.missing_count, t.reason)
        .where(t.source == source, t.status == "incomplete")
        .order_by(t.day)
    )
    return [DayStatus(*row) for row in rows]


def are_verified(connection: Connection, source: str, first: date, last: date) -> bool:
    """Whether each day from ``first`` to ``last`` was verified when it was last compared."""
    t = table.c
    verified = select(func.count()).where(t.source == source, t.day.between(first, last), t.status == "verified")
    return connection.scalar(verified) == (last - first).days + 1


def _columns(verdict: DayStatus) -> dict[str, Any]:
    return {
        "source": verdict.source,
        "day": verdict.day,
        "status": verdict.status,
        "missing_count": verdict.missing_count,
        "reason": verdict.reason,
    }
