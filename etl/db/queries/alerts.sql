-- Alerts: opened when a problem is found, resolved when it is gone, and posted to the webhook once for each.

-- name: save_firing
-- Opens the alerts that fire, unless they are open already: two daemons may find the same problem. One that a clock that
-- was ahead has opened in the future is open from now on.
INSERT INTO ops.alerts (source, kind, message, opened_at)
SELECT source, kind, message, :now
  FROM unnest(CAST(:sources AS text[]), CAST(:kinds AS text[]), CAST(:messages AS text[])) AS firing (source, kind, message)
ON CONFLICT (source, kind) WHERE resolved_at IS NULL DO UPDATE
   SET opened_at = excluded.opened_at WHERE alerts.opened_at > excluded.opened_at

-- name: resolve_others
-- Resolves all other alerts of the sources that were evaluated.
UPDATE ops.alerts a SET resolved_at = :now
 WHERE resolved_at IS NULL AND source = ANY(:evaluated)
   AND NOT EXISTS (SELECT FROM unnest(CAST(:sources AS text[]), CAST(:kinds AS text[])) AS firing (source, kind)
                    WHERE (firing.source, firing.kind) = (a.source, a.kind))

-- name: resolve_removed
-- Resolves the alerts of sources that are no longer configured. Another daemon on the same database may read one: a day
-- without a run, and none planned, says that nobody does.
UPDATE ops.alerts a SET resolved_at = :now, message = message || '; this source is no longer synced'
  FROM ops.sources s
 WHERE a.resolved_at IS NULL AND s.source = a.source AND a.source <> ALL(:sources)
   AND greatest(s.next_run_at, s.first_seen_at,
                (SELECT max(started_at) FROM ops.runs r WHERE r.source = s.source)) < :now - interval '1 day'

-- name: claim_unnotified
-- The alerts whose opening or resolution is not posted yet, of one kind and one provider: those of the oldest. They are claimed
-- for a minute, so that no other process posts them too, and none is waited for in a transaction. Once :many of a provider were
-- posted within :quiet_seconds, the next ones wait until these have passed.
WITH waiting AS (
    SELECT a.alert_id, a.kind, s.provider, resolved_at IS NOT NULL AS is_resolved
      FROM ops.alerts a JOIN ops.sources s USING (source)
     WHERE (resolved_at IS NULL AND notified_at IS NULL
            AND opened_at <= :now - make_interval(secs => CAST(CAST(:grace_seconds AS jsonb) ->> kind AS numeric)))
        OR (resolved_at IS NOT NULL AND notified_at IS NOT NULL AND resolution_notified_at IS NULL)
), posted AS (
    SELECT a.kind, s.provider, event.is_resolved
      FROM ops.alerts a JOIN ops.sources s USING (source)
     CROSS JOIN LATERAL (VALUES (false, a.notified_at), (true, a.resolution_notified_at)) AS event (is_resolved, at)
     WHERE event.at BETWEEN :now - make_interval(secs => :quiet_seconds) AND :now
     GROUP BY a.kind, s.provider, event.is_resolved HAVING count(*) >= :many
), oldest AS (
    SELECT kind, provider, is_resolved FROM waiting
      JOIN ops.alerts USING (alert_id, kind)
     WHERE (claimed_at IS NULL OR claimed_at NOT BETWEEN :now - interval '1 minute' AND :now)
       AND (kind, provider, is_resolved) NOT IN (TABLE posted)
     ORDER BY alert_id LIMIT 1
), claimed AS (
    UPDATE ops.alerts SET claimed_at = :now
     WHERE alert_id IN (
        SELECT a.alert_id FROM ops.alerts a
         WHERE a.alert_id IN (SELECT alert_id FROM waiting JOIN oldest USING (kind, provider, is_resolved))
           AND (claimed_at IS NULL OR claimed_at NOT BETWEEN :now - interval '1 minute' AND :now)
           FOR UPDATE SKIP LOCKED)
    RETURNING alert_id, source, kind, message, opened_at, resolved_at
)
SELECT claimed.*, oldest.provider FROM claimed CROSS JOIN oldest ORDER BY opened_at, source

-- name: mark_notified
-- Stores that the webhook accepted them.
UPDATE ops.alerts
   SET notified_at = coalesce(notified_at, :now),
       resolution_notified_at = CASE WHEN :is_resolved THEN CAST(:now AS timestamptz) END, claimed_at = NULL
 WHERE alert_id = ANY(:alert_ids)

-- name: open_alerts
-- The alerts of some sources that are open.
SELECT source, kind FROM ops.alerts WHERE resolved_at IS NULL AND source = ANY(:sources) ORDER BY 1, 2

-- name: alert_inputs
-- What the state of each of these sources says to an alert. On the first day of a source all drift is new, and none counts.
SELECT s.source, s.pause_reason,
       (SELECT reason FROM ops.streams l WHERE l.source = s.source AND completeness = 'incomplete' LIMIT 1) AS missing,
       (SELECT count(*) FROM ops.quarantine q
         WHERE q.source = s.source AND resolved_at IS NULL AND dismissed_at IS NULL AND first_seen_at > :yesterday
           AND first_seen_at <= :now) AS new_rejects,
       (SELECT coalesce(jsonb_agg(jsonb_build_array(status, error) ORDER BY run_id DESC), '[]')
          FROM (SELECT status, error, run_id FROM ops.runs r
                 WHERE r.source = s.source AND kind IN ('sync', 'backfill') AND status IN ('succeeded', 'failed')
                 ORDER BY run_id DESC LIMIT :runs) last) AS runs,
       (SELECT coalesce(jsonb_agg(DISTINCT jsonb_build_array(field, kind)), '[]') FROM ops.schema_drift d
         WHERE d.source = s.source AND d.first_seen_at > greatest(:yesterday, s.first_seen_at + interval '1 day')
           AND d.first_seen_at <= :now) AS new_drift
  FROM ops.sources s
 WHERE s.source = ANY(:sources)
