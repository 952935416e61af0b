CREATE OR REPLACE VIEW warehouse.counted_zones AS
SELECT source, report_timezone AS timezone, '-infinity'::date AS counted_from FROM ops.sources
 UNION ALL
SELECT source, next_report_timezone, next_counted_from FROM ops.sources WHERE next_report_timezone IS NOT NULL;

COMMENT ON VIEW warehouse.counted_zones IS
    'The time zones by which triggers count the calls of each source: that of its reports, and the next one while it is counted';
COMMENT ON COLUMN warehouse.counted_zones.timezone IS 'A name such as Asia/Kolkata';
COMMENT ON COLUMN warehouse.counted_zones.counted_from IS
    'Local day from which on the calls are counted by this zone; -infinity where all of them are';
