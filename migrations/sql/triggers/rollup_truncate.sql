CREATE OR REPLACE TRIGGER rollup_truncate
    AFTER TRUNCATE ON warehouse.calls
    FOR EACH STATEMENT EXECUTE FUNCTION warehouse.rollup_truncate();

COMMENT ON TRIGGER rollup_truncate ON warehouse.calls IS 'Empties the rollups';
