-- Runs of a source: what was done, when, and how it ended.

-- name: begin_run
-- Adds a run, and marks those whose session has ended as interrupted: nobody else will. Returns its key, how many in a
-- row ended so before they had stored a page, for the page may be why, and whether the run before had other settings.
WITH interrupted AS (
    UPDATE ops.runs r
       SET status = 'interrupted', finished_at = :now, error = 'the process ended before the run did'
     WHERE source = :source AND status = 'running'
       AND NOT EXISTS (SELECT FROM pg_stat_activity a
                        WHERE a.pid = r.backend_pid
                          AND (a.backend_start IS NULL OR a.backend_start = r.backend_started_at))
    RETURNING pages
), known AS (
    SELECT settings_id FROM ops.settings_versions WHERE source = :source AND settings = CAST(:settings AS jsonb)
), added AS (
    INSERT INTO ops.settings_versions (source, settings, first_used_at)
    SELECT :source, CAST(:settings AS jsonb), :now WHERE NOT EXISTS (SELECT FROM known)
        ON CONFLICT (source, settings) DO UPDATE SET source = excluded.source  -- where another process was quicker
    RETURNING settings_id
)
INSERT INTO ops.runs AS run (source, kind, status, started_at, owner, backend_pid, backend_started_at, settings_id)
SELECT :source, :kind, 'running', :now, :owner, pid, backend_start,
       (SELECT settings_id FROM known UNION ALL SELECT settings_id FROM added)
  FROM pg_stat_activity WHERE pid = pg_backend_pid()
RETURNING run_id, (SELECT count(*) FROM interrupted WHERE pages = 0) + (
    SELECT count(*) FROM ops.runs
     WHERE source = :source AND error = 'the process ended before the run did'
       AND started_at > coalesce((SELECT max(started_at) FROM ops.runs
                                   WHERE source = :source AND (pages > 0 OR status IN ('succeeded', 'failed'))),
                                 '-infinity')) AS crashes,
          (SELECT key FROM ops.masking_key) AS masking_key, settings_id,
          coalesce(settings_id <> (SELECT settings_id FROM ops.runs WHERE source = :source ORDER BY run_id DESC LIMIT 1),
                   false) AS is_under_other_settings

-- name: count_batch
-- Adds the counts of a batch, in the transaction of the batch, and returns those of the run.
UPDATE ops.runs
   SET pages = pages + :pages, received = received + :received, inserted = inserted + :inserted,
       updated = updated + :updated, unchanged = unchanged + :unchanged,
       quarantined = quarantined + :quarantined, requests = :requests
 WHERE run_id = :run_id
RETURNING pages, received, inserted, updated, unchanged, quarantined

-- name: end_run
-- Stores how a run ended; one that succeeded ends the pause of its source.
WITH resumed AS (
    UPDATE ops.sources SET paused_until = NULL, pause_reason = NULL
     WHERE source = :source AND :status = 'succeeded' AND paused_until IS NOT NULL
)
UPDATE ops.runs
   SET status = :status, finished_at = :now, requests = :requests, error = :error, notes = :notes
 WHERE run_id = :run_id
RETURNING pages, received, inserted, updated, unchanged, quarantined

-- name: is_done
-- Whether another process is at such a run, by a session that is alive, or such a run succeeded since then. One that began
-- later than now began before a clock was set back, and is ignored.
SELECT EXISTS (
    SELECT FROM ops.runs r
     WHERE source = :source AND kind = :kind AND status = 'running' AND run_id < :before
       AND EXISTS (SELECT FROM pg_stat_activity a
                    WHERE a.pid = r.backend_pid
                      AND (a.backend_start IS NULL OR a.backend_start = r.backend_started_at)))
    OR EXISTS (SELECT FROM ops.runs
                WHERE source = :source AND kind = :kind AND status = 'succeeded' AND run_id < :before
                  AND started_at BETWEEN :since AND :now)

-- name: fail_run
-- Marks a run that hangs as failed.
UPDATE ops.runs SET status = 'failed', finished_at = :now, error = :error
 WHERE run_id = :run_id AND status = 'running'
RETURNING backend_pid, backend_started_at

-- name: end_session
-- Ends the session of a run that hangs, and with it the lease.
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE pid = :backend_pid AND (backend_start IS NULL OR backend_start = :backend_started_at)

-- name: runs_by_id
-- Some runs.
SELECT run_id, kind, status, started_at FROM ops.runs WHERE run_id = ANY(:runs) ORDER BY run_id

-- name: last_run_of_each_source
-- The newest run of each source.
SELECT s.source, r.*
  FROM ops.sources s
 CROSS JOIN LATERAL (SELECT run_id, kind, status, started_at, finished_at, requests, pages, received, inserted, updated,
                            unchanged, quarantined, error, notes
                       FROM ops.runs WHERE source = s.source
                      ORDER BY run_id DESC LIMIT 1) r
