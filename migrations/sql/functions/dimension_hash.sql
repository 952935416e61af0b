-- Names may be of any length and null: an index on the hash takes both.
CREATE OR REPLACE FUNCTION warehouse.dimension_hash(
    timezone text, agent_id text, agent_name text, agent_version text, campaign_name text, direction text, cost_unit text
) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE
    RETURN substr(sha256(convert_to(ROW($1, $2, $3, $4, $5, $6, $7)::text, 'UTF8')), 1, 16);

COMMENT ON FUNCTION warehouse.dimension_hash(text, text, text, text, text, text, text) IS
    'The key of a row of warehouse.call_dimensions, computed from its other columns';
