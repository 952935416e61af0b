-- How complete each day of a source was when `etl verify` last compared it.

-- name: save_daily_checks
-- Stores the results of a comparison; a day that was verified stays so where only the counts were compared since.
INSERT INTO ops.daily_checks AS stored (source, day, status, missing_count, reason, checked_at, run_id)
SELECT source, day, status, missing_count, reason, :now, CAST(:run_id AS bigint)
  FROM jsonb_to_recordset(CAST(:days AS jsonb))
       AS checks (source text, day date, status text, missing_count bigint, reason text)
    ON CONFLICT (source, day) DO UPDATE
   SET status = CASE WHEN stored.status = 'verified' AND excluded.status = 'count_match' THEN stored.status
                     ELSE excluded.status END,
       missing_count = excluded.missing_count, reason = excluded.reason, checked_at = excluded.checked_at,
       run_id = excluded.run_id

-- name: daily_checks
-- The days of a source from the first to the last.
SELECT source, day, status, missing_count, reason FROM ops.daily_checks
 WHERE source = :source AND day BETWEEN :first AND :last

-- name: incomplete_days
-- The days of a source that lack calls, oldest first.
SELECT source, day, status, missing_count, reason FROM ops.daily_checks
 WHERE source = :source AND status = 'incomplete' ORDER BY day

-- name: count_verified_days
-- The number of verified days from the first to the last.
SELECT count(*) FROM ops.daily_checks WHERE source = :source AND day BETWEEN :first AND :last AND status = 'verified'
