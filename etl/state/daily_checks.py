"""What the last look at each day of a source proved: kept until the next one says otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, case, func, select
from sqlalchemy.dialects.postgresql import insert

from etl.db.tables import verdicts as table

WORST_FIRST = ("gap", "unknown", "agrees", "verified")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How complete a day of a source is: ``verified``, ``agrees``, ``gap`` or ``unknown``.

    The day is one of the source's time zone; ``missing`` is how many calls are listed and not held; ``reason`` says why
    the verdict is not better, or what was found.
    """

    source: str
    day: date
    verdict: str
    missing: int = 0
    reason: str | None = None

    def as_dict(self) -> dict[str, object]:
        """The verdict as a program reads it."""
        return {
            "source": self.source,
            "day": self.day.isoformat(),
            "verdict": self.verdict,
            "missing": self.missing,
            "reason": self.reason,
        }


def save(connection: Connection, verdicts: Sequence[Verdict], now: datetime, run_id: int | None) -> None:
    """Keep verdicts in place of those before; a day that was verified stays so while whole counts agree."""
    if not verdicts:
        return
    rows = [{**_columns(each), "checked_at": now, "run_id": run_id} for each in verdicts]
    new = insert(table)
    stays = (table.c.verdict == "verified") & (new.excluded.verdict == "agrees")
    values: dict[str, Any] = {name: new.excluded[name] for name in ("missing", "reason", "checked_at", "run_id")}
    values["verdict"] = case((stays, table.c.verdict), else_=new.excluded.verdict)
    connection.execute(new.on_conflict_do_update(constraint="pk_verdicts", set_=values), rows)


def kept(connection: Connection, source: str, first: date, last: date) -> dict[date, Verdict]:
    """The verdicts in the books on the days from ``first`` to ``last``."""
    t = table.c
    rows = connection.execute(
        select(t.source, t.day, t.verdict, t.missing, t.reason).where(t.source == source, t.day.between(first, last))
    )
    return {row.day: Verdict(*row) for row in rows}


def gaps(connection: Connection, source: str) -> list[Verdict]:
    """The days of a source on which calls are missing, oldest first."""
    t = table.c
    rows = connection.execute(
        select(t.source, t.day, t.verdict, t.missing, t.reason)
        .where(t.source == source, t.verdict == "gap")
        .order_by(t.day)
    )
    return [Verdict(*row) for row in rows]


def are_verified(connection: Connection, source: str, first: date, last: date) -> bool:
    """Whether each day from ``first`` to ``last`` was verified when it was last compared."""
    t = table.c
    verified = select(func.count()).where(t.source == source, t.day.between(first, last), t.verdict == "verified")
    return connection.scalar(verified) == (last - first).days + 1


def _columns(verdict: Verdict) -> dict[str, Any]:
    return {
        "source": verdict.source,
        "day": verdict.day,
        "verdict": verdict.verdict,
        "missing": verdict.missing,
        "reason": verdict.reason,
    }
