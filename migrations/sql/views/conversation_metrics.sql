-- Turns are counted without reading them; what is read is left out of a query that does not ask for it. Text of ASCII without
-- tabs and line breaks has its words counted in a third of the time.
CREATE OR REPLACE VIEW bi_pii.conversation_metrics AS
SELECT t.call_key, c.source, c.created_at, length(t.speakers) AS turns,
       length(t.speakers) - length(replace(t.speakers, 'a', '')) AS agent_turns,
       length(t.speakers) - length(replace(t.speakers, 'c', '')) AS customer_turns, m.agent_words, m.customer_words,
       round(m.agent_words::numeric / nullif(m.agent_words + m.customer_words, 0), 4) AS agent_talk_share,
       m.first_customer_word_seconds, m.response_gap_p50_seconds, m.response_gap_p95_seconds, m.longest_silence_seconds
  FROM warehouse.transcripts t
  JOIN warehouse.calls c USING (call_key)
  LEFT JOIN LATERAL (
           SELECT coalesce(sum(words) FILTER (WHERE speaker = 'agent'), 0)::integer AS agent_words,
                  coalesce(sum(words) FILTER (WHERE speaker = 'customer'), 0)::integer AS customer_words,
                  min(at) FILTER (WHERE speaker = 'customer') AS first_customer_word_seconds,
                  percentile_cont(0.5) WITHIN GROUP (ORDER BY step)
                      FILTER (WHERE speaker = 'agent' AND speaker_before = 'customer') AS response_gap_p50_seconds,
                  percentile_cont(0.95) WITHIN GROUP (ORDER BY step)
                      FILTER (WHERE speaker = 'agent' AND speaker_before = 'customer') AS response_gap_p95_seconds,
                  max(step) AS longest_silence_seconds
             FROM (SELECT speaker, words, at, lag(speaker) OVER said AS speaker_before, at - lag(at) OVER said AS step
                     FROM warehouse.transcript_turns(t.speakers, t.texts, t.times) turn
                    CROSS JOIN LATERAL (
                              SELECT CASE WHEN turn.text ~ '[^ -~]' THEN regexp_count(turn.text, '[^[:space:]]+')
                                          ELSE cardinality(array_remove(string_to_array(turn.text, ' '), '')) END AS words,
                                     coalesce(turn.offset_seconds, extract(epoch FROM turn.spoken_at - c.created_at)) AS at) said
                   WINDOW said AS (ORDER BY turn_index)) turns) m ON true;

COMMENT ON VIEW bi_pii.conversation_metrics IS
    'One row per call with a transcript: who said how much, and how fast the agent replied. Providers send when a turn starts, '
    'never when it ends; where turns have no times (Ringg often, Autocalls often) the columns in seconds are null';
COMMENT ON COLUMN bi_pii.conversation_metrics.turns IS 'Number of turns, those of the system included. Never null';
COMMENT ON COLUMN bi_pii.conversation_metrics.agent_turns IS 'Number of turns of the voice agent. Never null';
COMMENT ON COLUMN bi_pii.conversation_metrics.customer_turns IS
    'Number of turns of the customer. 0: the customer said nothing, a silent call. Never null';
COMMENT ON COLUMN bi_pii.conversation_metrics.agent_words IS
    'Words of the voice agent, as spaces separate them; languages without spaces have few. Never null';
COMMENT ON COLUMN bi_pii.conversation_metrics.customer_words IS 'The same of the customer. Never null';
COMMENT ON COLUMN bi_pii.conversation_metrics.agent_talk_share IS
    'Share of agent_words in the words of both, 0 to 1. Null where neither said a word';
COMMENT ON COLUMN bi_pii.conversation_metrics.first_customer_word_seconds IS
    'From the start of the call to the customer''s first turn, in seconds. Null where that turn has no time';
COMMENT ON COLUMN bi_pii.conversation_metrics.response_gap_p50_seconds IS
    'Median time from the start of a customer''s turn to the start of the agent''s reply, in seconds: the customer''s own speech '
    'is part of it. Null where turns have no times';
COMMENT ON COLUMN bi_pii.conversation_metrics.response_gap_p95_seconds IS
    'The same that 95 of 100 replies stay below. Null where turns have no times';
COMMENT ON COLUMN bi_pii.conversation_metrics.longest_silence_seconds IS
    'Longest time between the starts of two turns, in seconds. Null where turns have no times';
