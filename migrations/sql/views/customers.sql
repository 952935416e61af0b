-- Over the calls: the index on customer_id finds those of one customer.
CREATE OR REPLACE VIEW bi_pii.customers AS
SELECT customer_id, max(customer_number) AS customer_number, min(created_at) AS first_call_at,
       max(created_at) AS last_call_at, count(*) AS calls, count(*) FILTER (WHERE direction = 'outbound') AS attempts,
       count(*) FILTER (WHERE direction = 'inbound') AS inbound_calls, count(*) FILTER (WHERE is_answered) AS answered,
       count(*) FILTER (WHERE warehouse.is_human_answered(is_answered, outcome, answered_by)) AS human_answered,
       count(*) FILTER (WHERE warehouse.is_voicemail(outcome, answered_by)) AS voicemail,
       coalesce(sum(duration_seconds), 0) / 60 AS minutes,
       count(DISTINCT source || ' ' || coalesce(agent_id, agent_name)) AS agents, count(DISTINCT source) AS sources
  FROM warehouse.calls
  JOIN ops.sources USING (source)
 WHERE customer_id IS NOT NULL
 GROUP BY customer_id;

COMMENT ON VIEW bi_pii.customers IS
    'One row per customer whose number is known, over all sources. Name a customer_id where you can: all customers are summed '
    'from all calls';
COMMENT ON COLUMN bi_pii.customers.customer_id IS
    'The customer: a keyed token of the number, the same over all sources; bi.calls has it too. Never null';
COMMENT ON COLUMN bi_pii.customers.customer_number IS 'The customer''s number. Never null';
COMMENT ON COLUMN bi_pii.customers.first_call_at IS 'created_at of the customer''s first call. Never null';
COMMENT ON COLUMN bi_pii.customers.last_call_at IS 'created_at of the customer''s latest call. Never null';
COMMENT ON COLUMN bi_pii.customers.calls IS 'Number of the customer''s calls, of any direction and outcome. Never null';
COMMENT ON COLUMN bi_pii.customers.attempts IS
    'Number of these calls that were outbound: how often the customer was dialled, answered or not. Never null';
COMMENT ON COLUMN bi_pii.customers.inbound_calls IS 'Number of these calls that the customer made. Never null';
COMMENT ON COLUMN bi_pii.customers.minutes IS
    'Sum of duration_seconds of these calls, in minutes; calls without a duration count as 0. Never null';
COMMENT ON COLUMN bi_pii.customers.agents IS
    'Number of voice agents that the customer''s calls name, by agent_id, or by agent_name where there is none. Never null';
COMMENT ON COLUMN bi_pii.customers.sources IS 'Number of sources that have calls of the customer. Never null';
