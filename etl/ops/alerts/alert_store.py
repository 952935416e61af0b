"""Alerts → rows of ``ops.alerts``: opened, notified, resolved, and their resolution notified."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from etl.db.statements import Statements, execute, fetch_one
from etl.ops.alerts.rules import GRACE_PERIOD, Alert, AlertKind

_GRACE_SECONDS = json.dumps({kind: period.total_seconds() for kind, period in GRACE_PERIOD.items()})

SQL = Statements("alerts")


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """A stored alert; ``resolved_at`` is null while it is open."""

    alert_id: int
    alert: Alert
    opened_at: datetime
    resolved_at: datetime | None


def sync_alerts(connection: Connection, source: str, firing: Sequence[Alert], now: datetime) -> None:
    """Open the alerts that are new, and resolve those that no longer fire."""
    for alert in firing:
        execute(
            connection, SQL.open_alert, {"source": source, "kind": alert.kind, "message": alert.message, "now": now}
        )
    execute(connection, SQL.resolve_alerts, {"source": source, "kinds": [alert.kind for alert in firing], "now": now})


def resolve_removed(connection: Connection, sources: Sequence[str], now: datetime) -> None:
    """Resolve the alerts of sources that are not among these, and that no other daemon reads either."""
    execute(connection, SQL.resolve_removed, {"sources": list(sources), "now": now})


def claim_unnotified(connection: Connection, now: datetime) -> AlertRecord | None:
    """Claim the oldest alert whose opening or resolution was not delivered: no other process delivers it now."""
    row = fetch_one(connection, SQL.claim_unnotified, {"now": now, "grace_seconds": _GRACE_SECONDS})
    return (
        AlertRecord(row.alert_id, Alert(row.source, AlertKind(row.kind), row.message), row.opened_at, row.resolved_at)
        if row
        else None
    )


def mark_notified(connection: Connection, record: AlertRecord, now: datetime) -> None:
    """Record that it was delivered."""
    is_resolved = record.resolved_at is not None
    execute(connection, SQL.mark_notified, {"alert_id": record.alert_id, "is_resolved": is_resolved, "now": now})
