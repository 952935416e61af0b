-- Keeps the rollups in step with warehouse.calls, in the same transaction, whoever writes: once per statement, for INSERT,
-- UPDATE and DELETE alike. Every new version of a row counts +1 and every old version -1, so a change to columns that no
-- rollup has adds up to zero and writes nothing; where a statement changes no other columns, nothing is summed.
--
-- new_calls and old_calls are the transition tables of the trigger that fired. An INSERT has no old rows and a DELETE no new
-- ones; there, search_path resolves the name to an empty view of warehouse.
CREATE OR REPLACE FUNCTION warehouse.rollup_calls() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, warehouse, pg_temp AS $$
DECLARE
    stale record;
BEGIN
    IF NOT EXISTS (SELECT FROM new_calls UNION ALL SELECT FROM old_calls) THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' AND NOT EXISTS (
        SELECT FROM new_calls n FULL JOIN old_calls o USING (call_key)
         WHERE (n.source, n.created_at, n.agent_id, n.agent_name, n.agent_version, n.campaign_name, n.direction, n.cost_unit,
                n.is_answered, n.outcome, n.answered_by, n.duration_seconds, n.cost,
                n.settings_id, n.delisted_at, n.is_final, n.from_number, n.to_number)
               IS DISTINCT FROM
               (o.source, o.created_at, o.agent_id, o.agent_name, o.agent_version, o.campaign_name, o.direction, o.cost_unit,
                o.is_answered, o.outcome, o.answered_by, o.duration_seconds, o.cost,
                o.settings_id, o.delisted_at, o.is_final, o.from_number, o.to_number)) THEN
        RETURN NULL;
    END IF;
    -- rollup_stream() takes this lock exclusively: its first count of a partition would not see the calls of this transaction
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('callhouse.rollup.' || source, 0))
       FROM (SELECT source FROM new_calls UNION SELECT source FROM old_calls ORDER BY source) sources;

    -- a statement of its own, so that the next one sees dimensions that a concurrent writer inserted first
    INSERT INTO warehouse.call_dimensions
           (source, timezone, dimension_hash, agent_id, agent_name, agent_version, campaign_name, direction, cost_unit)
    SELECT source, timezone, dimension_hash, agent_id, agent_name, agent_version, campaign_name, direction, cost_unit
      FROM (SELECT names.*, zone.timezone,
                   warehouse.dimension_hash(
                       zone.timezone, agent_id, agent_name, agent_version, campaign_name, direction, cost_unit)
              FROM (SELECT source, agent_id, agent_name, agent_version, campaign_name, direction, cost_unit FROM new_calls
                     UNION
                    SELECT source, agent_id, agent_name, agent_version, campaign_name, direction, cost_unit FROM old_calls
                   ) names
              LEFT JOIN warehouse.counted_zones z USING (source)
             CROSS JOIN LATERAL (SELECT coalesce(z.timezone, 'UTC') AS timezone) zone) used
     WHERE NOT EXISTS (SELECT FROM warehouse.call_dimensions d
                        WHERE (d.source, d.dimension_hash) = (used.source, used.dimension_hash))
     ORDER BY source, dimension_hash
        ON CONFLICT (source, dimension_hash) DO NOTHING;

    FOR stale IN
        WITH delta AS MATERIALIZED (
            SELECT hour, day, dimension_id, calls, answered, human_answered, voicemail, machine_answered, completed,
                   transferred, no_answer, busy, failed, canceled, in_progress, duration_seconds, answered_seconds, cost,
                   calls_with_cost, first_new, last_new, first_old, last_old
              FROM (SELECT coalesce(hour, -1) AS hour, day, source,
                           warehouse.dimension_hash(timezone, agent_id, agent_name, agent_version, campaign_name, direction,
                                                    cost_unit) AS dimension_hash,
                           sum(n) AS calls, coalesce(sum(n) FILTER (WHERE is_answered), 0) AS answered,
                           coalesce(sum(n) FILTER (
                               WHERE warehouse.is_human_answered(is_answered, outcome, answered_by)), 0) AS human_answered,
                           coalesce(sum(n) FILTER (WHERE warehouse.is_voicemail(outcome, answered_by)), 0) AS voicemail,
                           coalesce(sum(n) FILTER (
                               WHERE outcome <> 'voicemail' AND warehouse.is_voicemail(outcome, answered_by)), 0)
                               AS machine_answered,
                           coalesce(sum(n) FILTER (WHERE outcome = 'completed'), 0) AS completed,
                           coalesce(sum(n) FILTER (WHERE outcome = 'transferred'), 0) AS transferred,
                           coalesce(sum(n) FILTER (WHERE outcome = 'no_answer'), 0) AS no_answer,
                           coalesce(sum(n) FILTER (WHERE outcome = 'busy'), 0) AS busy,
                           coalesce(sum(n) FILTER (WHERE outcome = 'failed'), 0) AS failed,
                           coalesce(sum(n) FILTER (WHERE outcome = 'canceled'), 0) AS canceled,
                           coalesce(sum(n) FILTER (WHERE outcome = 'in_progress'), 0) AS in_progress,
                           coalesce(sum(n * duration_seconds), 0) AS duration_seconds,
                           coalesce(sum(n * duration_seconds) FILTER (WHERE is_answered), 0) AS answered_seconds,
                           coalesce(sum(n * cost), 0) AS cost,
                           coalesce(sum(n) FILTER (WHERE cost IS NOT NULL), 0) AS calls_with_cost,
                           min(created_at) FILTER (WHERE n > 0) AS first_new,
                           max(created_at) FILTER (WHERE n > 0) AS last_new,
                           min(created_at) FILTER (WHERE n < 0) AS first_old,
                           max(created_at) FILTER (WHERE n < 0) AS last_old
                      FROM (SELECT versions.*, zone.timezone, local_at::date AS day,
                                   extract(hour FROM local_at)::smallint AS hour
                              FROM (SELECT 1 AS n, * FROM new_calls UNION ALL SELECT -1, * FROM old_calls) versions
                              LEFT JOIN warehouse.counted_zones z USING (source)
                             CROSS JOIN LATERAL (SELECT coalesce(z.timezone, 'UTC') AS timezone) zone
                             CROSS JOIN LATERAL (SELECT created_at AT TIME ZONE zone.timezone AS local_at) local
                             WHERE local_at::date >= coalesce(z.counted_from, '-infinity')) dated
                     GROUP BY GROUPING SETS (
                           (day, source, timezone, agent_id, agent_name, agent_version, campaign_name, direction, cost_unit),
                           (day, hour, source, timezone, agent_id, agent_name, agent_version, campaign_name, direction,
                            cost_unit))) grouped
              JOIN warehouse.call_dimensions USING (source, dimension_hash)
        ), written AS (
            INSERT INTO warehouse.call_rollup AS stored
                   (hour, day, dimension_id, calls, answered, human_answered, voicemail, machine_answered, completed,
                    transferred, no_answer, busy, failed, canceled, in_progress, duration_seconds, answered_seconds, cost,
                    calls_with_cost, first_call_at, last_call_at)
            SELECT hour, day, dimension_id, calls, answered, human_answered, voicemail, machine_answered, completed,
                   transferred, no_answer, busy, failed, canceled, in_progress, duration_seconds, answered_seconds, cost,
                   calls_with_cost, coalesce(first_new, 'infinity'), coalesce(last_new, '-infinity')
              FROM delta
             WHERE (calls, answered, human_answered, voicemail, machine_answered, completed, transferred, no_answer, busy,
                    failed, canceled, in_progress, duration_seconds, answered_seconds, cost, calls_with_cost)
                   <> (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
                OR first_new IS DISTINCT FROM first_old OR last_new IS DISTINCT FROM last_old
             ORDER BY hour, day, dimension_id  -- concurrent writers lock rows in the same order
                ON CONFLICT (hour, day, dimension_id) DO UPDATE
               SET calls = stored.calls + excluded.calls, answered = stored.answered + excluded.answered,
                   human_answered = stored.human_answered + excluded.human_answered,
                   voicemail = stored.voicemail + excluded.voicemail,
                   machine_answered = stored.machine_answered + excluded.machine_answered,
                   completed = stored.completed + excluded.completed,
                   transferred = stored.transferred + excluded.transferred,
                   no_answer = stored.no_answer + excluded.no_answer, busy = stored.busy + excluded.busy,
                   failed = stored.failed + excluded.failed, canceled = stored.canceled + excluded.canceled,
                   in_progress = stored.in_progress + excluded.in_progress,
                   duration_seconds = stored.duration_seconds + excluded.duration_seconds,
                   answered_seconds = stored.answered_seconds + excluded.answered_seconds,
                   cost = stored.cost + excluded.cost,
                   calls_with_cost = stored.calls_with_cost + excluded.calls_with_cost,
                   first_call_at = least(stored.first_call_at, excluded.first_call_at),
                   last_call_at = greatest(stored.last_call_at, excluded.last_call_at)
            RETURNING hour, day, dimension_id, calls, first_call_at, last_call_at
        )
        -- rows that have no call left, and those whose first or last call may be one that left
        SELECT hour, day, written.calls, call_dimensions.*
          FROM written
          JOIN delta USING (hour, day, dimension_id)
          JOIN warehouse.call_dimensions USING (dimension_id)
         WHERE written.calls = 0
            OR (first_old <= first_call_at AND first_old < coalesce(first_new, 'infinity'))
            OR (last_old >= last_call_at AND last_old > coalesce(last_new, '-infinity'))
    LOOP
        DELETE FROM warehouse.call_rollup d
         WHERE d.calls = 0 AND d.hour = stale.hour AND d.day = stale.day AND d.dimension_id = stale.dimension_id;
        UPDATE warehouse.call_rollup d
           SET (first_call_at, last_call_at) = (
                   SELECT min(c.created_at), max(c.created_at)
                     FROM warehouse.calls c
                    WHERE c.source = stale.source
                      -- the local day, for the index with room for any zone
                      AND c.created_at >= stale.day::timestamp AT TIME ZONE 'UTC' - interval '1 day'
                      AND c.created_at < stale.day::timestamp AT TIME ZONE 'UTC' + interval '2 days'
                      AND (c.created_at AT TIME ZONE stale.timezone)::date = stale.day
                      AND stale.hour IN (-1, extract(hour FROM c.created_at AT TIME ZONE stale.timezone))
                      AND (c.agent_id, c.agent_name, c.agent_version, c.campaign_name, c.direction, c.cost_unit)
                          IS NOT DISTINCT FROM (stale.agent_id, stale.agent_name, stale.agent_version, stale.campaign_name,
                                                stale.direction, stale.cost_unit))
         WHERE stale.calls <> 0 AND d.hour = stale.hour AND d.day = stale.day AND d.dimension_id = stale.dimension_id;
    END LOOP;

    FOR stale IN
        WITH versions AS (
            SELECT 1 AS n, source, created_at, outcome, settings_id, delisted_at, is_final, from_number, to_number
              FROM new_calls
             UNION ALL
            SELECT -1, source, created_at, outcome, settings_id, delisted_at, is_final, from_number, to_number
              FROM old_calls
        ), written AS (
            INSERT INTO warehouse.stream_rollup_daily AS stored
                   (source, partition, day, outcome, settings_id, calls, delisted_count, open_count)
            SELECT source, partition, (created_at AT TIME ZONE 'UTC')::date AS day, outcome, settings_id, sum(n),
                   coalesce(sum(n) FILTER (WHERE delisted_at IS NOT NULL), 0),
                   coalesce(sum(n) FILTER (WHERE is_final IS FALSE), 0)
              FROM (SELECT n, source, '' AS partition, created_at, outcome, settings_id, delisted_at, is_final
                      FROM versions
                     UNION ALL
                    SELECT n, source, partition, created_at, outcome, settings_id, delisted_at, is_final
                      FROM versions
                      JOIN ops.streams USING (source)
                     WHERE partition <> '' AND warehouse.in_partition(partition, from_number, to_number)) members
             GROUP BY source, partition, 3, outcome, settings_id
            HAVING sum(n) <> 0 OR sum(n) FILTER (WHERE delisted_at IS NOT NULL) <> 0
                OR sum(n) FILTER (WHERE is_final IS FALSE) <> 0
             ORDER BY source, partition, 3, outcome, settings_id
                ON CONFLICT (source, partition, day, outcome, settings_id) DO UPDATE
               SET calls = stored.calls + excluded.calls,
                   delisted_count = stored.delisted_count + excluded.delisted_count,
                   open_count = stored.open_count + excluded.open_count
            RETURNING source, partition, day, outcome, settings_id, calls
        )
        SELECT source, partition, day, outcome, settings_id FROM written WHERE calls = 0
    LOOP
        DELETE FROM warehouse.stream_rollup_daily d
         WHERE (d.source, d.partition, d.day, d.outcome, d.settings_id)
               = (stale.source, stale.partition, stale.day, stale.outcome, stale.settings_id);
    END LOOP;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION warehouse.rollup_calls() IS
    'Adds what a statement changed in warehouse.calls to call_dimensions, call_rollup and stream_rollup_daily';
