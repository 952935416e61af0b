-- The settings under which calls were read.

-- name: outdated_calls
-- How many calls of each of these sources were read under other :settings than these, and on which days (UTC) they were created.
SELECT d.source, v.settings, d.calls, d.first_day, d.last_day
  FROM (SELECT source, settings_id, sum(calls)::bigint AS calls, min(day) AS first_day, max(day) AS last_day
          FROM warehouse.stream_rollup_daily
         WHERE source = ANY(:sources) AND partition = ''
         GROUP BY source, settings_id) d
  JOIN unnest(CAST(:sources AS text[]), CAST(:settings AS jsonb[])) AS present (source, settings) USING (source)
  LEFT JOIN ops.settings_versions v USING (settings_id)
 WHERE v.settings IS DISTINCT FROM present.settings
 ORDER BY d.source, d.settings_id
