CREATE OR REPLACE TRIGGER rollup_insert
    AFTER INSERT ON warehouse.calls REFERENCING NEW TABLE AS new_calls
    FOR EACH STATEMENT EXECUTE FUNCTION warehouse.rollup_calls();

COMMENT ON TRIGGER rollup_insert ON warehouse.calls IS 'Adds new calls to the rollups';
