CREATE OR REPLACE FUNCTION warehouse.name_transcript() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE warehouse.transcripts t SET customer_name = concat_ws(' ', NEW.customer_name, t.customer_name)
     WHERE t.call_key = NEW.call_key AND strpos(coalesce(t.customer_name, ''), NEW.customer_name) = 0;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION warehouse.name_transcript() IS 'Adds the new name of a customer to those beside the transcript of the call';
