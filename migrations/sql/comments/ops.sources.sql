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
