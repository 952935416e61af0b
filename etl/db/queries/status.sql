-- Every source at a glance: for `etl status`, the metrics, the page and the demo.

-- name: source_status
-- One row per source: how fresh and complete it is, its schedule, its pause and its rate.
SELECT f.*, s.schedule, s.next_run_at, s.paused_until, s.pause_reason,
       r.requests_per_minute, r.adaptive_rate_per_minute, r.adapted_at,
       (SELECT reason FROM ops.streams l WHERE l.source = f.source AND l.reason IS NOT NULL
         ORDER BY array_position(ARRAY['incomplete', 'unknown', 'count_match', 'verified'], completeness) LIMIT 1) AS reason,
       (SELECT count(*) FROM ops.checkpoints c WHERE c.source = f.source) AS open_checkpoints,
       coalesce(stored.calls, 0) AS calls,
       (SELECT min(ends_at) FROM (SELECT max(ends_at) AS ends_at FROM ops.coverage c
                                   WHERE c.source = f.source GROUP BY partition) newest) AS watermark,
       ARRAY(SELECT ARRAY[lower(gap), upper(gap)]
               FROM (SELECT partition, range_agg(tstzrange(starts_at, ends_at)) AS stored
                       FROM ops.coverage c WHERE c.source = f.source GROUP BY partition) covered
              CROSS JOIN unnest(tstzmultirange(range_merge(stored)) - stored) gap
              ORDER BY partition, gap) AS gaps,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('day', day, 'missing_count', missing_count) ORDER BY day), '[]')
          FROM ops.daily_checks d WHERE d.source = f.source AND d.status = 'incomplete') AS incomplete_days
  FROM bi.freshness f
  JOIN ops.sources s USING (source)
  LEFT JOIN ops.rate_limits r USING (source)
  LEFT JOIN (SELECT source, sum(calls) AS calls FROM warehouse.stream_rollup_daily WHERE partition = ''
              GROUP BY source) stored USING (source)
 ORDER BY f.source

-- name: source_metrics
-- One row per source for Prometheus; calls are counted by the rollup, for to count ten million takes longer than a scrape.
SELECT f.source, f.newest_call_at, f.last_success_at, f.completeness, f.open_calls, f.quarantined,
       s.next_run_at, s.paused_until > :now AS is_paused, coalesce(r.blocked_until > :now, false) AS is_backing_off,
       coalesce(extract(epoch FROM r.next_slot_at - :now), 0) AS ahead_seconds,
       r.requests_per_minute, r.adaptive_rate_per_minute, r.adapted_at,
       coalesce(stored.calls, 0) AS calls,
       (SELECT count(*) FROM ops.schema_drift d WHERE d.source = f.source) AS drift,
       (SELECT extract(epoch FROM finished_at - started_at) FROM ops.runs r
         WHERE r.source = f.source AND kind = 'sync' AND finished_at IS NOT NULL
         ORDER BY run_id DESC LIMIT 1) AS run_seconds,
       (SELECT status FROM ops.runs r WHERE r.source = f.source ORDER BY run_id DESC LIMIT 1) AS last_status
  FROM bi.freshness f
  JOIN ops.sources s USING (source)
  LEFT JOIN ops.rate_limits r USING (source)
  LEFT JOIN (SELECT source, sum(calls) AS calls FROM warehouse.stream_rollup_daily WHERE partition = ''
              GROUP BY source) stored USING (source)
 WHERE f.source = ANY(:sources)
 ORDER BY f.source

-- name: demo_sources
-- What the demo loaded, by source.
SELECT f.source, f.newest_call_at, f.completeness, f.quarantined, coalesce(m.calls, 0) AS calls,
       coalesce(m.answered, 0) AS answered, coalesce(m.minutes, 0) AS minutes, m.cost, m.cost_unit,
       coalesce(t.turns, 0) AS turns
  FROM bi.freshness f
  LEFT JOIN (SELECT source, sum(calls) AS calls, sum(answered) AS answered, sum(minutes) AS minutes,
                    sum(cost) AS cost, max(cost_unit) AS cost_unit
               FROM bi.daily_call_metrics GROUP BY source) m USING (source)
  LEFT JOIN (SELECT source, count(*) AS turns FROM bi.transcript_turns GROUP BY source) t USING (source)
 ORDER BY f.source

-- name: flag_counts
-- The most frequent data-quality flags, and the sources that have them.
SELECT flag, string_agg(DISTINCT source, ', ' ORDER BY source) AS sources, count(*) AS calls
  FROM bi.calls CROSS JOIN LATERAL unnest(quality_flags) flag
 GROUP BY flag ORDER BY calls DESC, flag LIMIT 6
