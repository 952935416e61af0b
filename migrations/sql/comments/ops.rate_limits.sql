COMMENT ON TABLE ops.rate_limits IS 'One row per source: its rate limit, shared by all processes';
COMMENT ON COLUMN ops.rate_limits.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN ops.rate_limits.next_slot_at IS 'When the next request would be sent if all were evenly spaced';
COMMENT ON COLUMN ops.rate_limits.blocked_until IS
    'No request before this time, by the provider''s Retry-After. Null: none in force';
COMMENT ON COLUMN ops.rate_limits.blocked_at IS 'When the provider asked for that';
COMMENT ON COLUMN ops.rate_limits.requests_per_minute IS
    'Configured requests per minute, as of the last run. Null before the first run';
COMMENT ON COLUMN ops.rate_limits.adaptive_rate_per_minute IS
    'Lower rate since the provider last answered that requests are too many, from which it recovers with time. Null: '
    'the configured rate';
COMMENT ON COLUMN ops.rate_limits.adapted_at IS 'When the rate was lowered';
COMMENT ON COLUMN ops.rate_limits.adapted_seq IS
    'Request number (ops.request_seq) at that time: refusals of earlier requests do not lower the rate again';
