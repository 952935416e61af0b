-- Who may write a source: one owner at a time, fenced by a token.

-- name: acquire_lease
-- Takes the lease where it is free, owned by a session that has ended, or not renewed since the asker has first seen this
-- renewal, a term ago by its own clock, and nobody of a higher priority waits. Each new owner gets a higher fencing token,
-- and learns whether more people were erased.
UPDATE ops.leases l
   SET fencing_token = fencing_token + 1, owner = :owner, renewal = renewal + 1,
       backend_pid = pg_backend_pid(),
       backend_started_at = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
 WHERE source = :source
   AND (owner IS NULL OR renewal = CAST(:expired AS bigint) OR owner = :owner
        OR NOT EXISTS (SELECT FROM pg_stat_activity a
                        WHERE a.pid = l.backend_pid
                          AND (a.backend_start IS NULL OR a.backend_start = l.backend_started_at)))
   AND NOT EXISTS (SELECT FROM pg_locks k JOIN pg_database d ON d.oid = k.database
                    WHERE d.datname = current_database() AND k.locktype = 'advisory' AND k.objsubid = 2
                      AND k.classid = CAST(hashtext('callhouse.lease.' || :source) AS oid)
                      AND CAST(k.objid AS bigint) < :before)
RETURNING fencing_token, (SELECT count(*) FROM ops.erasures) AS erasures

-- name: renew_lease
-- Keeps the lease for another term.
UPDATE ops.leases SET renewal = renewal + 1 WHERE source = :source AND owner = :owner

-- name: renewal
-- Which renewal of the lease this is, whoever owns it.
SELECT renewal FROM ops.leases WHERE source = :source

-- name: release_lease
-- Gives the lease up between two batches.
UPDATE ops.leases SET owner = NULL WHERE source = :source AND owner = :owner

-- name: release_lease_fenced
-- Gives the lease up with the commit of a batch; changes no row where another process took it over. Until the commit the
-- row is locked, and everybody else sees the old owner.
UPDATE ops.leases SET owner = NULL WHERE source = :source AND owner = :owner AND fencing_token = :fencing_token

-- name: enter_queue
-- Becomes the next of a priority, where nobody is; kept until left or until the session ends.
SELECT true WHERE pg_try_advisory_lock(hashtext('callhouse.lease.' || :source), :priority)

-- name: leave_queue
-- Lets the next of this priority queue up.
SELECT pg_advisory_unlock(hashtext('callhouse.lease.' || :source), :priority)
