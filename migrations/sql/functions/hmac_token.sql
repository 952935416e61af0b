-- Each argument stands once in it, so that the planner inlines it.
CREATE OR REPLACE FUNCTION warehouse.hmac_token(kind text, value text, inner_key bytea, outer_key bytea)
RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
    RETURN $1 || '_' || substr(encode(sha256($4 || sha256($3 || convert_to($2, 'UTF8'))), 'hex'), 1, 16);

COMMENT ON FUNCTION warehouse.hmac_token(text, text, bytea, bytea) IS
    'What stands for a value in bi: a word for its kind, and the first 16 digits of its HMAC-SHA-256 with the key of '
    'ops.masking_key; those of a customer''s number begin customer_id too';
