COMMENT ON TABLE ops.settings_versions IS
    'Settings of each source that decide what is stored of a record, as they were from one change to the next';
COMMENT ON COLUMN ops.settings_versions.settings_id IS 'Number of these settings, as in warehouse.calls and ops.runs';
COMMENT ON COLUMN ops.settings_versions.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN ops.settings_versions.settings IS
    'timezone, region, cost_unit and phones as configured, and the version of the mapping from records to columns';
COMMENT ON COLUMN ops.settings_versions.first_used_at IS 'When the first run with these settings began';
