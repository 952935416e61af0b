-- The settings under which calls were read.

-- name: outdated_calls
-- How many calls of a source were read under which other settings, and on which days (UTC) they were created.
SELECT v.settings, sum(d.calls)::bigint AS calls, min(d.day) AS first_day, max(d.day) AS last_day
  FROM warehouse.stream_rollup_daily d
  LEFT JOIN ops.settings_versions v USING (settings_id)
 WHERE d.source = :source AND d.partition = '' AND v.settings IS DISTINCT FROM CAST(:settings AS jsonb)
 GROUP BY d.settings_id, v.settings
 ORDER BY d.settings_id
