"""Alerts that stand → rows of ``ops.alerts``, from their beginning to their end, and which are still to be told."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from etl.ops.alerts.rules import PATIENCE, Alert

_PATIENCE = json.dumps({kind: span.total_seconds() for kind, span in PATIENCE.items()})

# Two daemons judge the same books: one of them begins an episode.
BEGIN = text("""
    INSERT INTO ops.alerts (source, kind, message, opened_at) VALUES (:source, :kind, :message, :now)
    ON CONFLICT (source, kind) WHERE resolved_at IS NULL DO NOTHING
""")
END = text("""
    UPDATE ops.alerts SET resolved_at = :now
     WHERE resolved_at IS NULL AND source = :source AND kind <> ALL(:kinds)
""")
# Another daemon on the same books may read it: a day without a run, and none planned, says that nobody does.
END_UNREAD = text("""
    UPDATE ops.alerts a SET resolved_at = :now, message = message || '; nobody reads this source any more'
      FROM ops.sources s
     WHERE a.resolved_at IS NULL AND s.source = a.source AND a.source <> ALL(:sources)
       AND greatest(s.next_run_at, s.first_seen_at,
                    (SELECT max(started_at) FROM ops.runs r WHERE r.source = s.source)) < :now - interval '1 day'
""")
# Held until it is told, so that no other process tells it too.
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
       SET notified_at = coalesce(notified_at, :now), resolution_notified_at = CASE WHEN :is_over THEN CAST(:now AS timestamptz) END
     WHERE alert_id = :alert_id
""")


@dataclass(frozen=True, slots=True)
class AlertRecord:
    """An alert from its beginning on, and to its end where it is over."""

    alert_id: int
    alert: Alert
    opened_at: datetime
    resolved_at: datetime | None


def sync_alerts(connection: Connection, source: str, standing: Sequence[Alert], now: datetime) -> None:
    """Begin the episodes of alerts that are new, and end those of alerts that no longer stand."""
    for alert in standing:
        connection.execute(BEGIN, {"source": source, "kind": alert.kind, "message": alert.message, "now": now})
    connection.execute(END, {"source": source, "kinds": [alert.kind for alert in standing], "now": now})


def resolve_removed(connection: Connection, sources: Sequence[str], now: datetime) -> None:
    """End the episodes of sources that are none of these, and that no daemon elsewhere reads either."""
    connection.execute(END_UNREAD, {"sources": list(sources), "now": now})


def next_unnotified(connection: Connection, now: datetime) -> AlertRecord | None:
    """The oldest episode whose beginning or end nobody was told, kept from other processes while this one tells it."""
    row = connection.execute(UNTOLD, {"now": now, "patience": _PATIENCE}).one_or_none()
    return (
        AlertRecord(row.alert_id, Alert(row.source, row.kind, row.message), row.opened_at, row.resolved_at)
        if row
        else None
    )


def mark_notified(connection: Connection, episode: AlertRecord, now: datetime) -> None:
    """Note that somebody was told."""
    over = episode.resolved_at is not None
    connection.execute(TOLD, {"alert_id": episode.alert_id, "is_over": over, "now": now})
