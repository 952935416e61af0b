-- The rollups against the calls that they sum: counted from the rows, and repaired where they differ.

-- name: lock_rollups
-- Waits for those who write calls of a source, and keeps others from it until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('callhouse.rollup.' || :source, 0))

-- name: recount_streams
-- Repairs stream_rollup_daily; the days that were wrong.
WITH counted AS (
    SELECT source, partition, (created_at AT TIME ZONE 'UTC')::date AS day, outcome, count(*) AS calls,
           count(delisted_at) AS delisted_count, count(*) FILTER (WHERE is_final IS FALSE) AS open_count
      FROM (SELECT CAST(:source AS text) AS source, '' AS partition
             UNION
            SELECT source, partition FROM ops.streams WHERE source = :source) streams
      JOIN warehouse.calls USING (source)
     WHERE warehouse.in_partition(partition, from_number, to_number)
     GROUP BY source, partition, 3, outcome
), removed AS (
    DELETE FROM warehouse.stream_rollup_daily d
     WHERE source = :source
       AND NOT EXISTS (SELECT FROM counted c WHERE (c.partition, c.day, c.outcome) = (d.partition, d.day, d.outcome))
    RETURNING day
), written AS (
    INSERT INTO warehouse.stream_rollup_daily (source, partition, day, outcome, calls, delisted_count, open_count)
    TABLE counted EXCEPT
    SELECT source, partition, day, outcome, calls, delisted_count, open_count
      FROM warehouse.stream_rollup_daily WHERE source = :source
        ON CONFLICT (source, partition, day, outcome) DO UPDATE
       SET calls = excluded.calls, delisted_count = excluded.delisted_count, open_count = excluded.open_count
    RETURNING day
)
SELECT day FROM removed UNION SELECT day FROM written

-- name: add_dimensions
-- Adds the names that calls have and call_dimensions does not.
INSERT INTO warehouse.call_dimensions
       (source, dimension_hash, agent_id, agent_name, agent_version, campaign_name, direction, cost_unit)
SELECT source, dimension_hash, agent_id, agent_name, agent_version, campaign_name, direction, cost_unit
  FROM (SELECT *, warehouse.dimension_hash(agent_id, agent_name, agent_version, campaign_name, direction, cost_unit) AS dimension_hash
          FROM (SELECT DISTINCT source, agent_id, agent_name, agent_version, campaign_name, direction, cost_unit
                  FROM warehouse.calls WHERE source = :source) names) used
 WHERE NOT EXISTS (SELECT FROM warehouse.call_dimensions d
                    WHERE (d.source, d.dimension_hash) = (used.source, used.dimension_hash))

-- name: recount_calls
-- Repairs call_rollup; the local days that were wrong.
WITH counted AS (
    SELECT hour, day, dimension_id, calls, answered, human_answered, voicemail, machine_answered, completed, transferred, no_answer,
           busy, failed, canceled, in_progress, calls_with_cost, duration_seconds, answered_seconds, cost, first_call_at,
           last_call_at
      FROM (SELECT coalesce(hour, -1)::smallint AS hour, day, source,
                   warehouse.dimension_hash(agent_id, agent_name, agent_version, campaign_name, direction, cost_unit) AS dimension_hash,
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
              FROM (SELECT c.*, local_at::date AS day, extract(hour FROM local_at)::smallint AS hour
                      FROM warehouse.calls c
                      LEFT JOIN ops.sources s USING (source)
                     CROSS JOIN LATERAL
                           (SELECT c.created_at AT TIME ZONE coalesce(s.report_timezone, 'UTC') AS local_at) local
                     WHERE c.source = :source) dated
             GROUP BY GROUPING SETS ((day, source, agent_id, agent_name, agent_version, campaign_name, direction, cost_unit),
                                     (day, hour, source, agent_id, agent_name, agent_version, campaign_name, direction, cost_unit))
           ) grouped
      JOIN warehouse.call_dimensions USING (source, dimension_hash)
), stored AS (
    SELECT hour, day, dimension_id, calls, answered, human_answered, voicemail, machine_answered, completed, transferred, no_answer,
           busy, failed, canceled, in_progress, calls_with_cost, duration_seconds, answered_seconds, d.cost, first_call_at,
           last_call_at
      FROM warehouse.call_rollup d JOIN warehouse.call_dimensions USING (dimension_id)
     WHERE source = :source
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

-- name: delete_orphans
-- Removes what is left of calls whose deletion did not cascade, so that they come back whole.
WITH requests AS (
    DELETE FROM ops.transcript_requests r
     WHERE NOT EXISTS (SELECT FROM warehouse.calls c WHERE c.call_key = r.call_key)
)
DELETE FROM warehouse.transcripts t WHERE NOT EXISTS (SELECT FROM warehouse.calls c WHERE c.call_key = t.call_key)
