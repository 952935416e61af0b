-- open_calls counts the calls whose settled_at in bi.calls is null: all those newer than lookback_start, and those before it
-- that are not final. Whole days come from the rollup; the calls of the day that lookback_start cuts, from indexes.
CREATE OR REPLACE VIEW bi_pii.freshness AS
SELECT s.source, s.provider, newest.newest_call_at, succeeded.last_success_at,
       CASE WHEN covered.complete_since IS NOT NULL THEN greatest(covered.complete_since, s.calls_kept_since) END
           AS complete_since,
       coalesce(checked.completeness, 'unknown') AS completeness,
       coalesce(whole_days.calls, 0) + recent.calls + not_final.calls + unknown_status.calls AS open_calls,
       coalesce(waiting.quarantined, 0) AS quarantined
  FROM ops.sources s
 CROSS JOIN LATERAL (SELECT now() - make_interval(secs => s.settled_after_seconds::double precision) AS lookback_start) l
 CROSS JOIN LATERAL (SELECT date_trunc('day', l.lookback_start, 'UTC') AS starts_at,
                            date_trunc('day', l.lookback_start, 'UTC') + interval '24 hours' AS ends_at) cut
  LEFT JOIN LATERAL (SELECT max(c.created_at) AS newest_call_at FROM warehouse.calls c
                      WHERE c.source = s.source) newest ON true
  -- not lateral: of a thousand sources the rollup is read once, page by page, and not row by row
  LEFT JOIN (SELECT c.source, sum(CASE WHEN d.day > c.day THEN d.calls ELSE d.open_count END)::bigint AS calls
               FROM (SELECT source, ((now() - make_interval(secs => settled_after_seconds::double precision))
                                     AT TIME ZONE 'UTC')::date AS day FROM ops.sources) c
               JOIN warehouse.stream_rollup_daily d ON d.source = c.source AND d.partition = '' AND d.day <> c.day
              GROUP BY c.source) whole_days USING (source)
  LEFT JOIN LATERAL (SELECT count(*) AS calls FROM warehouse.calls c
                      WHERE c.source = s.source AND c.created_at > l.lookback_start
                        AND c.created_at < cut.ends_at) recent ON true
  -- "is_final IS NOT TRUE" is the predicate of the partial index ix_calls_open
  LEFT JOIN LATERAL (SELECT count(*) AS calls FROM warehouse.calls c
                      WHERE c.source = s.source AND c.created_at >= cut.starts_at AND c.created_at <= l.lookback_start
                        AND c.is_final IS NOT TRUE AND NOT warehouse.is_final(c.is_final, c.created_at, now())) not_final
            ON true
  -- with a lookback of less than a day: the rollup's open_count has no calls of unknown status, for they become final alone
  LEFT JOIN LATERAL (SELECT count(*) AS calls FROM warehouse.calls c
                      WHERE c.source = s.source AND c.created_at >= now() - interval '1 day'
                        AND c.created_at < cut.starts_at AND c.is_final IS NOT TRUE AND c.is_final IS NULL
                        AND NOT warehouse.is_final(c.is_final, c.created_at, now())) unknown_status ON true
  LEFT JOIN LATERAL (SELECT max(r.finished_at) AS last_success_at FROM ops.runs r
                      WHERE r.source = s.source AND r.status = 'succeeded' AND r.kind IN ('sync', 'backfill')) succeeded
            ON true
  -- where the newest interval of coverage without a gap begins, of the stream where it begins last
  LEFT JOIN (SELECT source, CASE WHEN bool_and(starts_at IS NOT NULL) THEN max(starts_at) END AS complete_since
               FROM ops.streams
               LEFT JOIN LATERAL (SELECT starts_at FROM ops.coverage c
                                   WHERE (c.source, c.partition) = (streams.source, streams.partition)
                                   ORDER BY ends_at DESC LIMIT 1) latest ON true
              GROUP BY source) covered USING (source)
  -- the least complete of the streams and of the days that are known to be incomplete
  LEFT JOIN (SELECT source,
                    (array_agg(completeness ORDER BY array_position(
                         ARRAY['incomplete', 'unknown', 'count_match', 'verified'], completeness)))[1] AS completeness
               FROM (SELECT source, completeness FROM ops.streams
                      UNION ALL
                     SELECT source, status FROM ops.daily_checks WHERE status = 'incomplete') statuses
              GROUP BY source) checked USING (source)
  LEFT JOIN (SELECT source, count(*) AS quarantined
               FROM ops.quarantine WHERE resolved_at IS NULL AND dismissed_at IS NULL GROUP BY source) waiting USING (source);

COMMENT ON VIEW bi_pii.freshness IS 'One row per source: how recent and how complete its calls are';
COMMENT ON COLUMN bi_pii.freshness.source IS 'Name of the source in the configuration. Never null';
COMMENT ON COLUMN bi_pii.freshness.provider IS 'The provider whose API is read: ringg, ravan, autocalls or vaani. Never null';
COMMENT ON COLUMN bi_pii.freshness.newest_call_at IS 'created_at of the newest stored call. Null where there is no call';
COMMENT ON COLUMN bi_pii.freshness.last_success_at IS
    'When the last successful sync or backfill finished. Null before the first one';
COMMENT ON COLUMN bi_pii.freshness.complete_since IS
    'All calls that the provider lists from this time on, up to the last sync, are stored; not before what keep_calls keeps. '
    'Null while part of the source was never read';
COMMENT ON COLUMN bi_pii.freshness.completeness IS
    'How the stored calls compare with the provider''s list, of the least complete list or day of the source. '
    'verified: `etl verify` compared every day and nothing differs; count_match: the provider''s total equals the '
    'number of stored calls; incomplete: calls are listed that are not stored; unknown: the counts could not be '
    'compared, or not yet. Never null';
COMMENT ON COLUMN bi_pii.freshness.open_calls IS
    'Number of calls that may still change: those without settled_at in bi.calls. Never null';
COMMENT ON COLUMN bi_pii.freshness.quarantined IS
    'Number of records that could not become calls and wait in ops.quarantine, dismissed ones not counted. Never null';
