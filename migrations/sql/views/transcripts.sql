CREATE OR REPLACE VIEW bi_pii.transcripts AS
SELECT t.call_key, c.source, c.created_at, c.turn_count,
       (SELECT string_agg(turn.speaker || ': ' || warehouse.bare_links(turn.text), E'\n' ORDER BY turn.turn_index)
          FROM warehouse.transcript_turns(t.speakers, t.texts, t.times) turn) AS transcript,
       warehouse.transcript_tsv(t.texts, t.customer_name) AS search_vector
  FROM warehouse.transcripts t
  JOIN warehouse.calls c USING (call_key);

COMMENT ON VIEW bi_pii.transcripts IS
    'One row per call that has a transcript. Search it with search_vector @@ websearch_to_tsquery(''bi.words'', ''refund''), '
    'which uses an index';
COMMENT ON COLUMN bi_pii.transcripts.transcript IS
    'The conversation, one line per turn: speaker, colon, what was said. Never null';
COMMENT ON COLUMN bi_pii.transcripts.search_vector IS
    'The words that were said, in any language, to compare with websearch_to_tsquery(''bi.words'', …); the first 100,000 '
    'characters of the transcript. A phrase in quotes is found within one turn. Never null';
