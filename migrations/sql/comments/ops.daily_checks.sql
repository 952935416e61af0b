COMMENT ON TABLE ops.daily_checks IS
    'One row per day of a source that `etl verify` compared with the provider''s own list';
COMMENT ON COLUMN ops.daily_checks.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN ops.daily_checks.day IS 'The day, in the time zone of the source';
COMMENT ON COLUMN ops.daily_checks.status IS
    'How the stored calls of the day compare with the provider''s list. verified: the day was counted by itself, or '
    'each of its calls was compared, and nothing differs; count_match: a count over a longer span matches; '
    'incomplete: calls are listed that are not stored, see missing_count; unknown: the day could not be compared, see '
    'reason';
COMMENT ON COLUMN ops.daily_checks.missing_count IS 'Number of calls that the provider lists and that are not stored';
COMMENT ON COLUMN ops.daily_checks.reason IS
    'What was found, or why the status is not better. Null where there is nothing to say';
COMMENT ON COLUMN ops.daily_checks.checked_at IS 'When the day was last checked';
COMMENT ON COLUMN ops.daily_checks.run_id IS 'The run in ops.runs that checked it';
