CREATE OR REPLACE TRIGGER rollup_stream
    BEFORE INSERT OR UPDATE OF source, partition ON ops.streams
    FOR EACH ROW WHEN (NEW.partition <> '') EXECUTE FUNCTION warehouse.rollup_stream();

COMMENT ON TRIGGER rollup_stream ON ops.streams IS 'Counts the calls of a new partition into the rollup';
