-- The stored calls on the daemon's page. Each search reads one slice of time, newest first, before the call (:end, :key).

-- name: call
-- Everything that is known of one call.
SELECT * FROM bi.calls WHERE call_key = :key

-- name: turns
-- The beginning of a call's transcript.
SELECT turn_index, speaker, text, spoken_at, offset_seconds
  FROM bi.transcript_turns WHERE call_key = :key ORDER BY turn_index LIMIT :limit

-- name: costs
-- The components of a call's cost.
SELECT component, amount, unit FROM bi.call_costs WHERE call_key = :key ORDER BY component LIMIT 100

-- name: newest_calls
-- All calls.
SELECT call_key, source, provider_call_id, created_at, direction, outcome, agent_name, customer_number, customer_name,
       duration_seconds, cost, cost_unit, turn_count
  FROM warehouse.calls
 WHERE source = ANY(:sources) AND created_at >= :start AND (created_at, call_key) < (:end, :key)
 ORDER BY created_at DESC, call_key DESC LIMIT :limit

-- name: calls_with_number
-- The calls with exactly this phone number, which an index finds.
SELECT call_key, source, provider_call_id, created_at, direction, outcome, agent_name, customer_number, customer_name,
       duration_seconds, cost, cost_unit, turn_count
  FROM warehouse.calls
 WHERE source = ANY(:sources) AND created_at >= :start AND (created_at, call_key) < (:end, :key)
   AND (customer_number = :number OR agent_number = :number)
 ORDER BY created_at DESC, call_key DESC LIMIT :limit

-- name: calls_with_digits
-- The calls whose phone number contains these digits, or whose id they are.
SELECT call_key, source, provider_call_id, created_at, direction, outcome, agent_name, customer_number, customer_name,
       duration_seconds, cost, cost_unit, turn_count
  FROM warehouse.calls
 WHERE source = ANY(:sources) AND created_at >= :start AND (created_at, call_key) < (:end, :key)
   AND (strpos(customer_number, :digits) > 0 OR strpos(agent_number, :digits) > 0
        OR strpos(from_number, :digits) > 0 OR strpos(to_number, :digits) > 0 OR provider_call_id = :words)
 ORDER BY created_at DESC, call_key DESC LIMIT :limit

-- name: calls_with_words
-- The calls with these words in the transcript, this text in the customer's name or the summary, or this id or key.
SELECT call_key, source, provider_call_id, created_at, direction, outcome, agent_name, customer_number, customer_name,
       duration_seconds, cost, cost_unit, turn_count
  FROM warehouse.calls c
 WHERE source = ANY(:sources) AND created_at >= :start AND (created_at, call_key) < (:end, :key)
   AND (provider_call_id = :words OR CAST(call_key AS text) = :words
        OR strpos(lower(customer_name), lower(:words)) > 0 OR strpos(lower(summary), lower(:words)) > 0
        OR EXISTS (SELECT FROM warehouse.transcripts t
                    WHERE t.call_key = c.call_key
                      AND warehouse.transcript_tsv(t.texts) @@ websearch_to_tsquery('simple', :words)))
 ORDER BY created_at DESC, call_key DESC LIMIT :limit
