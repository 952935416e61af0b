COMMENT ON TABLE ops.daily_checks IS
    'One row per day of a source that `etl verify` compared with the provider''s own list';
COMMENT ON COLUMN ops.daily_checks.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN ops.daily_checks.day IS 'The day, in the time zone of the source';
COMMENT ON COLUMN ops.daily_checks.status IS
    'verified (`etl verify` compared every day and found every listed call), count_match (the provider''s total '
    'equals the number of stored calls), incomplete (calls are listed that are not stored) or unknown (the counts '
    'could not be compared, or not yet)';
COMMENT ON COLUMN ops.daily_checks.missing_count IS 'Number of calls that the provider lists and that are not stored';
COMMENT ON COLUMN ops.daily_checks.reason IS
    'What was found, or why the status is not better. Null where there is nothing to say';
COMMENT ON COLUMN ops.daily_checks.checked_at IS 'When the day was last checked';
COMMENT ON COLUMN ops.daily_checks.run_id IS 'The run in ops.runs that checked it';
