-- Calls that are stored: whether their content is known, when they were last seen, and how many there are.

-- name: stored_versions
-- The content of some calls by its hash, and the seal of the bytes that came last. A delisted call has no hash: when it
-- comes again, its row has to be written. Of a removed call no request brought anything.
SELECT call_key, CASE WHEN delisted_at IS NULL THEN content_hash END AS digest, latest_request_seq,
       coalesce(seal, first_seal) AS seal
  FROM warehouse.calls LEFT JOIN ops.call_last_seen USING (call_key)
 WHERE call_key = ANY(CAST(:keys AS uuid[]))
 UNION ALL
SELECT call_key, NULL, 0, NULL FROM ops.removed_calls WHERE call_key = ANY(CAST(:keys AS uuid[]))

-- name: touch_calls
-- Stores when calls that were stored already came again, and the seal of their bytes.
INSERT INTO ops.call_last_seen (call_key, seen_at, run_id, seal)
SELECT unnest(CAST(:keys AS uuid[])), :now, CAST(:run_id AS bigint), unnest(CAST(:seals AS bigint[]))
    ON CONFLICT (call_key) DO UPDATE SET seen_at = excluded.seen_at, run_id = excluded.run_id, seal = excluded.seal

-- name: mark_delisted
-- Marks the calls of a stream in a window that were neither inserted nor seen since the scan began.
WITH removed AS (
    UPDATE ops.removed_calls SET delisted_at = :now
     WHERE source = :source AND delisted_at IS NULL AND created_at >= :start AND created_at < :end AND seen_at < :began
       AND (:partition = '' OR :partition = ANY(partitions))
), delisted AS (
    UPDATE warehouse.calls c SET delisted_at = :now, changed_at = :now
     WHERE c.source = :source AND c.delisted_at IS NULL AND c.created_at >= :start AND c.created_at < :end
       AND warehouse.in_partition(:partition, c.from_number, c.to_number)
       AND c.first_seen_at < :began
       -- Row by row by the key: no statistics know of this run's rows, and a join that expects none of them compares all with all.
       AND NOT coalesce((SELECT s.seen_at >= :began OR s.run_id = :run_id
                           FROM ops.call_last_seen s WHERE s.call_key = c.call_key), false)
    RETURNING call_key
)
INSERT INTO warehouse.changes (call_key, changed_at, run_id, field, new_value)
SELECT call_key, :now, CAST(:run_id AS bigint), 'delisted_at', :since FROM delisted

-- name: stored_keys
-- Which of some calls are stored, or were and are removed.
SELECT call_key FROM warehouse.calls WHERE call_key = ANY(CAST(:keys AS uuid[]))
 UNION
SELECT call_key FROM ops.removed_calls WHERE call_key = ANY(CAST(:keys AS uuid[]))

-- name: calls_in_span
-- The calls of a stream that were created in a span and are not delisted, removed ones too, oldest first.
SELECT call_key, created_at FROM warehouse.calls
 WHERE source = :source AND delisted_at IS NULL AND warehouse.in_partition(:partition, from_number, to_number)
   AND created_at >= :start AND created_at < :end
 UNION ALL
SELECT call_key, created_at FROM ops.removed_calls
 WHERE source = :source AND delisted_at IS NULL AND (:partition = '' OR :partition = ANY(partitions))
   AND created_at >= :start AND created_at < :end
 ORDER BY created_at

-- name: sample_of_a_year
-- The newest calls of each of the last twelve months of a source.
SELECT call_key
  FROM (SELECT max(created_at) AS newest FROM warehouse.calls WHERE source = :source) source
 CROSS JOIN generate_series(0, 11) month
 CROSS JOIN LATERAL (SELECT call_key FROM warehouse.calls
                      WHERE source = :source AND created_at <= newest - month * interval '30 days'
                        AND created_at > newest - (month + 1) * interval '30 days'
                      ORDER BY created_at DESC LIMIT 20) sample

-- name: oldest_call_at
-- When the oldest call of a stream was created, delisted, removed or not.
SELECT least((SELECT min(created_at) FROM warehouse.calls
               WHERE source = :source AND warehouse.in_partition(:partition, from_number, to_number)),
             (SELECT min(created_at) FROM ops.removed_calls
               WHERE source = :source AND (:partition = '' OR :partition = ANY(partitions))))

-- name: calls_by_key
-- Some calls by their keys.
SELECT call_key, source, provider_call_id FROM warehouse.calls WHERE call_key = ANY(:keys) ORDER BY source

-- name: call_state
-- What `etl why` says of one call; is_final is decided as of :now.
SELECT c.call_key, c.source, c.provider, c.provider_call_id, c.direction, c.outcome, c.created_at, c.ended_at,
       c.answered_at, c.from_number, c.to_number, c.agent_name, c.customer_number, c.customer_name, c.duration_seconds,
       c.summary, c.cost, c.cost_unit, c.costs, c.turn_count, c.has_transcript,
       c.quality_flags, c.first_seen_at, c.changed_at, c.delisted_at,
       warehouse.is_final(c.is_final, c.created_at, :now) AS is_final,
       c.created_at + make_interval(secs => s.settled_after_seconds::double precision) AS settles_at,
       seen.seen_at, seen.run_id AS seen_by, t.state AS transcript, t.asked_at, t.attempts, t.reason
  FROM warehouse.calls c
  JOIN ops.sources s USING (source)
  LEFT JOIN ops.call_last_seen seen USING (call_key)
  LEFT JOIN ops.transcript_requests t USING (call_key)
 WHERE c.call_key = :key

-- name: changes_of_call
-- What changed of one call, oldest first.
SELECT changed_at, run_id, field, warehouse.bare_links(old_value) AS old_value,
       warehouse.bare_links(new_value) AS new_value
  FROM warehouse.changes WHERE call_key = :key ORDER BY change_id

-- name: count_in_spans
-- The number of calls in each of some spans, each of a source, in their order.
SELECT (SELECT count(*) FROM warehouse.calls c
         WHERE c.source = spans.source AND c.created_at >= spans.starts_at AND c.created_at < spans.ends_at) AS calls
  FROM unnest(CAST(:sources AS text[]), CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[])) WITH ORDINALITY
       AS spans (source, starts_at, ends_at, position)
 ORDER BY position

-- name: count_empty
-- The columns that none of a source's final calls since :new has a value in: how many calls it has since and before, and how
-- many of those before have one.
SELECT source, name, count(*) FILTER (WHERE created_at >= :new) AS calls,
       count(*) FILTER (WHERE created_at < :new) AS before,
       count(*) FILTER (WHERE is_filled AND created_at < :new) AS filled_before
  FROM warehouse.calls c,
       LATERAL (VALUES ('agent_id', agent_id IS NOT NULL), ('agent_name', agent_name IS NOT NULL),
                       ('campaign_name', campaign_name IS NOT NULL), ('agent_number', agent_number IS NOT NULL),
                       ('customer_number', customer_number IS NOT NULL),
                       ('duration_seconds', duration_seconds IS NOT NULL), ('cost', cost IS NOT NULL),
                       ('recording_url', recording_url IS NOT NULL), ('summary', summary IS NOT NULL),
                       ('sentiment', sentiment IS NOT NULL), ('analysis', analysis IS NOT NULL),
                       ('transcript', has_transcript)) AS filled (name, is_filled)
 WHERE source = ANY(:sources) AND is_final AND created_at >= :since AND created_at < :until AND name = ANY(:columns)
 GROUP BY source, name HAVING NOT bool_or(is_filled AND created_at >= :new)
