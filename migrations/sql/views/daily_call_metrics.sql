CREATE OR REPLACE VIEW bi_pii.daily_call_metrics AS
SELECT day, source, agent_id, agent_name, campaign_name, direction, cost_unit, calls, answered, human_answered, voicemail,
       transferred, no_answer, busy, failed, minutes, answered_minutes, cost, cost_reporting, calls_without_rate,
       report_currency
  FROM warehouse.call_metrics
 WHERE hour = -1;

COMMENT ON VIEW bi_pii.daily_call_metrics IS
    'Counts and sums per local day, source, agent, campaign, direction and unit of cost. Exact at any moment: updated in the '
    'transaction that loads the calls. Where agent_id is null there is one row per agent_name';
