-- A partition is counted once, when its stream is registered; rollup_calls() keeps it in step from then on.
CREATE OR REPLACE FUNCTION warehouse.rollup_stream() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM ops.streams s WHERE (s.source, s.partition) = (NEW.source, NEW.partition)) THEN
        RETURN NEW;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('callhouse.rollup.' || NEW.source, 0));
    IF EXISTS (SELECT FROM ops.streams s WHERE (s.source, s.partition) = (NEW.source, NEW.partition)) THEN
        RETURN NEW;
    END IF;
    DELETE FROM warehouse.stream_rollup_daily d WHERE (d.source, d.partition) = (NEW.source, NEW.partition);
    INSERT INTO warehouse.stream_rollup_daily
           (source, partition, day, outcome, settings_id, calls, delisted_count, open_count)
    SELECT NEW.source, NEW.partition, (created_at AT TIME ZONE 'UTC')::date, outcome, settings_id, count(*),
           count(delisted_at), count(*) FILTER (WHERE is_final IS FALSE)
      FROM warehouse.calls c
     WHERE c.source = NEW.source AND warehouse.in_partition(NEW.partition, c.from_number, c.to_number)
     GROUP BY 3, outcome, settings_id;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION warehouse.rollup_stream() IS
    'Counts the calls of a partition into stream_rollup_daily when its stream is registered';
