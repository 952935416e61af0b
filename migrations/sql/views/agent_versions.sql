CREATE OR REPLACE VIEW bi_pii.agent_versions AS
SELECT source, agent_id, agent_version,
       (array_agg(agent_name ORDER BY last_call_at DESC, agent_name) FILTER (WHERE agent_name IS NOT NULL))[1]
           AS agent_name,
       sum(calls)::bigint AS calls, sum(answered)::bigint AS answered, sum(transferred)::bigint AS transferred,
       sum(duration_seconds) / 60 AS minutes, min(first_call_at) AS first_call_at, max(last_call_at) AS last_call_at
  FROM (SELECT dimension_id, sum(calls) AS calls, sum(answered) AS answered, sum(transferred) AS transferred,
               sum(duration_seconds) AS duration_seconds, min(first_call_at) AS first_call_at,
               max(last_call_at) AS last_call_at
          FROM warehouse.call_rollup
         WHERE hour = -1
         GROUP BY dimension_id) summed
  JOIN warehouse.active_dimensions USING (dimension_id)
 WHERE agent_version IS NOT NULL
 GROUP BY source, agent_id, agent_version;

COMMENT ON VIEW bi_pii.agent_versions IS
    'One row per version of a voice agent that took calls, to compare an agent before and after a change. Ringg only, and only '
    'calls whose record names a version';
COMMENT ON COLUMN bi_pii.agent_versions.agent_version IS 'Version of the voice agent, as sent by Ringg. Never null';
COMMENT ON COLUMN bi_pii.agent_versions.agent_name IS
    'Name of the agent in the newest call of this version that has one. Null where no call names it';
COMMENT ON COLUMN bi_pii.agent_versions.minutes IS
    'Sum of duration_seconds of these calls, in minutes; calls without a duration count as 0. Never null';
