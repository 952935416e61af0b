COMMENT ON TABLE warehouse.transcripts IS
    'One row per call that has a transcript; read it through bi.transcripts and bi.transcript_turns';
COMMENT ON COLUMN warehouse.transcripts.call_key IS 'Key of the call, as in warehouse.calls';
COMMENT ON COLUMN warehouse.transcripts.speakers IS
    'Who spoke, one letter per turn: a agent, c customer, s system, any other unknown';
COMMENT ON COLUMN warehouse.transcripts.texts IS 'What was said, one text per turn';
COMMENT ON COLUMN warehouse.transcripts.times IS
    'When it was said, [spoken_at, offset_seconds] per turn. Null where no turn has a time';
COMMENT ON COLUMN warehouse.transcripts.customer_name IS
    'The customer''s name in warehouse.calls, and those it had before: the search of transcripts leaves them out. Null where none '
    'is known';
