COMMENT ON TABLE ops.lookbacks IS 'When each lookback of a stream last completed';
COMMENT ON COLUMN ops.lookbacks.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN ops.lookbacks.partition IS
    'Which list of the source: a telephone number for Ravan, empty for providers that have one list';
COMMENT ON COLUMN ops.lookbacks.window_seconds IS 'How far back the lookback reads, in seconds';
COMMENT ON COLUMN ops.lookbacks.completed_at IS 'When the lookback last completed';
