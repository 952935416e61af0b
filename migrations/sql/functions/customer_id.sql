-- Each argument stands once in it, so that the planner inlines it; the same as customer_id() in etl/fields/tokens.py.
CREATE OR REPLACE FUNCTION warehouse.customer_id(number text, inner_key bytea, outer_key bytea)
RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    RETURN substr(encode(sha256($3 || sha256($2 || convert_to($1, 'UTF8'))), 'hex'), 1, 32)::uuid;

COMMENT ON FUNCTION warehouse.customer_id(text, bytea, bytea) IS
    'The token of a customer''s number: the first half of its HMAC-SHA-256 with the key of ops.masking_key';
