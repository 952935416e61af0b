-- bi.calls and bi_pii.calls at an earlier moment. Plain SQL, which the planner puts in place of the call: conditions on what
-- it returns use the indexes of the calls. What depends on the age of a call is decided at that moment.
DO $$
DECLARE
    public text;
    shown text;
BEGIN
    SELECT string_agg(CASE attname::text WHEN 'is_final' THEN final
                                   WHEN 'settled_at' THEN format('CASE WHEN settled_at <= $1 AND %s THEN settled_at END', final)
                                   ELSE attname::text END, ', ' ORDER BY attnum)
      INTO shown
      FROM pg_attribute,
           (VALUES ('(is_final AND (is_status_known OR created_at < $1 - interval ''24 hours''))')) at_the_time (final)
     WHERE attrelid = 'bi_pii.calls'::regclass AND attnum > 0 AND NOT attisdropped;
    FOREACH public IN ARRAY ARRAY['bi', 'bi_pii'] LOOP
        EXECUTE format(
            'CREATE OR REPLACE FUNCTION %1$I.calls_as_of(moment timestamptz) RETURNS SETOF %1$I.calls '
            'LANGUAGE sql STABLE PARALLEL SAFE '
            'AS %2$L', public,
            format('SELECT %s FROM %I.calls_history WHERE valid_from <= $1 AND $1 < valid_to', shown, public));
        EXECUTE format(
            'COMMENT ON FUNCTION %I.calls_as_of(timestamptz) IS %L', public,
            'The rows of bi.calls as they were at a moment: yesterday''s dashboard again. Calls that were loaded later are left out. '
            'What bi.calls_history says of attempts, settings and rates holds here too; a call that was erased is in no version');
    END LOOP;
END
$$;
