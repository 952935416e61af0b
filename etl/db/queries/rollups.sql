-- The rollups against the calls that they sum: counted from the rows, in slices of days from :first to before :before, and
-- repaired where they differ. A day may be infinity or -infinity.

-- name: lock_rollups
-- Waits for those who write calls of a source, and keeps others from it until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('callhouse.rollup.' || :source, 0))

-- name: slice_start
-- The local day on which a slice of some :calls ends at :before begins; -infinity where no more are left.
SELECT CAST(coalesce((SELECT least((created_at AT TIME ZONE :timezone)::date, CAST(:before AS date) - 1)
                        FROM warehouse.calls
                       WHERE source = :source
                         AND created_at < CAST(CAST(:before AS date) AS timestamp) AT TIME ZONE :timezone
                       ORDER BY created_at DESC OFFSET :calls LIMIT 1), '-infinity') AS text)

-- name: recount_streams
-- Repairs stream_rollup_daily on days in UTC; the days that were wrong.
WITH counted AS (
    SELECT source, partition, (created_at AT TIME ZONE 'UTC')::date AS day, outcome, settings_id, count(*) AS calls,
           count(delisted_at) AS delisted_count, count(*) FILTER (WHERE is_final IS FALSE) AS open_count
      FROM (SELECT CAST(:source AS text) AS source, '' AS partition
             UNION
            SELECT source, partition FROM ops.streams WHERE source = :source) streams
      JOIN warehouse.calls USING (source)
     WHERE warehouse.in_partition(partition, from_number, to_number)
       AND created_at >= CAST(CAST(:first AS date) AS timestamp) AT TIME ZONE 'UTC'
       AND created_at < CAST(CAST(:before AS date) AS timestamp) AT TIME ZONE 'UTC'
     GROUP BY source, partition, 3, outcome, settings_id
), removed AS (
    DELETE FROM warehouse.stream_rollup_daily d
     WHERE source = :source AND day >= :first AND day < :before
       AND NOT EXISTS (SELECT FROM counted c WHERE (c.partition, c.day, c.outcome, c.settings_id)
                                                    = (d.partition, d.day, d.outcome, d.settings_id))
    RETURNING day
), written AS (
    INSERT INTO warehouse.stream_rollup_daily
           (source, partition, day, outcome, settings_id, calls, delisted_count, open_count)
    TABLE counted EXCEPT
    SELECT source, partition, day, outcome, settings_id, calls, delisted_count, open_count
      FROM warehouse.stream_rollup_daily WHERE source = :source AND day >= :first AND day < :before
        ON CONFLICT (source, partition, day, outcome, settings_id) DO UPDATE
       SET calls = excluded.calls, delisted_count = excluded.delisted_count, open_count = excluded.open_count
    RETURNING day
)
SELECT day FROM removed UNION SELECT day FROM written

-- name: add_dimensions
-- Adds the combinations that calls have and call_dimensions does not.
INSERT INTO warehouse.call_dimensions
       (source, timezone, dimension_hash, agent_id, agent_name, agent_version, campaign_name, direction, cost_unit)
SELECT source, :timezone, dimension_hash, agent_id, agent_name, agent_version, campaign_name, direction, cost_unit
  FROM (SELECT *, warehouse.dimension_hash(:timezone, agent_id, agent_name, agent_version, campaign_name, direction,
                                           cost_unit) AS dimension_hash
          FROM (SELECT DISTINCT source, agent_id, agent_name, agent_version, campaign_name, direction, cost_unit
                  FROM warehouse.calls
                 WHERE source = :source
                   AND created_at >= CAST(CAST(:first AS date) AS timestamp) AT TIME ZONE 'UTC' - interval '1 day'
                   AND created_at < CAST(CAST(:before AS date) AS timestamp) AT TIME ZONE 'UTC' + interval '1 day'
                   AND (created_at AT TIME ZONE :timezone)::date >= :first AND (created_at AT TIME ZONE :timezone)::date < :before) names) used
 WHERE NOT EXISTS (SELECT FROM warehouse.call_dimensions d
                    WHERE (d.source, d.dimension_hash) = (used.source, used.dimension_hash))

-- name: recount_calls
-- Repairs call_rollup on local days in :timezone; the days that were wrong.
WITH counted AS (
    SELECT hour, day, dimension_id, calls, answered, human_answered, voicemail, machine_answered, completed, transferred, no_answer,
           busy, failed, canceled, in_progress, calls_with_cost, duration_seconds, answered_seconds, cost, first_call_at,
           last_call_at
      FROM (SELECT coalesce(hour, -1)::smallint AS hour, day, source,
                   warehouse.dimension_hash(:timezone, agent_id, agent_name, agent_version, campaign_name, direction,
                                            cost_unit) AS dimension_hash,
                   count(*) AS calls, count(*) FILTER (WHERE is_answered) AS answered,
                   count(*) FILTER (WHERE warehouse.is_human_answered(is_answered, outcome, answered_by)) AS human_answered,
                   count(*) FILTER (WHERE warehouse.is_voicemail(outcome, answered_by)) AS voicemail,
                   count(*) FILTER (WHERE outcome <> 'voicemail' AND warehouse.is_voicemail(outcome, answered_by))
                       AS machine_answered,
                   count(*) FILTER (WHERE outcome = 'completed') AS completed,
                   count(*) FILTER (WHERE outcome = 'transferred') AS transferred,
                   count(*) FILTER (WHERE outcome = 'no_answer') AS no_answer,
                   count(*) FILTER (WHERE outcome = 'busy') AS busy, count(*) FILTER (WHERE outcome = 'failed') AS failed,
                   count(*) FILTER (WHERE outcome = 'canceled') AS canceled,
                   count(*) FILTER (WHERE outcome = 'in_progress') AS in_progress,
                   count(cost) AS calls_with_cost, coalesce(sum(duration_seconds), 0) AS duration_seconds,
                   coalesce(sum(duration_seconds) FILTER (WHERE is_answered), 0) AS answered_seconds,
                   coalesce(sum(cost), 0) AS cost,
                   min(created_at) AS first_call_at, max(created_at) AS last_call_at
              FROM (SELECT c.*, (created_at AT TIME ZONE :timezone)::date AS day,
                           extract(hour FROM created_at AT TIME ZONE :timezone)::smallint AS hour
                      FROM warehouse.calls c
                     WHERE source = :source
                       AND created_at >= CAST(CAST(:first AS date) AS timestamp) AT TIME ZONE 'UTC' - interval '1 day'
                       AND created_at < CAST(CAST(:before AS date) AS timestamp) AT TIME ZONE 'UTC' + interval '1 day'
                       AND (created_at AT TIME ZONE :timezone)::date >= :first AND (created_at AT TIME ZONE :timezone)::date < :before) dated
             GROUP BY GROUPING SETS ((day, source, agent_id, agent_name, agent_version, campaign_name, direction, cost_unit),
                                     (day, hour, source, agent_id, agent_name, agent_version, campaign_name, direction,
                                      cost_unit))
           ) grouped
      JOIN warehouse.call_dimensions USING (source, dimension_hash)
), stored AS (
    SELECT d.hour, day, dimension_id, calls, answered, human_answered, voicemail, machine_answered, completed, transferred,
           no_answer, busy, failed, canceled, in_progress, calls_with_cost, duration_seconds, answered_seconds, d.cost, first_call_at,
           last_call_at
      FROM generate_series(-1, 23) hours (hour)  -- the first column of the index
      JOIN warehouse.call_rollup d USING (hour)
      JOIN warehouse.call_dimensions USING (dimension_id)
     WHERE source = :source AND timezone = :timezone AND day >= :first AND day < :before
), removed AS (
    DELETE FROM warehouse.call_rollup d
     USING (SELECT hour, day, dimension_id FROM stored EXCEPT SELECT hour, day, dimension_id FROM counted) gone
     WHERE (d.hour, d.day, d.dimension_id) = (gone.hour, gone.day, gone.dimension_id)
    RETURNING d.day
), written AS (
    INSERT INTO warehouse.call_rollup
           (hour, day, dimension_id, calls, answered, human_answered, voicemail, machine_answered, completed, transferred, no_answer,
           busy, failed, canceled, in_progress, calls_with_cost, duration_seconds, answered_seconds, cost, first_call_at,
           last_call_at)
    TABLE counted EXCEPT TABLE stored
        ON CONFLICT (hour, day, dimension_id) DO UPDATE
       SET calls = excluded.calls, answered = excluded.answered, human_answered = excluded.human_answered,
           voicemail = excluded.voicemail, machine_answered = excluded.machine_answered,
           completed = excluded.completed, transferred = excluded.transferred, no_answer = excluded.no_answer,
           busy = excluded.busy, failed = excluded.failed, canceled = excluded.canceled,
           in_progress = excluded.in_progress, calls_with_cost = excluded.calls_with_cost,
           duration_seconds = excluded.duration_seconds, answered_seconds = excluded.answered_seconds,
           cost = excluded.cost, first_call_at = excluded.first_call_at, last_call_at = excluded.last_call_at
    RETURNING day
)
SELECT day FROM removed UNION SELECT day FROM written

-- name: zone_changes
-- The time zone by which the rollups of these sources are being counted, how many calls are, and of how many; no row where
-- none is. The zone is null where rows of the zone before are left to be removed.
SELECT s.source, s.next_report_timezone AS timezone, coalesce(sum(d.calls), 0)::bigint AS calls,
       coalesce(sum(d.calls) FILTER (WHERE d.day >= s.next_counted_from), 0)::bigint AS counted
  FROM ops.sources s
  LEFT JOIN warehouse.stream_rollup_daily d ON (d.source, d.partition) = (s.source, '')
 WHERE s.source = ANY(:sources)
   AND (s.next_report_timezone IS NOT NULL
        OR EXISTS (SELECT FROM warehouse.call_dimensions old
                    WHERE old.source = s.source
                      AND NOT EXISTS (SELECT FROM warehouse.counted_zones z
                                       WHERE (z.source, z.timezone) = (old.source, old.timezone))))
 GROUP BY s.source

-- name: zones
-- The time zone of a source's rollups, and the next one with the day from which on it is counted.
SELECT report_timezone, next_report_timezone, CAST(next_counted_from AS text) AS next_counted_from
  FROM ops.sources WHERE source = :source

-- name: save_next_zone
-- The next time zone is counted from the day :first on; when that is all, it becomes the time zone of reports.
UPDATE ops.sources
   SET report_timezone = CASE WHEN is_whole THEN next_report_timezone ELSE report_timezone END,
       next_report_timezone = CASE WHEN NOT is_whole THEN next_report_timezone END,
       next_counted_from = CASE WHEN NOT is_whole THEN CAST(:first AS date) END
  FROM (SELECT CAST(:first AS date) = '-infinity' AS is_whole) counted
 WHERE source = :source

-- name: delete_old_zone
-- Removes some :rows of the rollup that nobody counts or shows any more, and with the last its combinations.
WITH old AS (
    SELECT dimension_id FROM warehouse.call_dimensions d
     WHERE source = :source
       AND NOT EXISTS (SELECT FROM warehouse.counted_zones z WHERE (z.source, z.timezone) = (d.source, d.timezone))
), removed AS (
    DELETE FROM warehouse.call_rollup
     WHERE ctid = ANY(ARRAY(SELECT ctid FROM warehouse.call_rollup WHERE dimension_id IN (TABLE old) LIMIT :rows))
    RETURNING dimension_id
)
DELETE FROM warehouse.call_dimensions
 WHERE dimension_id IN (TABLE old) AND (SELECT count(*) FROM removed) < :rows

-- name: delete_orphans
-- Removes what is left of calls whose deletion did not cascade, so that they come back whole.
WITH requests AS (
    DELETE FROM ops.transcript_requests r
     WHERE NOT EXISTS (SELECT FROM warehouse.calls c WHERE c.call_key = r.call_key)
)
DELETE FROM warehouse.transcripts t WHERE NOT EXISTS (SELECT FROM warehouse.calls c WHERE c.call_key = t.call_key)
