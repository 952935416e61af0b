COMMENT ON TABLE ops.checkpoints IS 'One row per unfinished scan of history: the next run resumes it';
COMMENT ON COLUMN ops.checkpoints.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN ops.checkpoints.partition IS
    'Which list of the source: a telephone number for Ravan, empty for providers that have one list';
COMMENT ON COLUMN ops.checkpoints.starts_at IS 'Start of the window (created_at)';
COMMENT ON COLUMN ops.checkpoints.ends_at IS 'End of the window (created_at), fixed when its scan began';
COMMENT ON COLUMN ops.checkpoints.resume_point IS 'Position in the list from which the scan resumes';
COMMENT ON COLUMN ops.checkpoints.updated_at IS 'When the scan last made progress';
