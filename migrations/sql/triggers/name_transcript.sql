CREATE OR REPLACE TRIGGER name_transcript
    AFTER UPDATE OF customer_name ON warehouse.calls
    FOR EACH ROW WHEN (OLD.customer_name IS DISTINCT FROM NEW.customer_name)
    EXECUTE FUNCTION warehouse.name_transcript();

COMMENT ON TRIGGER name_transcript ON warehouse.calls IS 'Keeps the name of the customer out of the search of transcripts';
