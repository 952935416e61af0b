-- When the daemon reads each source next.

-- name: save_next_run
-- Stores when a source is read next.
UPDATE ops.sources SET next_run_at = :next_run_at WHERE source = :source

-- name: clear_next_run
-- Clears it when the daemon stops, unless another daemon has planned a later run meanwhile.
UPDATE ops.sources SET next_run_at = NULL WHERE source = :source AND next_run_at = :next_run_at
