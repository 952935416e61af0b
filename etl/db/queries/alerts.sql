-- Alerts: opened when a problem is found, resolved when it is gone, and posted to the webhook once for each.

-- name: open_alert
-- Opens an alert, unless it is open already: two daemons may find the same problem. One that a clock that was ahead has
-- opened in the future is open from now on.
INSERT INTO ops.alerts (source, kind, message, opened_at) VALUES (:source, :kind, :message, :now)
ON CONFLICT (source, kind) WHERE resolved_at IS NULL DO UPDATE
   SET opened_at = excluded.opened_at WHERE alerts.opened_at > excluded.opened_at

-- name: resolve_alerts
-- Resolves the alerts of a source of all other kinds.
UPDATE ops.alerts SET resolved_at = :now WHERE resolved_at IS NULL AND source = :source AND kind <> ALL(:kinds)

-- name: resolve_removed
-- Resolves the alerts of sources that are no longer configured. Another daemon on the same database may read one: a day
-- without a run, and none planned, says that nobody does.
UPDATE ops.alerts a SET resolved_at = :now, message = message || '; this source is no longer synced'
  FROM ops.sources s
 WHERE a.resolved_at IS NULL AND s.source = a.source AND a.source <> ALL(:sources)
   AND greatest(s.next_run_at, s.first_seen_at,
                (SELECT max(started_at) FROM ops.runs r WHERE r.source = s.source)) < :now - interval '1 day'

-- name: claim_unnotified
-- The oldest alert whose opening or resolution is not posted yet; claimed for a minute, so that no other process posts it
-- too, and none is waited for in a transaction.
UPDATE ops.alerts SET claimed_at = :now
 WHERE alert_id = (
    SELECT alert_id FROM ops.alerts
     WHERE ((resolved_at IS NULL AND notified_at IS NULL
             AND opened_at <= :now - make_interval(secs => CAST(CAST(:grace_seconds AS jsonb) ->> kind AS numeric)))
            OR (resolved_at IS NOT NULL AND notified_at IS NOT NULL AND resolution_notified_at IS NULL))
       AND (claimed_at IS NULL OR claimed_at NOT BETWEEN :now - interval '1 minute' AND :now)
     ORDER BY alert_id LIMIT 1
       FOR UPDATE SKIP LOCKED)
RETURNING alert_id, source, kind, message, opened_at, resolved_at

-- name: mark_notified
-- Stores that the webhook accepted it.
UPDATE ops.alerts
   SET notified_at = coalesce(notified_at, :now),
       resolution_notified_at = CASE WHEN :is_resolved THEN CAST(:now AS timestamptz) END, claimed_at = NULL
 WHERE alert_id = :alert_id

-- name: open_alerts
-- The alerts of some sources that are open.
SELECT source, kind FROM ops.alerts WHERE resolved_at IS NULL AND source = ANY(:sources) ORDER BY 1, 2

-- name: alert_inputs
-- What the state of a source says to an alert.
SELECT s.pause_reason,
       (SELECT reason FROM ops.streams l WHERE l.source = s.source AND completeness = 'incomplete' LIMIT 1) AS missing,
       (SELECT count(*) FROM ops.quarantine q
         WHERE q.source = s.source AND resolved_at IS NULL AND dismissed_at IS NULL AND first_seen_at > :yesterday AND first_seen_at <= :now) AS new_rejects
  FROM ops.sources s
 WHERE s.source = :source
