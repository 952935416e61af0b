-- Fields, words and types that records had and nobody expected.

-- name: record_drift
-- Counts what a batch brought, but of a source no more new ones than :most in all; returns whether each of it is new.
INSERT INTO ops.schema_drift AS stored (source, field, kind, detail, record_count, first_seen_at, last_seen_at)
SELECT :source, field, kind, detail, record_count, :now, :now
  FROM (SELECT drift.*, known.source, 
               row_number() OVER (PARTITION BY known.source ORDER BY drift.record_count DESC, drift.field) AS number
          FROM unnest(CAST(:fields AS text[]), CAST(:kinds AS text[]), CAST(:details AS text[]), CAST(:counts AS bigint[]))
               AS drift (field, kind, detail, record_count)
          LEFT JOIN ops.schema_drift known
            ON (known.source, known.field, known.kind, known.detail) = (:source, drift.field, drift.kind, drift.detail)) drift
 WHERE source IS NOT NULL OR number <= :most - (SELECT count(*) FROM ops.schema_drift WHERE source = :source)
    ON CONFLICT (source, field, kind, detail) DO UPDATE
   SET record_count = stored.record_count + excluded.record_count, last_seen_at = excluded.last_seen_at
RETURNING field, kind, detail, xmax = 0 AS is_new

-- name: most_frequent_drift
-- What most records had.
SELECT source, field, kind, detail, record_count FROM ops.schema_drift
 ORDER BY record_count DESC, source, field LIMIT 5
