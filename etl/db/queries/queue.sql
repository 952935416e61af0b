-- The queue of jobs, in procrastinate's tables: what its own interface does not offer.

-- name: defer
-- Adds a job, unless the same one waits, and stores when the daemon plans the next one.
WITH planned AS (
    UPDATE ops.sources SET next_run_at = :next_run_at WHERE source = :source AND next_run_at IS DISTINCT FROM :next_run_at
       AND CAST(:next_run_at AS timestamptz) IS NOT NULL
)
INSERT INTO queue.procrastinate_jobs (queue_name, task_name, priority, lock, queueing_lock, args)
SELECT kind, :task, :priority, source, :job_id, jsonb_build_object('source', source, 'kind', kind)
  FROM (VALUES (CAST(:source AS text), CAST(:kind AS text))) job (source, kind)
    ON CONFLICT DO NOTHING

-- name: waits
-- Whether a job should let others in: another job of its source at once, and after its turn one that waits for a worker.
SELECT EXISTS (SELECT FROM queue.procrastinate_jobs
                WHERE status = 'todo' AND lock = :source AND queue_name <> :kind AND priority >= :priority)
    OR (:had_turn AND EXISTS (
            SELECT FROM queue.procrastinate_jobs j
             WHERE status = 'todo' AND queue_name = :kind
               AND NOT EXISTS (SELECT FROM queue.procrastinate_jobs d WHERE d.status = 'doing' AND d.lock = j.lock)))

-- name: rescue
-- Puts the jobs of workers without a heartbeat back, as new jobs: a worker that was frozen and wakes cannot end them. Ends
-- the sessions of a worker that seems to be alive, whose runs and leases would keep others from the source.
WITH stalled AS (
    DELETE FROM queue.procrastinate_jobs j
     WHERE status = 'doing'
       AND NOT EXISTS (SELECT FROM queue.procrastinate_workers w
                        WHERE w.id = j.worker_id AND w.last_heartbeat > now() - make_interval(secs => :seconds))
    RETURNING queue_name, task_name, priority, lock, queueing_lock, args
), deferred AS (
    INSERT INTO queue.procrastinate_jobs (queue_name, task_name, priority, lock, queueing_lock, args)
    SELECT * FROM stalled
        ON CONFLICT DO NOTHING  -- the same job waits already
), failed AS (
    UPDATE ops.runs r
       SET status = 'failed', finished_at = :now, error = 'its worker stopped responding; another one takes over'
      FROM stalled, pg_stat_activity a
     WHERE r.source = stalled.lock AND r.status = 'running'
       AND a.pid = r.backend_pid AND a.backend_start = r.backend_started_at
       AND a.application_name = left(:prefix || regexp_replace(r.owner, ':[^:]*$', ''), 63)
    RETURNING a.application_name
), ended AS (
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND application_name IN (SELECT application_name FROM failed)
)
SELECT lock AS source, queue_name AS kind, (SELECT count(*) FROM ended) AS sessions FROM stalled
