-- Transcripts that take a request of their own.

-- name: due_transcripts
-- The newest calls whose transcript is to be requested: never requested, at any age; requested and not ready, while young
-- enough; refused to the key a day ago, at any age, as the key may be another; none twice in a run.
SELECT c.call_key, c.provider_call_id, c.agent_name, c.created_at, c.started_at, c.ended_at, c.duration_seconds,
       c.duration_basis
  FROM warehouse.calls c
  LEFT JOIN ops.transcript_requests t USING (call_key)
 WHERE c.source = :source AND c.is_final IS NOT FALSE AND c.answered_at IS NOT NULL AND NOT c.has_transcript
   AND warehouse.is_final(c.is_final, c.created_at, :run_began)
   AND (CAST(:kept_since AS timestamptz) IS NULL OR c.created_at >= :kept_since)
   AND (t.call_key IS NULL OR (t.asked_at < :run_began AND c.created_at >= :again_since)
        OR (t.state = 'refused' AND t.asked_at < :run_began - interval '1 day'))
 ORDER BY c.created_at DESC LIMIT :batch

-- name: count_due_transcripts
-- The number of those; it reads all of them, so it is asked once in a run.
SELECT count(*) AS calls
  FROM warehouse.calls c
  LEFT JOIN ops.transcript_requests t USING (call_key)
 WHERE c.source = :source AND c.is_final IS NOT FALSE AND c.answered_at IS NOT NULL AND NOT c.has_transcript
   AND warehouse.is_final(c.is_final, c.created_at, :run_began)
   AND (CAST(:kept_since AS timestamptz) IS NULL OR c.created_at >= :kept_since)
   AND (t.call_key IS NULL OR (t.asked_at < :run_began AND c.created_at >= :again_since)
        OR (t.state = 'refused' AND t.asked_at < :run_began - interval '1 day'))

-- name: record_requests
-- Stores when transcripts were requested, and with what result.
INSERT INTO ops.transcript_requests (call_key, asked_at, attempts, state, reason)
SELECT call_key, :now, 1, state, reason
  FROM unnest(CAST(:keys AS uuid[]), CAST(:states AS text[]), CAST(:reasons AS text[])) t (call_key, state, reason)
    ON CONFLICT (call_key) DO UPDATE
   SET asked_at = excluded.asked_at, attempts = ops.transcript_requests.attempts + 1,
       state = excluded.state, reason = excluded.reason

-- name: forget
-- Deletes what was stored as a transcript and is none, so that it is requested again, however old the call is.
WITH requests AS (DELETE FROM ops.transcript_requests WHERE call_key = ANY(CAST(:keys AS uuid[])))
DELETE FROM warehouse.transcripts WHERE call_key = ANY(CAST(:keys AS uuid[]))

-- name: stored_turns
-- The transcripts of some calls, turn by turn.
SELECT t.call_key, turn.speaker, turn.text, turn.spoken_at, turn.offset_seconds
  FROM warehouse.transcripts t
 CROSS JOIN LATERAL warehouse.transcript_turns(t.speakers, t.texts, t.times) turn
 WHERE call_key = ANY(CAST(:keys AS uuid[])) ORDER BY call_key, turn_index

-- name: miscounted
-- The calls whose row says that a transcript is stored where none is, or none where one is.
SELECT call_key FROM warehouse.calls LEFT JOIN warehouse.transcripts t USING (call_key)
 WHERE source = :source AND has_transcript <> (t.call_key IS NOT NULL)

-- name: recount
-- Lets the rows of those say what is stored; what is not is read again: requested, or written when its call is listed.
WITH wrong AS (
    SELECT call_key, t.speakers FROM warehouse.calls LEFT JOIN warehouse.transcripts t USING (call_key)
     WHERE call_key = ANY(CAST(:keys AS uuid[])) AND has_transcript <> (t.call_key IS NOT NULL)
), requests AS (
    DELETE FROM ops.transcript_requests WHERE call_key IN (SELECT call_key FROM wrong WHERE speakers IS NULL)
)
UPDATE warehouse.calls c
   SET has_transcript = speakers IS NOT NULL, turn_count = coalesce(length(speakers), 0), changed_at = :now,
       transcript_hash = CASE WHEN speakers IS NOT NULL THEN transcript_hash END,
       content_hash = CASE WHEN speakers IS NOT NULL THEN content_hash ELSE '' END
  FROM wrong WHERE c.call_key = wrong.call_key
RETURNING speakers IS NULL AS is_missing
