COMMENT ON TABLE warehouse.stream_rollup_daily IS
    'Number of calls per day, outcome and settings of each list of a source, kept by triggers on warehouse.calls';
COMMENT ON COLUMN warehouse.stream_rollup_daily.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN warehouse.stream_rollup_daily.partition IS
    'Telephone number whose calls are counted (Ravan); empty: all calls of the source';
COMMENT ON COLUMN warehouse.stream_rollup_daily.day IS 'Day of created_at in UTC';
COMMENT ON COLUMN warehouse.stream_rollup_daily.outcome IS 'Outcome of the calls, as in bi.calls';
COMMENT ON COLUMN warehouse.stream_rollup_daily.settings_id IS
    'Settings under which the calls were read, a row of ops.settings_versions. 0: not known';
COMMENT ON COLUMN warehouse.stream_rollup_daily.calls IS 'Number of calls';
COMMENT ON COLUMN warehouse.stream_rollup_daily.delisted_count IS
    'Number of these calls that the provider no longer lists (delisted_at is not null)';
COMMENT ON COLUMN warehouse.stream_rollup_daily.open_count IS
    'Number of these calls that are not final by their status; an unknown status does not count';
