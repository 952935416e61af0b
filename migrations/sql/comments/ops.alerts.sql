COMMENT ON TABLE ops.alerts IS
    'One row per problem of a source that needs attention, from when it was found until it was gone';
COMMENT ON COLUMN ops.alerts.alert_id IS 'Number of the alert';
COMMENT ON COLUMN ops.alerts.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN ops.alerts.kind IS
    'failing (runs fail), stale (no recent success), incomplete (calls are missing), credentials (the provider refuses '
    'access: key, rights or balance), quarantine (new rejected records), drift (new schema drift, or a column that is '
    'suddenly empty) or no_calls (none, where there usually are many)';
COMMENT ON COLUMN ops.alerts.message IS 'What is wrong, without secrets and personal data';
COMMENT ON COLUMN ops.alerts.opened_at IS 'When the problem was first found';
COMMENT ON COLUMN ops.alerts.resolved_at IS 'When the problem was gone. Null: the alert is open';
COMMENT ON COLUMN ops.alerts.notified_at IS
    'When the webhook accepted the alert. Null: not yet, or there is no webhook';
COMMENT ON COLUMN ops.alerts.resolution_notified_at IS
    'When the webhook accepted that it is resolved. Null: not yet, or there is no webhook';
COMMENT ON COLUMN ops.alerts.claimed_at IS
    'When a process last began to post it. For a minute from then no other process does';
