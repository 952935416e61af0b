-- The state of each stream of a source: its order, its coverage, and the checkpoints of unfinished scans.

-- name: load_stream
-- All that is stored of a stream, in one row even where nothing is.
SELECT s.sort_order, s.remote_count, s.local_count, s.full_scan_at, s.completeness, s.remote_oldest_at,
       s.surplus_count, s.page_size,
       ARRAY(SELECT ARRAY[starts_at, ends_at] FROM ops.coverage
              WHERE source = :source AND partition = :partition) AS coverage,
       ARRAY(SELECT ARRAY[starts_at, ends_at] FROM ops.checkpoints
              WHERE source = :source AND partition = :partition ORDER BY ends_at DESC, starts_at) AS checkpoints,
       ARRAY(SELECT resume_point FROM ops.checkpoints
              WHERE source = :source AND partition = :partition ORDER BY ends_at DESC, starts_at) AS resume_points
  FROM (SELECT) AS nothing LEFT JOIN ops.streams s ON s.source = :source AND s.partition = :partition

-- name: save_stream
-- Adds a stream, or sets the columns that :changes names.
INSERT INTO ops.streams AS stored
SELECT * FROM jsonb_populate_record(CAST(NULL AS ops.streams), CAST(:new AS jsonb))
    ON CONFLICT (source, partition) DO UPDATE
   SET (sort_order, page_size, remote_count, local_count, completeness, reason, checked_at, full_scan_at,
        remote_oldest_at, surplus_count) =
       (SELECT sort_order, page_size, remote_count, local_count, completeness, reason, checked_at, full_scan_at,
               remote_oldest_at, surplus_count
          FROM jsonb_populate_record(stored, CAST(:changes AS jsonb)))

-- name: save_checkpoint
-- Stores where an unfinished scan of a window goes on.
INSERT INTO ops.checkpoints (source, partition, starts_at, ends_at, resume_point, updated_at)
VALUES (:source, :partition, :start, :end, CAST(:resume_point AS jsonb), :now)
    ON CONFLICT (source, partition, starts_at, ends_at) DO UPDATE
   SET resume_point = excluded.resume_point, updated_at = excluded.updated_at

-- name: delete_checkpoint
-- Removes the checkpoint of a scan that has ended.
DELETE FROM ops.checkpoints
 WHERE source = :source AND partition = :partition AND starts_at = :start AND ends_at = :end

-- name: delete_checkpoints
-- Removes the checkpoints of all unfinished scans of a source.
DELETE FROM ops.checkpoints WHERE source = :source

-- name: coverage
-- The intervals of a source that are complete, by partition.
SELECT partition, starts_at, ends_at FROM ops.coverage
 WHERE source = :source AND (CAST(:partition AS text) IS NULL OR partition = :partition)

-- name: delete_coverage
-- Removes the intervals that begin at these times.
DELETE FROM ops.coverage WHERE source = :source AND partition = :partition AND starts_at = ANY(:starts)

-- name: save_coverage
-- Adds intervals, each in place of one that begins with it.
INSERT INTO ops.coverage (source, partition, starts_at, ends_at)
SELECT :source, :partition, starts_at, ends_at
  FROM unnest(CAST(:starts AS timestamptz[]), CAST(:ends AS timestamptz[])) AS spans (starts_at, ends_at)
    ON CONFLICT (source, partition, starts_at) DO UPDATE SET ends_at = excluded.ends_at

-- name: promote_to_verified
-- Marks the streams of a source whose counts match as verified: every day of them was compared call by call.
UPDATE ops.streams SET completeness = 'verified', reason = NULL WHERE source = :source AND completeness = 'count_match'

-- name: count_stored
-- The number of stored and removed calls of a stream in a span, without delisted ones: whole UTC days from the rollup, the
-- edges of the span from the calls.
WITH edges AS (
    SELECT created_at FROM warehouse.calls
     WHERE source = :source AND delisted_at IS NULL AND warehouse.in_partition(:partition, from_number, to_number)
       AND created_at >= :since AND created_at < :until
     UNION ALL
    SELECT created_at FROM warehouse.calls
     WHERE source = :source AND delisted_at IS NULL AND warehouse.in_partition(:partition, from_number, to_number)
       AND created_at >= :again AND created_at < :before
)
SELECT (SELECT count(*) FROM edges)
     + (SELECT coalesce(sum(calls - delisted_count), 0) FROM warehouse.stream_rollup_daily
         WHERE source = :source AND partition = :partition AND day >= :first AND day < :last)
     + (SELECT count(*) FROM ops.removed_calls
         WHERE source = :source AND delisted_at IS NULL AND (:partition = '' OR :partition = ANY(partitions))
           AND created_at >= :since AND created_at < :before)

-- name: count_open
-- The number of stored and removed calls of a stream since then, and how many of them are not final by their status.
SELECT count(*) + (SELECT count(*) FROM ops.removed_calls
                    WHERE source = :source AND delisted_at IS NULL AND created_at >= :since
                      AND (:partition = '' OR :partition = ANY(partitions))) AS calls,
       count(*) FILTER (WHERE is_final IS NOT TRUE) AS open_calls
  FROM warehouse.calls
 WHERE source = :source AND delisted_at IS NULL AND created_at >= :since
   AND warehouse.in_partition(:partition, from_number, to_number)

-- name: has_rollup
-- Whether the calls of a partition are counted in the rollup: from its first run on.
SELECT EXISTS (SELECT FROM ops.streams WHERE source = :source AND partition = :partition)

-- name: lookbacks
-- When each lookback of a stream was last completed.
SELECT window_seconds, completed_at FROM ops.lookbacks WHERE source = :source AND partition = :partition

-- name: complete_lookbacks
-- Stores that these lookbacks of a stream were completed.
INSERT INTO ops.lookbacks (source, partition, window_seconds, completed_at)
SELECT :source, :partition, unnest(CAST(:windows AS numeric[])), :now
    ON CONFLICT (source, partition, window_seconds) DO UPDATE SET completed_at = excluded.completed_at

-- name: oldest_open_call
-- When the oldest call since then was created that may still change by its status.
SELECT min(created_at) FROM warehouse.calls WHERE source = :source AND is_final IS NOT TRUE AND created_at >= :since
