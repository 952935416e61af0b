-- The charts of the daemon's page.

-- name: totals_by_day
-- Calls, minutes and cost of each day by source and unit of cost.
SELECT day, source, cost_unit, sum(calls) AS calls,
       sum(answered) AS answered, sum(duration_seconds) / 60 AS minutes, sum(cost) AS cost
  FROM warehouse.call_rollup_daily JOIN warehouse.call_dimensions USING (dimension_id)
 WHERE day >= :first AND day <= :last AND (CAST(:source AS text) = '' OR source = :source)
 GROUP BY day, source, cost_unit
 LIMIT 100000

-- name: outcomes_by_day
-- Calls of each day by outcome.
SELECT day, outcome, sum(calls) AS calls
  FROM warehouse.stream_rollup_daily
 WHERE day >= :first AND day <= :last AND (CAST(:source AS text) = '' OR source = :source) AND partition = ''
 GROUP BY day, outcome
 LIMIT 100000
