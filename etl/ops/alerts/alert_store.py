"""Alerts → rows of ``ops.alerts``: opened, notified, resolved, and their resolution notified."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from etl.ops.alerts.rules import GRACE_PERIOD, Alert, AlertKind

_GRACE_SECONDS = json.dumps({kind: period.total_seconds() for kind, period in GRACE_PERIOD.items()})

# Two daemons may evaluate the same source: one of them opens the alert.
BEGIN = text("""
    INSERT INTO ops.alerts (source, kind, message, opened_at) VALUES (:source, :kind, :message, :now)
    ON CONFLICT (source, kind) WHERE resolved_at IS NULL DO NOTHING
""")
END = text("""
    UPDATE ops.alerts SET resolved_at = :now
     WHERE resolved_at IS NULL AND source = :source AND kind <> ALL(:kinds)
""")
# Another daemon on this database may read it: a day without a run, and none planned, means that none does.
END_UNREAD = text("""
    UPDATE ops.alerts a SET resolved_at = :now, message = message || '; this source is no longer synced'
      FROM ops.sources s
     WHERE a.resolved_at IS NULL AND s.source = a.source AND a.source <> ALL(:sources)
       AND greatest(s.next_run_at, s.first_seen_at,
                    (SELECT max(started_at) FROM ops.runs r WHERE r.source = s.source)) < :now - interval '1 day'
""")
# Locked until it is delivered, so that no other process delivers it too.
UNTOLD = text("""
    SELECT alert_id, source, kind, message, opened_at, resolved_at FROM ops.alerts
     WHERE (resolved_at IS NULL AND notified_at IS NULL
            AND opened_at <= :now - make_interval(secs => CAST(CAST(:patience AS jsonb) ->> kind AS numeric)))
        OR (resolved_at IS NOT NULL AND notified_at IS NOT NULL AND resolution_notified_at IS NULL)
     ORDER BY alert_id LIMIT 1
       FOR UPDATE SKIP LOCKED
""")
TOLD = text("""
    UPDATE ops.alerts
       SET notified_at = coalesce(notified_at, :now),
           resolution_notified_at = CASE WHEN :is_over THEN CAST(:now AS timestamptz) END
     WHERE alert_id = :alert_id
""")


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
        connection.execute(BEGIN, {"source": source, "kind": alert.kind, "message": alert.message, "now": now})
    connection.execute(END, {"source": source, "kinds": [alert.kind for alert in firing], "now": now})


def resolve_removed(connection: Connection, sources: Sequence[str], now: datetime) -> None:
    """Resolve the alerts of sources that are not among these, and that no other daemon reads either."""
    connection.execute(END_UNREAD, {"sources": list(sources), "now": now})


def next_unnotified(connection: Connection, now: datetime) -> AlertRecord | None:
    """The oldest alert whose opening or resolution was not delivered; locked for the rest of the transaction."""
    row = connection.execute(UNTOLD, {"now": now, "patience": _GRACE_SECONDS}).one_or_none()
    return (
        AlertRecord(row.alert_id, Alert(row.source, AlertKind(row.kind), row.message), row.opened_at, row.resolved_at)
        if row
        else None
    )


def mark_notified(connection: Connection, record: AlertRecord, now: datetime) -> None:
    """Record that it was delivered."""
    is_resolved = record.resolved_at is not None
    connection.execute(TOLD, {"alert_id": record.alert_id, "is_over": is_resolved, "now": now})
