-- The session of a run, by which other processes see that it is alive.

-- name: set_state_session
-- Sets up a session for state: commits do not wait for the disk, and rows are found by key, and in its order, whatever the
-- statistics say: of a table that has just been filled there are none.
SELECT set_config('synchronous_commit', 'off', false) AS commits, set_config('enable_seqscan', 'off', false) AS scans,
       set_config('enable_sort', 'off', false) AS sorts

-- name: ping
-- Whether the session is alive.
SELECT

-- name: move_run
-- Moves a run, with the lease it may have, from a session that has ended to this one. A run that another process took for
-- dead lives again; one that was ended on purpose is moved nowhere.
WITH new AS (
    SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()
), moved_lease AS (
    UPDATE ops.leases SET backend_pid = new.pid, backend_started_at = new.backend_start FROM new WHERE owner = :owner
)
UPDATE ops.runs r
   SET backend_pid = new.pid, backend_started_at = new.backend_start, status = 'running', finished_at = NULL, error = NULL
  FROM new
 WHERE r.owner = :owner AND r.status IN ('running', 'interrupted')
RETURNING run_id
