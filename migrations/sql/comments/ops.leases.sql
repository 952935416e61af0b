COMMENT ON TABLE ops.leases IS 'One row per source: which process may write its calls at the moment';
COMMENT ON COLUMN ops.leases.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN ops.leases.fencing_token IS
    'Fencing token: increases with every new owner, so that a write of an earlier owner is refused';
COMMENT ON COLUMN ops.leases.owner IS 'The process that owns the lease, host:pid:random. Null: free';
COMMENT ON COLUMN ops.leases.backend_pid IS
    'Process id of the owner''s database session: the lease is free when that session is gone';
COMMENT ON COLUMN ops.leases.backend_started_at IS 'When that session began, as process ids are reused';
COMMENT ON COLUMN ops.leases.renewal IS
    'Counts renewals: an owner that does not renew for three minutes, by the clock of whoever waits, loses the lease';
