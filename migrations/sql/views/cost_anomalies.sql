CREATE OR REPLACE VIEW bi_pii.cost_anomalies AS
SELECT day, source, cost_unit, calls, cost, expected_cost, cost / nullif(expected_cost, 0) AS ratio,
       (cost - expected_cost) / nullif(deviation, 0) AS z_score,
       coalesce(days_before >= 7 AND abs(cost - expected_cost) > greatest(3 * deviation, expected_cost / 4), false)
           AS is_anomaly
  FROM (SELECT day, source, cost_unit, calls, cost, avg(cost) OVER before AS expected_cost,
               stddev_samp(cost) OVER before AS deviation, count(*) OVER before AS days_before
          FROM (SELECT day, source, cost_unit, sum(calls)::bigint AS calls, sum(cost) AS cost
                  FROM warehouse.call_rollup
                  JOIN warehouse.active_dimensions USING (dimension_id)
                 WHERE hour = -1
                 GROUP BY day, source, cost_unit
                HAVING sum(calls_with_cost) > 0) days
        WINDOW before AS (PARTITION BY source, cost_unit ORDER BY day
                          RANGE BETWEEN interval '28 days' PRECEDING AND interval '1 day' PRECEDING)) compared;

COMMENT ON VIEW bi_pii.cost_anomalies IS
    'One row per local day, source and unit of cost that has a cost, beside the 28 days before it. The current day is not over '
    'yet, and costs arrive after calls: look at days before yesterday';
COMMENT ON COLUMN bi_pii.cost_anomalies.calls IS 'Number of calls of the day in this unit. Never null';
COMMENT ON COLUMN bi_pii.cost_anomalies.cost IS 'Sum of their cost, in cost_unit. Never null';
COMMENT ON COLUMN bi_pii.cost_anomalies.expected_cost IS
    'Mean cost of those of the 28 days before that had any, in cost_unit. Null where none had';
COMMENT ON COLUMN bi_pii.cost_anomalies.ratio IS 'cost / expected_cost. Null where nothing is expected';
COMMENT ON COLUMN bi_pii.cost_anomalies.z_score IS
    'How many standard deviations of the 28 days before the cost lies above (or, negative, below) expected_cost. Null with fewer '
    'than two such days, or where all cost the same';
COMMENT ON COLUMN bi_pii.cost_anomalies.is_anomaly IS
    'Whether the cost is off by more than three standard deviations and by more than a quarter of expected_cost, where at least '
    'seven of the days before had a cost. Never null';
