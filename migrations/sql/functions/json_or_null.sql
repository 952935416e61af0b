CREATE OR REPLACE FUNCTION warehouse.json_or_null(written text)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN written::jsonb;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION warehouse.json_or_null(text) IS 'A text as JSON, null where it is none: an error would show a part of it';
