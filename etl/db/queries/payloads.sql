-- Records as they were received, and the numbers that order them.

-- name: payloads
-- What was received with some responses, in the order of their requests.
SELECT seq, kind, received_at, run_id, call_keys, records_zlib_msgpack FROM raw.payloads WHERE seq = ANY(:seqs) ORDER BY seq

-- name: next_calls
-- The next responses with about a batch of calls, for a replay: each call comes with the first response that has it.
WITH responses AS (
    SELECT seq, call_keys, sum(cardinality(call_keys)) OVER (ORDER BY seq) - cardinality(call_keys) AS before
      FROM (SELECT seq, call_keys FROM raw.payloads
             WHERE source = :source AND kind = 'call' AND seq > :after ORDER BY seq LIMIT :batch) few
)
SELECT seq, c.call_key
  FROM responses CROSS JOIN LATERAL unnest(call_keys) received(call_key)
  LEFT JOIN warehouse.calls c
         ON c.call_key = received.call_key AND coalesce(c.payload_seqs[1], c.latest_request_seq) = seq
 WHERE before < :batch
 ORDER BY seq

-- name: rewrite
-- Replaces what was received with a response.
UPDATE raw.payloads SET call_keys = CAST(:keys AS uuid[]), records_zlib_msgpack = :records WHERE seq = :seq

-- name: delete_payloads
-- Removes some responses.
DELETE FROM raw.payloads WHERE seq = ANY(:seqs)

-- name: next_responses
-- The next responses of a source.
SELECT seq, call_keys, records_zlib_msgpack FROM raw.payloads
 WHERE source = :source AND seq > :after ORDER BY seq LIMIT :batch

-- name: older_than_all
-- A number before that of every request: a record that waited in quarantine overwrites nothing that came meanwhile.
SELECT nextval('ops.request_seq') - :older AS seq
