-- Records that could not become rows.

-- name: put_rejects
-- Stores rejected records; one that is stored already is seen again, and no longer resolved, but stays dismissed.
INSERT INTO ops.quarantine (source, provider_call_id, digest, payload, reason, first_seen_at, last_seen_at, run_id)
SELECT :source, provider_call_id, digest, substring(CAST(:payloads AS bytea) FROM start FOR size), reason, :now, :now,
       CAST(:run_id AS bigint)
  FROM unnest(CAST(:call_ids AS text[]), CAST(:digests AS bytea[]), CAST(:starts AS int[]), CAST(:sizes AS int[]),
              CAST(:reasons AS text[])) AS rejects (provider_call_id, digest, start, size, reason)
    ON CONFLICT (source, digest) DO UPDATE
   SET last_seen_at = excluded.last_seen_at, reason = excluded.reason, resolved_at = NULL

-- name: waiting
-- The records of a source that are open: the calls that they name, and their content by its hash.
SELECT quarantine_id, provider_call_id, digest FROM ops.quarantine WHERE source = :source AND resolved_at IS NULL

-- name: resolve
-- Marks some records as resolved.
UPDATE ops.quarantine SET resolved_at = :now WHERE quarantine_id = ANY(:ids)

-- name: records_without_row
-- The records of a source that wait in place of a call, and their sizes: a bad version of a stored call stands for none.
SELECT quarantine_id, length(payload) AS size_bytes FROM ops.quarantine q
 WHERE source = :source AND resolved_at IS NULL
   AND NOT EXISTS (SELECT FROM warehouse.calls c
                    WHERE c.source = :source AND c.provider_call_id = q.provider_call_id)

-- name: count_without_row
-- The number of those.
SELECT count(*) FROM ops.quarantine q
 WHERE source = :source AND resolved_at IS NULL
   AND NOT EXISTS (SELECT FROM warehouse.calls c
                    WHERE c.source = :source AND c.provider_call_id = q.provider_call_id)

-- name: quarantined
-- The records of some sources, or of all, newest first; resolved and dismissed ones only where asked for.
SELECT quarantine_id, source, provider_call_id, reason, first_seen_at, last_seen_at, resolved_at, dismissed_at, run_id,
       octet_length(payload) AS size_bytes
  FROM ops.quarantine
 WHERE (CAST(:sources AS text[]) IS NULL OR source = ANY(:sources)) AND (:with_closed OR coalesce(resolved_at, dismissed_at) IS NULL)
 ORDER BY last_seen_at DESC, quarantine_id DESC

-- name: payloads
-- The exact bytes of some records.
SELECT payload FROM ops.quarantine WHERE quarantine_id = ANY(:quarantine_ids)

-- name: quarantined_record
-- One record.
SELECT * FROM ops.quarantine WHERE quarantine_id = :quarantine_id

-- name: rejects_of_calls
-- The records of some calls, resolved ones too.
SELECT quarantine_id, source, provider_call_id, reason, first_seen_at, last_seen_at, resolved_at, run_id
  FROM ops.quarantine
 WHERE (source, provider_call_id) IN (SELECT * FROM unnest(CAST(:sources AS text[]), CAST(:ids AS text[])))
 ORDER BY source, first_seen_at, quarantine_id

-- name: dismiss_records
-- Takes records out of the list, as a person decided.
UPDATE ops.quarantine SET dismissed_at = :now
 WHERE quarantine_id = ANY(:quarantine_ids) AND coalesce(resolved_at, dismissed_at) IS NULL
RETURNING quarantine_id
