COMMENT ON TABLE ops.schema_drift IS
    'One row per difference between the records that providers send and those that are known. No data is lost: see '
    'extra in bi.calls';
COMMENT ON COLUMN ops.schema_drift.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN ops.schema_drift.field IS 'Path of the field in the provider''s record';
COMMENT ON COLUMN ops.schema_drift.kind IS
    'new_field: the field is not in the provider''s mapping; unknown_word: its value is outside the known vocabulary; '
    'type: its value has another type than expected';
COMMENT ON COLUMN ops.schema_drift.detail IS 'The unknown word, or the JSON type that was received';
COMMENT ON COLUMN ops.schema_drift.record_count IS 'Number of loaded records that had it';
COMMENT ON COLUMN ops.schema_drift.first_seen_at IS 'When it was first received';
COMMENT ON COLUMN ops.schema_drift.last_seen_at IS 'When it was last received';
