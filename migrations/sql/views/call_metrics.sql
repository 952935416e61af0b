-- bi.daily_call_metrics and bi.hourly_call_metrics, whose columns inherit the comments here.
CREATE OR REPLACE VIEW warehouse.call_metrics AS
SELECT hour, day, source, agent_id,
       (array_agg(agent_name ORDER BY last_call_at DESC, agent_name) FILTER (WHERE agent_name IS NOT NULL))[1]
           AS agent_name,
       campaign_name, direction, cost_unit, sum(calls)::bigint AS calls, sum(answered)::bigint AS answered,
       sum(human_answered)::bigint AS human_answered, sum(voicemail)::bigint AS voicemail,
       sum(transferred)::bigint AS transferred, sum(no_answer)::bigint AS no_answer, sum(busy)::bigint AS busy,
       sum(failed)::bigint AS failed, sum(duration_seconds) / 60 AS minutes,
       sum(answered_seconds) / 60 AS answered_minutes, CASE WHEN sum(calls_with_cost) > 0 THEN sum(cost) END AS cost,
       CASE WHEN sum(calls_with_cost) FILTER (WHERE rate IS NOT NULL) > 0 THEN sum(cost * rate) END AS cost_reporting,
       coalesce(sum(calls_with_cost) FILTER (WHERE rate IS NULL), 0)::bigint AS calls_without_rate,
       max(report_currency) AS report_currency
  FROM (SELECT *, CASE WHEN cost_unit = report_currency THEN 1
                       ELSE (SELECT rate FROM ops.rates r
                              WHERE r.source = d.source AND r.unit = d.cost_unit AND r.currency = report_currency
                                AND r.valid_from <= day
                              ORDER BY r.valid_from DESC LIMIT 1)
                  END AS rate
          FROM warehouse.call_rollup
          JOIN warehouse.active_dimensions d USING (dimension_id)) priced
 GROUP BY hour, day, source, agent_id, CASE WHEN agent_id IS NULL THEN agent_name END, campaign_name, direction, cost_unit;

COMMENT ON VIEW warehouse.call_metrics IS
    'Counts and sums per local day (hour is -1), and per hour of it, source, agent, campaign, direction and unit of cost; read it '
    'through bi.daily_call_metrics and bi.hourly_call_metrics';
COMMENT ON COLUMN warehouse.call_metrics.day IS
    'Day of created_at in the time zone of reports (report_timezone in etl.toml; UTC by default). Never null';
COMMENT ON COLUMN warehouse.call_metrics.agent_name IS
    'Name of the agent in its newest of these calls that has one. Null where no call names the agent';
COMMENT ON COLUMN warehouse.call_metrics.minutes IS
    'Sum of duration_seconds of these calls, in minutes; calls without a duration count as 0. Never null';
COMMENT ON COLUMN warehouse.call_metrics.answered_minutes IS
    'The same of the answered calls alone: what an answered minute costs is cost / answered_minutes. Never null';
COMMENT ON COLUMN warehouse.call_metrics.cost IS
    'Sum of cost of these calls, in cost_unit. Null where no call has a cost yet';
COMMENT ON COLUMN warehouse.call_metrics.cost_reporting IS
    'Sum of bi.calls.cost_reporting of these calls, in report_currency. Null where none of them can be converted: no cost, no '
    'rate for the day, or no report_currency';
COMMENT ON COLUMN warehouse.call_metrics.calls_without_rate IS
    'Number of these calls that have a cost which is not in cost_reporting, for want of a rate. 0: all of it is. Never null';
COMMENT ON COLUMN warehouse.call_metrics.report_currency IS
    'Currency (ISO 4217) of cost_reporting, the same for all rows. Null where none is configured (report_currency in etl.toml)';
