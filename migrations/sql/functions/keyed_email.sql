CREATE OR REPLACE FUNCTION warehouse.keyed_email(email text, inner_key bytea, outer_key bytea)
RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
    RETURN warehouse.hmac_token('email', 'email:' || lower(btrim($1)), $2, $3);

COMMENT ON FUNCTION warehouse.keyed_email(text, bytea, bytea) IS 'The token of an e-mail address, in capitals or not';
