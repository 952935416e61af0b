-- The charts of the daemon's page.

-- name: local_today
-- Today in the time zone of reports that most of the sources have.
SELECT (CAST(:now AS timestamptz) AT TIME ZONE coalesce((
           SELECT report_timezone FROM ops.sources
            WHERE CAST(:source AS text) = '' OR source = :source
            GROUP BY report_timezone ORDER BY count(*) DESC, report_timezone LIMIT 1), 'UTC'))::date AS day

-- name: totals_by_day
-- Calls, minutes and cost of each local day by unit of cost, and by source; by provider where more than :most sources had calls.
WITH totals AS (
    SELECT day, source, cost_unit, sum(calls) AS calls, sum(answered) AS answered,
           sum(duration_seconds) / 60 AS minutes, sum(cost) AS cost
      FROM warehouse.call_rollup JOIN warehouse.active_dimensions USING (dimension_id)
     WHERE hour = -1 AND day >= :first AND day <= :last AND (CAST(:source AS text) = '' OR source = :source)
     GROUP BY day, source, cost_unit
), split AS (
    SELECT count(DISTINCT source) <= :most AS are_few FROM totals
)
SELECT day, CASE WHEN are_few THEN source ELSE provider END AS name, are_few, cost_unit, sum(calls) AS calls,
       sum(answered) AS answered, sum(minutes) AS minutes, sum(cost) AS cost
  FROM totals JOIN ops.sources USING (source) CROSS JOIN split
 GROUP BY day, 2, are_few, cost_unit

-- name: outcomes_by_day
-- Calls of each local day by outcome.
SELECT day, o.outcome, o.calls
  FROM (SELECT day, sum(calls) AS calls, sum(completed) AS completed, sum(transferred) AS transferred,
               sum(voicemail) - sum(machine_answered) AS voicemail, sum(no_answer) AS no_answer, sum(busy) AS busy,
               sum(failed) AS failed, sum(canceled) AS canceled, sum(in_progress) AS in_progress
          FROM warehouse.call_rollup JOIN warehouse.active_dimensions USING (dimension_id)
         WHERE hour = -1 AND day >= :first AND day <= :last AND (CAST(:source AS text) = '' OR source = :source)
         GROUP BY day) d
 CROSS JOIN LATERAL (VALUES
       ('completed', completed), ('transferred', transferred), ('voicemail', voicemail), ('no_answer', no_answer),
       ('busy', busy), ('failed', failed), ('canceled', canceled), ('in_progress', in_progress),
       ('unknown', d.calls - completed - transferred - voicemail - no_answer - busy - failed - canceled - in_progress)
       ) o (outcome, calls)
 WHERE o.calls <> 0
