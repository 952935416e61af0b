CREATE OR REPLACE VIEW bi_pii.campaigns AS
SELECT source, campaign_name, sum(calls)::bigint AS calls, min(first_call_at) AS first_call_at,
       max(last_call_at) AS last_call_at
  FROM warehouse.call_rollup
  JOIN warehouse.active_dimensions USING (dimension_id)
 WHERE hour = -1 AND campaign_name IS NOT NULL
 GROUP BY source, campaign_name;

COMMENT ON VIEW bi_pii.campaigns IS 'One row per source and campaign that has calls. Only Autocalls names campaigns';
COMMENT ON COLUMN bi_pii.campaigns.campaign_name IS 'Name of the campaign. Never null';
