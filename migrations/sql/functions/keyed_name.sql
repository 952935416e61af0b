CREATE OR REPLACE FUNCTION warehouse.keyed_name(name text, inner_key bytea, outer_key bytea)
RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
    RETURN warehouse.hmac_token('name', 'name:' || lower(btrim(regexp_replace($1, '\s+', ' ', 'g'))), $2, $3);

COMMENT ON FUNCTION warehouse.keyed_name(text, bytea, bytea) IS 'The token of a name, however its letters and spaces are written';
