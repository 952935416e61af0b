"""Alerts → rows of ``ops.alerts``: opened, notified, resolved, and their resolution notified."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from etl.db.statements import Statements, execute, fetch_all
from etl.ops.alerts.rules import GRACE_PERIOD, Alert, AlertKind

_GRACE_SECONDS = json.dumps({kind: period.total_seconds() for kind, period in GRACE_PERIOD.items()})
MANY, QUIET = 10, timedelta(minutes=30)  # after MANY alerts of one kind and provider, the next message waits for QUIET

SQL = Statements("alerts")


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """A stored alert; ``resolved_at`` is null while it is open."""

    alert_id: int
    provider: str
    alert: Alert
    opened_at: datetime
    resolved_at: datetime | None


def sync_alerts(connection: Connection, evaluated: Sequence[str], firing: Sequence[Alert], now: datetime) -> None:
    """Open the alerts that are new, and resolve those of the evaluated sources that no longer fire."""
    alerts = {
        "sources": [alert.source for alert in firing],
        "kinds": [alert.kind.value for alert in firing],
        "now": now,
    }
    execute(connection, SQL.save_firing, {**alerts, "messages": [alert.message for alert in firing]})
    execute(connection, SQL.resolve_others, {**alerts, "evaluated": list(evaluated)})


def resolve_removed(connection: Connection, sources: Sequence[str], now: datetime) -> None:
    """Resolve the alerts of sources that are not among these, and that no other daemon reads either."""
    execute(connection, SQL.resolve_removed, {"sources": list(sources), "now": now})


def claim_unnotified(connection: Connection, now: datetime) -> list[AlertRecord]:
    """Claim what was not delivered, of one kind and provider, opened or resolved: no other process delivers it now."""
    values = {"now": now, "grace_seconds": _GRACE_SECONDS, "many": MANY, "quiet_seconds": QUIET.total_seconds()}
    return [
        AlertRecord(
            row.alert_id,
            row.provider,
            Alert(row.source, AlertKind(row.kind), row.message),
            row.opened_at,
            row.resolved_at,
        )
        for row in fetch_all(connection, SQL.claim_unnotified, values)
    ]


def mark_notified(connection: Connection, records: Sequence[AlertRecord], now: datetime) -> None:
    """Record that they were delivered."""
    is_resolved, alert_ids = records[0].resolved_at is not None, [record.alert_id for record in records]
    execute(connection, SQL.mark_notified, {"alert_ids": alert_ids, "is_resolved": is_resolved, "now": now})
