-- Whose account a source is, whether it is paused, and when it is read next.

-- name: register_source
-- Adds a source with its lease and its rate limit, or updates its settings; returns what is stored of its account. Another
-- time zone of reports is the next one, until the rollups are counted by it (rollups.sql).
WITH registered AS (
    INSERT INTO ops.sources AS stored (source, provider, host, first_seen_at, settled_after_seconds, schedule, timezone,
                             report_timezone, report_currency, business_hours)
    VALUES (:source, :provider, :host, :now, :settled_after_seconds, :schedule, :timezone, :report_timezone, :report_currency,
            CAST(:business_hours AS int4multirange))
    ON CONFLICT (source) DO UPDATE
       SET settled_after_seconds = excluded.settled_after_seconds, schedule = excluded.schedule,
           report_currency = excluded.report_currency, business_hours = excluded.business_hours,
           next_report_timezone = nullif(excluded.report_timezone, stored.report_timezone),
           next_counted_from = CASE WHEN excluded.report_timezone = stored.next_report_timezone
                                    THEN stored.next_counted_from
                                    WHEN excluded.report_timezone <> stored.report_timezone THEN 'infinity' END
    RETURNING provider, host, timezone, paused_until, pause_reason,
              now() AT TIME ZONE :report_timezone AS local_now  -- an error where the server has no such zone
), lease AS (
    INSERT INTO ops.leases (source) VALUES (:source) ON CONFLICT DO NOTHING
), rate_limit AS (
    INSERT INTO ops.rate_limits (source) VALUES (:source) ON CONFLICT DO NOTHING
)
SELECT provider, host, timezone, paused_until, pause_reason FROM registered

-- name: set_timezone
-- Changes the time zone by which a source's coverage is stored, in the transaction that moves it.
UPDATE ops.sources SET timezone = :timezone WHERE source = :source

-- name: pause_source
-- Pauses a source: its credentials or its account are refused.
UPDATE ops.sources SET paused_until = :until, pause_reason = :reason WHERE source = :source

-- name: has_watermark
-- Whether any stream of a source was read as far as a call.
SELECT EXISTS (SELECT FROM ops.coverage WHERE source = :source)
       OR EXISTS (SELECT FROM ops.checkpoints WHERE source = :source AND resume_point ->> 'newest' IS NOT NULL)

-- name: source_names
-- Every source that was ever configured.
SELECT source FROM ops.sources ORDER BY source

-- name: next_run
-- What the next run of a source waits for.
SELECT s.next_run_at, s.paused_until, s.pause_reason, r.blocked_until
  FROM ops.sources s LEFT JOIN ops.rate_limits r USING (source) WHERE s.source = :source

-- name: last_progress
-- When each source last finished a run or saved a checkpoint: a scan of hours makes progress all the while. What a clock
-- that was ahead has stamped in the future says nothing.
SELECT s.source,
       greatest(least(s.first_seen_at, :now),
                (SELECT max(finished_at) FROM ops.runs r
                  WHERE r.source = s.source AND status = 'succeeded' AND kind IN ('sync', 'backfill')
                    AND finished_at <= :now),
                (SELECT max(updated_at) FROM ops.checkpoints c WHERE c.source = s.source AND updated_at <= :now)) AS at
  FROM ops.sources s

-- name: failing_sources
-- The sources that are paused, or whose last run failed.
SELECT s.source FROM ops.sources s
 WHERE s.paused_until > :now
    OR (SELECT status FROM ops.runs r WHERE r.source = s.source ORDER BY run_id DESC LIMIT 1) = 'failed'
 ORDER BY s.source

-- name: masking_key
-- The key of the tokens that stand for customers.
SELECT key FROM ops.masking_key
