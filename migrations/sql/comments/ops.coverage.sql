COMMENT ON TABLE ops.coverage IS 'Intervals of created_at of which all listed calls are stored';
COMMENT ON COLUMN ops.coverage.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN ops.coverage.partition IS
    'Which list of the source: a telephone number for Ravan, empty for providers that have one list';
COMMENT ON COLUMN ops.coverage.starts_at IS 'Start of the interval (created_at), inclusive';
COMMENT ON COLUMN ops.coverage.ends_at IS
    'End of the interval (created_at), exclusive. The newest one is the watermark';
