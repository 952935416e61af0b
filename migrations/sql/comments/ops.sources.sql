COMMENT ON TABLE ops.sources IS 'One row per source that was ever configured';
COMMENT ON COLUMN ops.sources.source IS 'Name of the source in the configuration: one account of one provider';
COMMENT ON COLUMN ops.sources.provider IS
    'Provider of the account; a source with another provider or host under this name is refused';
COMMENT ON COLUMN ops.sources.host IS 'Host of the provider''s API';
COMMENT ON COLUMN ops.sources.first_seen_at IS 'When the source was first configured';
COMMENT ON COLUMN ops.sources.settled_after_seconds IS
    'Length of the longest lookback in seconds: a call that is older and final is not read again';
COMMENT ON COLUMN ops.sources.schedule IS 'When the daemon syncs it: a cron expression, or every N minutes';
COMMENT ON COLUMN ops.sources.next_run_at IS 'When the daemon syncs it next. Null where no daemon ever ran';
COMMENT ON COLUMN ops.sources.paused_until IS
    'No request is sent before this time, except one by hand that tests the source. Null or past: not paused';
COMMENT ON COLUMN ops.sources.pause_reason IS 
    'Why it is paused: key_refused, payment_required, access_forbidden or rate_limited. Null: not paused';
COMMENT ON COLUMN ops.sources.timezone IS
    'Time zone in which its times without an offset are read, and by which its coverage is stored';
COMMENT ON COLUMN ops.sources.report_timezone IS 'Time zone of the local times in bi, a name such as Asia/Kolkata';
COMMENT ON COLUMN ops.sources.next_report_timezone IS
    'Time zone by which the metrics are being counted beside report_timezone, and which follows it. Null: no other is configured';
COMMENT ON COLUMN ops.sources.next_counted_from IS
    'Local day in next_report_timezone from which on the metrics are counted by it already. Null: none is being counted';
COMMENT ON COLUMN ops.sources.report_currency IS
    'Currency (ISO 4217) of cost_reporting in bi, to which etl rates converts. Null: none is configured';
COMMENT ON COLUMN ops.sources.business_hours IS
    'Business hours as minutes of the local week, from Monday 00:00. Null: none are configured';
COMMENT ON COLUMN ops.sources.calls_kept_since IS
    'Calls that were created before this time are removed, by keep_calls. Null: all are kept';
COMMENT ON COLUMN ops.sources.raw_kept_since IS
    'Raw payloads that were received before this time are removed, by keep_raw. Null: all are kept';
