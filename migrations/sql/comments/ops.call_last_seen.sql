COMMENT ON TABLE ops.call_last_seen IS
    'When calls that were stored already were last received again. A call received once has no row';
COMMENT ON COLUMN ops.call_last_seen.call_key IS 'Key of the call, as in warehouse.calls';
COMMENT ON COLUMN ops.call_last_seen.seen_at IS 'When the provider last listed it again';
COMMENT ON COLUMN ops.call_last_seen.run_id IS 'The run in ops.runs that received it';
COMMENT ON COLUMN ops.call_last_seen.seal IS
    'A hash of the bytes received then and of what they were read as: the same bytes need not be read again';
