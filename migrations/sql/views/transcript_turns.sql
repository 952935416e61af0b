CREATE OR REPLACE VIEW bi_pii.transcript_turns AS
SELECT t.call_key, c.source, turn.turn_index, turn.speaker, warehouse.bare_links(turn.text) AS text, turn.spoken_at, turn.offset_seconds
  FROM warehouse.transcripts t
  JOIN warehouse.calls c USING (call_key)
 CROSS JOIN LATERAL warehouse.transcript_turns(t.speakers, t.texts, t.times) turn;

COMMENT ON VIEW bi_pii.transcript_turns IS 'One row per turn of a transcript: one utterance of one speaker';
COMMENT ON COLUMN bi_pii.transcript_turns.turn_index IS 'Position of the turn in the transcript, from 0. Never null';
COMMENT ON COLUMN bi_pii.transcript_turns.speaker IS
    'Who spoke: agent (the voice agent), customer, system (events, no speech) or unknown. Never null';
COMMENT ON COLUMN bi_pii.transcript_turns.text IS 'What was said, as the provider transcribed it. Never null';
COMMENT ON COLUMN bi_pii.transcript_turns.spoken_at IS
    'When the turn was spoken. Null where the transcript has no times or the time lies outside the call';
COMMENT ON COLUMN bi_pii.transcript_turns.offset_seconds IS
    'How long after the start of the call the turn was spoken, in seconds. Null where the transcript has no such time or '
    'it lies outside the call';
