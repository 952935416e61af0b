COMMENT ON TABLE ops.streams IS
    'One row per list of calls that a provider has: one per source, for Ravan one per telephone number';
COMMENT ON COLUMN ops.streams.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN ops.streams.partition IS
    'Which list of the source: a telephone number for Ravan, empty for providers that have one list';
COMMENT ON COLUMN ops.streams.sort_order IS
    'Order of the provider''s list, as detected from its pages: desc (newest call first), asc (oldest first), '
    'unsorted or unknown (not detected yet)';
COMMENT ON COLUMN ops.streams.page_size IS
    'Page size that the provider accepts. Null: the default, which it has not refused';
COMMENT ON COLUMN ops.streams.remote_count IS
    'Number of calls that the provider says it lists, at checked_at. Null where it gives no total';
COMMENT ON COLUMN ops.streams.local_count IS 'Number of these calls that were stored at checked_at';
COMMENT ON COLUMN ops.streams.completeness IS
    'How the stored calls compare with the provider''s list. verified: `etl verify` compared every day and nothing '
    'differs; count_match: the provider''s total equals the number of stored calls; incomplete: calls are listed that '
    'are not stored; unknown: the counts could not be compared, or not yet';
COMMENT ON COLUMN ops.streams.reason IS 'Why completeness is not better, in words. Null where there is nothing to say';
COMMENT ON COLUMN ops.streams.checked_at IS 'When the counts were last compared. Null before the first time';
COMMENT ON COLUMN ops.streams.full_scan_at IS 'When the whole list was last read in one scan. Null where it never was';
COMMENT ON COLUMN ops.streams.remote_oldest_at IS
    'created_at of the oldest call that the provider still lists, where its retention has removed older ones that are '
    'stored. Null otherwise';
COMMENT ON COLUMN ops.streams.surplus_count IS
    'By how many calls the provider''s total exceeds what the last scan of the whole list met on its pages. Null before it';
