COMMENT ON TABLE ops.quarantine IS
    'One row per record that could not become a call. `etl quarantine list` shows them, `etl quarantine retry` tries '
    'again';
COMMENT ON COLUMN ops.quarantine.quarantine_id IS 'Number of the rejected record';
COMMENT ON COLUMN ops.quarantine.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN ops.quarantine.provider_call_id IS 'The provider''s id of the call. Null where none could be read';
COMMENT ON COLUMN ops.quarantine.digest IS 'Hash of payload: a record is kept once';
COMMENT ON COLUMN ops.quarantine.reason IS 'Why the record could not become a call';
COMMENT ON COLUMN ops.quarantine.payload IS 'The record, its exact bytes as received';
COMMENT ON COLUMN ops.quarantine.first_seen_at IS 'When the record was first received';
COMMENT ON COLUMN ops.quarantine.last_seen_at IS 'When the record was last received';
COMMENT ON COLUMN ops.quarantine.resolved_at IS 'When the record became a call after all. Null until then';
COMMENT ON COLUMN ops.quarantine.dismissed_at IS
    'When a person decided by `etl quarantine dismiss` that the record is not needed. Null for all others';
COMMENT ON COLUMN ops.quarantine.run_id IS 'The run in ops.runs that received it first';
