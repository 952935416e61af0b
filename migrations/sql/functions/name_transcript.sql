CREATE OR REPLACE FUNCTION warehouse.name_transcript() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE warehouse.transcripts t SET customer_name = NEW.customer_name
     WHERE t.call_key = NEW.call_key AND t.customer_name IS DISTINCT FROM NEW.customer_name;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION warehouse.name_transcript() IS 'Stores the new name of a customer beside the transcript of the call';
