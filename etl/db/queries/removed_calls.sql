-- Calls that are stored no more, and those of erased people that came again: what a proof needs of them, and nothing else.

-- name: erased_tokens
-- The tokens of all erased people.
SELECT token FROM ops.erasures

-- name: add_erasures
-- Erases people from now on, or since the times given; those who are erased already stay so.
INSERT INTO ops.erasures (token, erased_at)
SELECT * FROM unnest(CAST(:tokens AS uuid[]), CAST(:times AS timestamptz[]))
    ON CONFLICT (token) DO NOTHING

-- name: reopen_erasures
-- Removes what is stored of some people once more, whether all was removed before or not.
UPDATE ops.erasures SET completed_at = NULL WHERE token = ANY(CAST(:tokens AS uuid[]))

-- name: erasures
-- All erasures.
SELECT token, erased_at, completed_at, removed FROM ops.erasures ORDER BY erased_at, token

-- name: erasure
-- One erasure.
SELECT completed_at, removed FROM ops.erasures WHERE token = :token

-- name: record_removed
-- Stores what was removed of a source for a person.
UPDATE ops.erasures SET removed = removed || jsonb_build_object(CAST(:source AS text), CAST(:removed AS jsonb))
 WHERE token = :token

-- name: complete_erasures
-- Stores that all that was stored of some people is removed.
UPDATE ops.erasures SET completed_at = :now WHERE token = ANY(CAST(:tokens AS uuid[]))

-- name: is_own_number
-- Whether a number is the organisation's: one of a source's telephone numbers, or more often the agent's than a customer's.
SELECT EXISTS (SELECT FROM ops.streams WHERE partition = ANY(:numbers))
    OR (SELECT count(*) FROM warehouse.calls WHERE agent_number = ANY(:numbers))
       > (SELECT count(*) FROM warehouse.calls WHERE customer_id = ANY(CAST(:tokens AS uuid[]))) AS is_own

-- name: agent_numbers
-- The numbers of agents, with their tokens.
SELECT agent_number, warehouse.customer_id(agent_number, inner_key, outer_key) AS token
  FROM (SELECT DISTINCT agent_number FROM warehouse.calls WHERE agent_number IS NOT NULL) n, ops.masking_key

-- name: calls_of
-- The next stored calls of some people in a source: by the customer, the agent, or either side where that is not known.
SELECT c.call_key, c.created_at, c.delisted_at, c.customer_name, c.customer_email, c.turn_count
  FROM warehouse.calls c
 WHERE c.source = :source
   AND (c.customer_id = ANY(CAST(:tokens AS uuid[])) OR c.agent_number = ANY(:agent_numbers)
        OR (c.customer_id IS NULL
            AND EXISTS (SELECT FROM ops.masking_key k
                         WHERE warehouse.customer_id(c.from_number, k.inner_key, k.outer_key) = ANY(CAST(:tokens AS uuid[]))
                            OR warehouse.customer_id(c.to_number, k.inner_key, k.outer_key) = ANY(CAST(:tokens AS uuid[])))))
 ORDER BY c.created_at LIMIT :batch

-- name: remember
-- Keeps of some stored calls that they were removed.
INSERT INTO ops.removed_calls (call_key, source, created_at, partitions, reason, removed_at, seen_at, delisted_at)
SELECT c.call_key, c.source, c.created_at,
       ARRAY(SELECT partition FROM ops.streams s
              WHERE s.source = c.source AND partition <> '' AND partition IN (c.from_number, c.to_number)),
       :reason, :now, greatest(c.first_seen_at, l.seen_at), c.delisted_at
  FROM warehouse.calls c LEFT JOIN ops.call_last_seen l USING (call_key)
 WHERE c.call_key = ANY(CAST(:keys AS uuid[]))
    ON CONFLICT (call_key) DO UPDATE SET reason = excluded.reason

-- name: refuse
-- Keeps of some received calls that they are not stored.
INSERT INTO ops.removed_calls (call_key, source, created_at, partitions, reason, removed_at, seen_at)
SELECT call_key, :source, created_at, array_remove(ARRAY[one, other], NULL), :reason, :now, :now
  FROM unnest(CAST(:keys AS uuid[]), CAST(:times AS timestamptz[]), CAST(:ones AS text[]), CAST(:others AS text[]))
       AS calls (call_key, created_at, one, other)
    ON CONFLICT (call_key) DO UPDATE SET seen_at = excluded.seen_at, delisted_at = NULL

-- name: see
-- Stores that some of them were received again.
UPDATE ops.removed_calls SET seen_at = :now, delisted_at = NULL WHERE call_key = ANY(CAST(:keys AS uuid[]))

-- name: leave
-- Stores that some of them are no longer listed.
UPDATE ops.removed_calls SET delisted_at = :now WHERE call_key = ANY(CAST(:keys AS uuid[])) AND delisted_at IS NULL

-- name: delete_calls
-- Removes some calls with all that belongs to them; the rollups follow by their triggers.
DELETE FROM warehouse.calls WHERE call_key = ANY(CAST(:keys AS uuid[]))

-- name: count_changes
-- The number of changes that are stored of some calls.
SELECT count(*) FROM warehouse.changes WHERE call_key = ANY(CAST(:keys AS uuid[]))

-- name: delete_rejects_of
-- Removes the quarantined records of some stored calls.
DELETE FROM ops.quarantine q USING warehouse.calls c
 WHERE c.call_key = ANY(CAST(:keys AS uuid[])) AND (q.source, q.provider_call_id) = (c.source, c.provider_call_id)

-- name: rejects
-- The sizes of all quarantined records of a source.
SELECT quarantine_id, octet_length(payload) AS size_bytes FROM ops.quarantine WHERE source = :source ORDER BY 1

-- name: rejects_by_id
-- Some quarantined records.
SELECT quarantine_id, payload FROM ops.quarantine WHERE quarantine_id = ANY(:ids)

-- name: delete_rejects
-- Removes some quarantined records.
DELETE FROM ops.quarantine WHERE quarantine_id = ANY(:ids)

-- name: seqs_of
-- The requests that brought some stored calls.
SELECT DISTINCT unnest(coalesce(payload_seqs, ARRAY[latest_request_seq])) AS seq
  FROM warehouse.calls WHERE call_key = ANY(CAST(:keys AS uuid[]))

-- name: erased_in
-- When the calls of erased people were created that a stream lists, oldest first.
SELECT call_key, created_at FROM ops.removed_calls
 WHERE source = :source AND reason = 'erased' AND delisted_at IS NULL
   AND (:partition = '' OR :partition = ANY(partitions))
 ORDER BY created_at

-- name: removed_keys
-- Which of some calls were removed.
SELECT call_key FROM ops.removed_calls WHERE call_key = ANY(CAST(:keys AS uuid[]))

-- name: texts
-- What of the state of a source is text that came from outside, or may quote it.
SELECT 'drift' AS kind, ctid::text AS id, concat_ws(' ', field, detail) AS text FROM ops.schema_drift WHERE source = :source
 UNION ALL
SELECT 'alert', alert_id::text, message FROM ops.alerts WHERE source = :source
 UNION ALL
SELECT 'run', run_id::text, concat_ws(' ', error, array_to_string(notes, ' ')) FROM ops.runs
 WHERE source = :source AND (error IS NOT NULL OR notes <> '{}')

-- name: delete_drift
-- Removes some unexpected fields and words.
DELETE FROM ops.schema_drift WHERE ctid = ANY(CAST(:ids AS tid[]))

-- name: blank_alerts
-- Removes the texts of some alerts.
UPDATE ops.alerts SET message = '(erased)' WHERE alert_id = ANY(CAST(:ids AS bigint[]))

-- name: blank_runs
-- Removes the texts of some runs.
UPDATE ops.runs SET error = CASE WHEN error IS NOT NULL THEN '(erased)' END,
       notes = CASE WHEN notes = '{}' THEN notes ELSE '{(erased)}' END
 WHERE run_id = ANY(CAST(:ids AS bigint[]))

-- name: raw_kept_since
-- Since when raw payloads of a source are kept, where not all are.
SELECT raw_kept_since FROM ops.sources WHERE source = :source

-- name: next_texts
-- All text of the next calls of a source whose raw payloads are removed.
SELECT c.call_key, concat_ws(' ', to_jsonb(c), t.texts) AS text
  FROM warehouse.calls c LEFT JOIN warehouse.transcripts t USING (call_key)
 WHERE c.source = :source AND c.call_key > :after
   AND NOT EXISTS (SELECT FROM raw.payloads p WHERE p.seq = coalesce(c.payload_seqs[1], c.latest_request_seq))
 ORDER BY c.call_key LIMIT :batch

-- name: calls_for_receipt
-- What a receipt says of some stored calls.
SELECT call_key, created_at, delisted_at, turn_count FROM warehouse.calls WHERE call_key = ANY(CAST(:keys AS uuid[]))

-- name: seqs_with
-- The requests that brought some calls, which may be no rows any more.
SELECT seq FROM raw.payloads WHERE source = :source AND call_keys && CAST(:keys AS uuid[])

-- name: sources
-- Every source that was ever configured, with its provider.
SELECT source, provider FROM ops.sources ORDER BY source

-- name: calls_before
-- The oldest calls of a source that are older than they are kept.
SELECT call_key FROM warehouse.calls WHERE source = :source AND created_at < :since ORDER BY created_at LIMIT :batch

-- name: transcripts_before
-- The oldest transcripts of a source whose calls are older than they are kept.
SELECT call_key FROM warehouse.calls
 WHERE source = :source AND created_at < :since AND has_transcript ORDER BY created_at LIMIT :batch

-- name: forget_transcripts
-- Removes the transcripts of some calls; their hashes stay, so that they are not stored again.
WITH removed AS (DELETE FROM warehouse.transcripts WHERE call_key = ANY(CAST(:keys AS uuid[])))
UPDATE warehouse.calls SET has_transcript = false, turn_count = 0, changed_at = :now
 WHERE call_key = ANY(CAST(:keys AS uuid[])) AND has_transcript

-- name: delete_raw_before
-- Removes the oldest responses of a source that were received before a time.
DELETE FROM raw.payloads
 WHERE seq IN (SELECT seq FROM raw.payloads WHERE source = :source AND received_at < :since ORDER BY seq LIMIT :batch)

-- name: delete_closed_rejects
-- Removes quarantined records that were resolved or dismissed, and not received since a time.
DELETE FROM ops.quarantine
 WHERE source = :source AND coalesce(resolved_at, dismissed_at) IS NOT NULL AND last_seen_at < :since

-- name: keep_again
-- Forgets which calls had expired that would not any more: where they are listed, `etl verify` finds them missing.
DELETE FROM ops.removed_calls
 WHERE source = :source AND reason = 'expired' AND created_at >= coalesce(CAST(:since AS timestamptz), '-infinity')

-- name: set_kept
-- Stores since when calls and raw payloads of a source are kept.
UPDATE ops.sources SET calls_kept_since = :calls, raw_kept_since = :raw
 WHERE source = :source AND (calls_kept_since, raw_kept_since) IS DISTINCT FROM (:calls, :raw)

-- name: count_without_raw
-- The number of calls of a source of whose raw payloads not all are stored.
SELECT count(*) FROM warehouse.calls c
 WHERE source = :source
   AND NOT EXISTS (SELECT FROM raw.payloads p WHERE p.seq = coalesce(c.payload_seqs[1], c.latest_request_seq))
