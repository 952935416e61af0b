CREATE OR REPLACE TRIGGER rollup_delete
    AFTER DELETE ON warehouse.calls REFERENCING OLD TABLE AS old_calls
    FOR EACH STATEMENT EXECUTE FUNCTION warehouse.rollup_calls();

COMMENT ON TRIGGER rollup_delete ON warehouse.calls IS 'Subtracts deleted calls from the rollups';
