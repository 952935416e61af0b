-- The sync state of a source on the daemon's page.

-- name: last_runs
-- The newest runs of each of these sources, oldest first.
SELECT s.source, r.*
  FROM ops.sources s
 CROSS JOIN LATERAL (SELECT run_id, kind, status, started_at, finished_at, requests, received, inserted, updated,
                            unchanged, quarantined, error, notes
                       FROM ops.runs WHERE source = s.source
                      ORDER BY run_id DESC LIMIT :limit) r
 WHERE s.source = ANY(:sources)
 ORDER BY s.source, r.run_id

-- name: streams
-- The call lists of a source, with the counts of both sides.
SELECT partition, sort_order, remote_count, local_count, completeness, reason, checked_at, full_scan_at, remote_oldest_at
  FROM ops.streams WHERE source = :source ORDER BY partition LIMIT 200

-- name: first_call_at
-- When the oldest stored call of a source was created.
SELECT min(created_at) FROM warehouse.calls WHERE source = :source

-- name: drift
-- The unknown fields and values of a source, the last received first.
SELECT field, kind, detail, record_count, first_seen_at, last_seen_at
  FROM ops.schema_drift WHERE source = :source ORDER BY last_seen_at DESC, field LIMIT 50

-- name: quarantine_reasons
-- Why records of a source could not be loaded, the most frequent reason first.
SELECT reason, count(*) AS records, min(first_seen_at) AS first_seen_at, max(last_seen_at) AS last_seen_at
  FROM ops.quarantine WHERE source = :source AND resolved_at IS NULL AND dismissed_at IS NULL
 GROUP BY reason ORDER BY records DESC, reason LIMIT 20

-- name: quarantined
-- The quarantined records of a source, the last received first.
SELECT quarantine_id, reason, provider_call_id, first_seen_at, last_seen_at
  FROM ops.quarantine WHERE source = :source AND resolved_at IS NULL AND dismissed_at IS NULL
 ORDER BY last_seen_at DESC, quarantine_id DESC LIMIT 20

-- name: quarantined_record
-- One quarantined record with the first 64 KiB of its bytes.
SELECT quarantine_id, source, reason, provider_call_id, first_seen_at, last_seen_at, resolved_at,
       length(payload) AS bytes, substring(payload FOR 65536) AS payload
  FROM ops.quarantine WHERE quarantine_id = :number
