-- Summing per dimension first leaves few rows to sort.
CREATE OR REPLACE VIEW bi_pii.agents AS
SELECT source, agent_id,
       (array_agg(agent_name ORDER BY last_call_at DESC, agent_name) FILTER (WHERE agent_name IS NOT NULL))[1]
           AS agent_name,
       (array_agg(agent_version ORDER BY last_call_at DESC, agent_version) FILTER (WHERE agent_version IS NOT NULL))[1]
           AS agent_version,
       count(DISTINCT agent_version) AS versions, sum(calls)::bigint AS calls, min(first_call_at) AS first_call_at,
       max(last_call_at) AS last_call_at
  FROM (SELECT dimension_id, sum(calls) AS calls, min(first_call_at) AS first_call_at, max(last_call_at) AS last_call_at
          FROM warehouse.call_rollup
         WHERE hour = -1
         GROUP BY dimension_id) summed
  JOIN warehouse.active_dimensions USING (dimension_id)
 WHERE agent_id IS NOT NULL OR agent_name IS NOT NULL
 GROUP BY source, agent_id, CASE WHEN agent_id IS NULL THEN agent_name END;

COMMENT ON VIEW bi_pii.agents IS
    'One row per source and voice agent that has calls. Where agent_id is null (Autocalls) there is one row per agent_name';
COMMENT ON COLUMN bi_pii.agents.agent_name IS 'Name of the agent in its newest call that has one. Null where no call names it';
COMMENT ON COLUMN bi_pii.agents.agent_version IS
    'Version of the agent in its newest call that has one (Ringg). Null where no call names a version';
COMMENT ON COLUMN bi_pii.agents.versions IS 'Number of versions that took calls; bi.agent_versions has one row for each. Never null';
