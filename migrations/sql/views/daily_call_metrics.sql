CREATE OR REPLACE VIEW bi.daily_call_metrics AS
SELECT day, source, agent_id,
       (array_agg(agent_name ORDER BY last_call_at DESC, agent_name) FILTER (WHERE agent_name IS NOT NULL))[1]
           AS agent_name,
       campaign_name, direction, cost_unit, sum(calls)::bigint AS calls, sum(answered)::bigint AS answered,
       sum(human_answered)::bigint AS human_answered, sum(voicemail)::bigint AS voicemail,
       sum(transferred)::bigint AS transferred, sum(no_answer)::bigint AS no_answer, sum(busy)::bigint AS busy,
       sum(failed)::bigint AS failed, sum(duration_seconds) / 60 AS minutes,
       sum(answered_seconds) / 60 AS answered_minutes, CASE WHEN sum(calls_with_cost) > 0 THEN sum(cost) END AS cost
  FROM warehouse.call_rollup_daily
  JOIN warehouse.call_dimensions USING (dimension_id)
 GROUP BY day, source, agent_id, CASE WHEN agent_id IS NULL THEN agent_name END, campaign_name, direction, cost_unit;

COMMENT ON VIEW bi.daily_call_metrics IS
    'Counts and sums per UTC day, source, agent, campaign, direction and unit of cost. Exact at any moment: updated in the transaction '
    'that loads the calls. Where agent_id is null there is one row per agent_name';
COMMENT ON COLUMN bi.daily_call_metrics.agent_name IS
    'Name of the agent in its newest call of the day that has one. Null where no call names the agent';
COMMENT ON COLUMN bi.daily_call_metrics.minutes IS
    'Sum of duration_seconds of these calls, in minutes; calls without a duration count as 0. Never null';
COMMENT ON COLUMN bi.daily_call_metrics.answered_minutes IS
    'The same of the answered calls alone: what an answered minute costs is cost / answered_minutes. Never null';
COMMENT ON COLUMN bi.daily_call_metrics.cost IS
    'Sum of cost of these calls, in cost_unit. Null where no call has a cost yet';
