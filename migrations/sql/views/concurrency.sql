-- Each day reads the calls that may go on in it once, through the index on source and created_at; the days come from the
-- rollup, so that a condition on day uses its index.
CREATE OR REPLACE VIEW bi_pii.concurrency AS
SELECT day, source, starts_at, starts_at AT TIME ZONE report_timezone AS quarter_hour, calls_started, peak_calls
  FROM (SELECT DISTINCT day, source FROM warehouse.call_rollup JOIN warehouse.active_dimensions USING (dimension_id)
         WHERE hour = -1) days
  JOIN (SELECT source, report_timezone FROM ops.sources) s USING (source)
 CROSS JOIN LATERAL (
       SELECT day::timestamp AT TIME ZONE report_timezone AS day_start, (day + 1)::timestamp AT TIME ZONE report_timezone AS day_end
       ) bounds
 CROSS JOIN LATERAL (
       SELECT date_bin('15 minutes', at, day_start) AS starts_at, count(*) FILTER (WHERE change = 1) AS calls_started,
              max(going_on)::integer AS peak_calls
         FROM (SELECT at, change, sum(change) OVER (ORDER BY at, change ROWS UNBOUNDED PRECEDING) AS going_on
                 FROM (SELECT generate_series(day_start, day_end - interval '15 minutes', '15 minutes') AS at, 0 AS change
                        UNION ALL
                       SELECT at, change
                         FROM (SELECT coalesce(started_at, created_at) AS began_at, ended_at,
                                      CASE WHEN duration_seconds > 86400 THEN 86400 ELSE duration_seconds END AS seconds
                                 FROM warehouse.calls c
                                WHERE c.source = s.source
                                  AND c.created_at >= day_start - interval '1 day' AND c.created_at < day_end) read
                        CROSS JOIN LATERAL (
                              SELECT greatest(coalesce(ended_at, began_at + seconds::double precision * interval '1 second'),
                                              began_at + interval '1 second') AS over_at) ended
                        CROSS JOIN LATERAL (VALUES (began_at, 1), (over_at, -1)) ends (at, change)
                        WHERE began_at < day_end AND over_at >= day_start) changes) counted
        WHERE at >= day_start AND at < day_end
        GROUP BY 1) quarters;

COMMENT ON VIEW bi_pii.concurrency IS
    'One row per quarter of an hour, of each local day and source with calls: how many calls went on at once. Name a range of '
    'day: each day is counted from its calls. Peaks of several sources need not fall on the same moment: do not add them up';
COMMENT ON COLUMN bi_pii.concurrency.day IS
    'Local day of the quarter, in the time zone of reports (report_timezone in etl.toml; UTC by default). Never null';
COMMENT ON COLUMN bi_pii.concurrency.starts_at IS 'When the quarter of an hour begins. Never null';
COMMENT ON COLUMN bi_pii.concurrency.quarter_hour IS
    'The same in the time zone of reports, such as 2026-05-04 09:15; one that daylight saving time repeats has two rows. Never null';
COMMENT ON COLUMN bi_pii.concurrency.calls_started IS
    'Number of calls that began in the quarter: at started_at, or created_at where that is null (Autocalls). Never null';
COMMENT ON COLUMN bi_pii.concurrency.peak_calls IS
    'Largest number of calls that went on at once. A call ends at ended_at, else after duration_seconds (a day at most); one without '
    'either, such as a call that goes on, counts for one second. Calls created more than a day before the local day are left out. '
    'Never null';
