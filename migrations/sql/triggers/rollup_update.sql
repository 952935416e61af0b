CREATE OR REPLACE TRIGGER rollup_update
    AFTER UPDATE ON warehouse.calls REFERENCING NEW TABLE AS new_calls OLD TABLE AS old_calls
    FOR EACH STATEMENT EXECUTE FUNCTION warehouse.rollup_calls();

COMMENT ON TRIGGER rollup_update ON warehouse.calls IS 'Adds the difference of changed calls to the rollups';
