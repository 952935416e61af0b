-- The stored calls on the daemon's page. Each list reads one slice of time, newest first, before the call (:end, :key).

-- name: call
-- Everything that is known of one call.
SELECT * FROM bi_pii.calls WHERE call_key = :key

-- name: turns
-- The beginning of a call's transcript.
SELECT turn_index, speaker, text, spoken_at, offset_seconds
  FROM bi_pii.transcript_turns WHERE call_key = :key ORDER BY turn_index LIMIT :limit

-- name: costs
-- The components of a call's cost.
SELECT component, amount, unit FROM bi_pii.call_costs WHERE call_key = :key ORDER BY component LIMIT 100

-- name: agents
-- The names of the agents of these sources.
SELECT DISTINCT agent_name FROM warehouse.call_dimensions
 WHERE source = ANY(:sources) AND agent_name <> '' ORDER BY agent_name LIMIT 500

-- name: matching_calls
-- The calls that pass the filters and match a search: :digits in a phone number, or :words in the transcript, in the
-- customer's or agent's name or the summary, or as the id or key. Both null: all that pass the filters.
SELECT call_key, source, provider_call_id, created_at, direction, outcome, agent_name, customer_number, customer_name,
       duration_seconds, cost, cost_unit, turn_count
  FROM warehouse.calls c
 WHERE source = ANY(:sources) AND created_at >= :start AND (created_at, call_key) < (:end, :key)
   AND (CAST(:agent AS text) IS NULL OR agent_name = :agent) AND (CAST(:outcome AS text) IS NULL OR outcome = :outcome)
   AND (CAST(:direction AS text) IS NULL OR direction = :direction)
   AND (coalesce(CAST(:digits AS text), CAST(:words AS text)) IS NULL
        OR provider_call_id = :id OR CAST(call_key AS text) = :id
        OR strpos(customer_number, :digits) > 0 OR strpos(agent_number, :digits) > 0
        OR strpos(from_number, :digits) > 0 OR strpos(to_number, :digits) > 0
        OR strpos(lower(customer_name), lower(:words)) > 0 OR strpos(lower(agent_name), lower(:words)) > 0
        OR strpos(lower(summary), lower(:words)) > 0
        OR EXISTS (SELECT FROM warehouse.transcripts t
                    WHERE t.call_key = c.call_key
                      AND warehouse.transcript_tsv(t.texts, t.customer_name) @@ websearch_to_tsquery('bi.words', :words)))
 ORDER BY created_at DESC, call_key DESC LIMIT :limit

-- name: calls_with_number
-- The calls with exactly this phone number, which an index finds, that pass the filters.
SELECT call_key, source, provider_call_id, created_at, direction, outcome, agent_name, customer_number, customer_name,
       duration_seconds, cost, cost_unit, turn_count
  FROM warehouse.calls
 WHERE source = ANY(:sources) AND created_at >= :start AND (created_at, call_key) < (:end, :key)
   AND (CAST(:agent AS text) IS NULL OR agent_name = :agent) AND (CAST(:outcome AS text) IS NULL OR outcome = :outcome)
   AND (CAST(:direction AS text) IS NULL OR direction = :direction)
   AND (customer_id = (SELECT warehouse.customer_id(:number, inner_key, outer_key) FROM ops.masking_key)
        OR agent_number = :number)
 ORDER BY created_at DESC, call_key DESC LIMIT :limit

-- name: count_calls
-- How many calls pass the filters, at most :limit.
SELECT count(*) FROM (
    SELECT FROM warehouse.calls
     WHERE source = ANY(:sources) AND created_at >= :start AND created_at < :end
       AND (CAST(:agent AS text) IS NULL OR agent_name = :agent) AND (CAST(:outcome AS text) IS NULL OR outcome = :outcome)
       AND (CAST(:direction AS text) IS NULL OR direction = :direction)
     LIMIT :limit) AS passing

-- name: snippets
-- The summaries of these calls, and the places of their transcripts where the words of a search stand.
SELECT c.call_key, c.summary,
       ts_headline('simple', left(array_to_string(ARRAY(SELECT jsonb_array_elements_text(t.texts)), ' – '), 200000),
                   websearch_to_tsquery('bi.words', :words), :options) AS passage
  FROM warehouse.calls c LEFT JOIN warehouse.transcripts t USING (call_key)
 WHERE c.call_key = ANY(:keys)
