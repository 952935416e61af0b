-- Each argument stands once in it, so that the planner inlines it; the same as customer_id() in etl/fields/tokens.py.
CREATE OR REPLACE FUNCTION warehouse.customer_id(number text, inner_key bytea, outer_key bytea)
RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
    RETURN substr(encode(sha256($3 || sha256($2 || convert_to($1, 'UTF8'))), 'hex'), 1, 32)::uuid;

COMMENT ON FUNCTION warehouse.customer_id(text, bytea, bytea) IS
    'The token of a customer''s number: the first half of its HMAC-SHA-256 with the key of ops.masking_key';

-- With its owner's rights, because nobody may read the key: for those only who may see numbers anyway. Not in SQL, which
-- would need the table of the key before there is one.
CREATE OR REPLACE FUNCTION bi_pii.customer_id(number text)
RETURNS uuid LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF number ~ '^[[:space:]]*[+]' THEN
        number := regexp_replace(number, '[^+0-9]', '', 'g');
    END IF;
    RETURN (SELECT warehouse.customer_id(number, inner_key, outer_key) FROM ops.masking_key);
END
$$;

REVOKE EXECUTE ON FUNCTION bi_pii.customer_id(text) FROM PUBLIC;

COMMENT ON FUNCTION bi_pii.customer_id(text) IS
    'The customer_id of a telephone number, in E.164 or as the provider sent it: calls are found by it with an index';
