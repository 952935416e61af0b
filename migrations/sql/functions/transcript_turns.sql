CREATE OR REPLACE FUNCTION warehouse.transcript_turns(speakers text, texts jsonb, times jsonb)
RETURNS TABLE (turn_index integer, speaker text, text text, spoken_at timestamptz, offset_seconds numeric)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT (position - 1)::integer,
           CASE letter WHEN 'a' THEN 'agent' WHEN 'c' THEN 'customer' WHEN 's' THEN 'system' ELSE 'unknown' END,
           turn.text, (times ->> 0)::timestamptz, (times ->> 1)::numeric
      FROM ROWS FROM (unnest(string_to_array($1, NULL)), jsonb_array_elements_text($2), jsonb_array_elements($3))
           WITH ORDINALITY turn(letter, text, times, position);
END;

COMMENT ON FUNCTION warehouse.transcript_turns(text, jsonb, jsonb) IS
    'The three columns of warehouse.transcripts as one row per turn';
