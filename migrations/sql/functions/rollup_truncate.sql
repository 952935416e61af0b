CREATE OR REPLACE FUNCTION warehouse.rollup_truncate() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    TRUNCATE warehouse.call_dimensions, warehouse.call_rollup, warehouse.stream_rollup_daily;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION warehouse.rollup_truncate() IS 'Empties the rollups together with warehouse.calls';
