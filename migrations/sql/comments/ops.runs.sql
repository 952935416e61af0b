COMMENT ON TABLE ops.runs IS 'One row per run of a source';
COMMENT ON COLUMN ops.runs.run_id IS 'Number of the run';
COMMENT ON COLUMN ops.runs.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN ops.runs.kind IS 'What the run did: sync, backfill, verify or replay';
COMMENT ON COLUMN ops.runs.status IS
    'running, succeeded, failed, or interrupted (stopped, or its process ended); see error';
COMMENT ON COLUMN ops.runs.started_at IS 'When the run started';
COMMENT ON COLUMN ops.runs.finished_at IS 'When the run ended. Null while it is running';
COMMENT ON COLUMN ops.runs.requests IS 'Number of HTTP requests sent';
COMMENT ON COLUMN ops.runs.pages IS 'Number of pages of lists read';
COMMENT ON COLUMN ops.runs.received IS 'Number of records received in committed batches: the sum of the next four';
COMMENT ON COLUMN ops.runs.inserted IS 'Number of records that became new calls';
COMMENT ON COLUMN ops.runs.updated IS 'Number of records that changed a stored call';
COMMENT ON COLUMN ops.runs.unchanged IS 'Number of records that changed nothing';
COMMENT ON COLUMN ops.runs.quarantined IS 'Number of records that could not become calls';
COMMENT ON COLUMN ops.runs.owner IS 'The process of the run, host:pid:random';
COMMENT ON COLUMN ops.runs.backend_pid IS
    'Process id of its database session: a run whose session is gone was interrupted';
COMMENT ON COLUMN ops.runs.backend_started_at IS 'When that session began, as process ids are reused';
COMMENT ON COLUMN ops.runs.error IS
    'Why the run failed, without secrets and personal data. Null unless it failed or was interrupted';
COMMENT ON COLUMN ops.runs.notes IS
    'Remarks of the run, such as rows outside the requested window; empty where there are none';
COMMENT ON COLUMN ops.runs.settings_id IS
    'Settings of the source in this run, a row of ops.settings_versions';
