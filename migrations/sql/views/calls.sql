-- A signed link is a credential: links are shown without what opens them, in every column that may hold one.
-- The attempts of a customer are looked up in an index, call by call, where their columns are asked for, and only then: right
-- whenever a call comes, and at no price to the loader. 99 earlier calls are enough: a number that robots dial has a million.
CREATE OR REPLACE VIEW bi_pii.calls AS
SELECT c.call_key, c.source, c.provider, c.provider_call_id, c.direction, c.outcome, c.provider_status,
       warehouse.is_final(c.is_final, c.created_at, now()) AS is_final,
       c.is_answered, warehouse.is_human_answered(c.is_answered, c.outcome, c.answered_by) AS is_human_answered,
       warehouse.is_voicemail(c.outcome, c.answered_by) AS is_voicemail, c.outcome = 'transferred' AS is_transferred,
       CASE WHEN c.customer_id IS NOT NULL
            THEN (SELECT count(*) + 1
                    FROM (SELECT bool_and(next_at - created_at <= interval '7 days') OVER latest_first AS is_same_series
                            FROM (SELECT created_at, call_key,
                                         lag(created_at, 1, c.created_at) OVER latest_first AS next_at
                                    FROM (SELECT created_at, call_key FROM warehouse.calls e
                                           WHERE e.customer_id = c.customer_id AND e.direction = c.direction
                                             AND (e.created_at, e.call_key) < (c.created_at, c.call_key)
                                           ORDER BY created_at DESC, call_key DESC LIMIT 99) earlier
                                  WINDOW latest_first AS (ORDER BY created_at DESC, call_key DESC)) gaps
                          WINDOW latest_first AS (ORDER BY created_at DESC, call_key DESC)) series
                   WHERE is_same_series)
       END::integer AS attempt_number,
       CASE WHEN c.customer_id IS NOT NULL
            THEN NOT EXISTS
                      (SELECT FROM warehouse.calls e
                        WHERE e.customer_id = c.customer_id AND e.direction = c.direction
                          AND e.created_at >= c.created_at - interval '168 hours'
                          AND (e.created_at, e.call_key) < (c.created_at, c.call_key))
       END AS is_first_attempt,
       CASE WHEN c.customer_id IS NOT NULL
            THEN EXISTS
                      (SELECT FROM warehouse.calls e
                        WHERE e.customer_id = c.customer_id AND e.direction = c.direction
                          AND e.created_at >= c.created_at - interval '24 hours'
                          AND (e.created_at, e.call_key) < (c.created_at, c.call_key))
       END AS is_repeat_within_24h,
       CASE WHEN c.customer_id IS NOT NULL
            THEN EXISTS
                      (SELECT FROM warehouse.calls e
                        WHERE e.customer_id = c.customer_id AND e.direction = c.direction
                          AND e.created_at >= c.created_at - interval '168 hours'
                          AND (e.created_at, e.call_key) < (c.created_at, c.call_key))
       END AS is_repeat_within_7d,
       c.agent_id, c.agent_name, c.agent_version, c.campaign_name, c.from_number, c.to_number, c.customer_number, c.agent_number,
       c.customer_id, c.customer_name, c.customer_email, c.created_at, c.started_at, c.answered_at, c.ended_at, c.updated_at,
       (c.created_at AT TIME ZONE s.report_timezone)::date AS local_date,
       extract(hour FROM c.created_at AT TIME ZONE s.report_timezone)::integer AS local_hour,
       extract(isodow FROM c.created_at AT TIME ZONE s.report_timezone)::integer AS local_weekday,
       s.business_hours @> (extract(isodow FROM c.created_at AT TIME ZONE s.report_timezone)::integer * 1440 - 1440
           + extract(hour FROM c.created_at AT TIME ZONE s.report_timezone)::integer * 60
           + extract(minute FROM c.created_at AT TIME ZONE s.report_timezone)::integer) AS is_business_hours,
       c.duration_seconds, c.talk_seconds, c.duration_basis, c.cost, c.cost_unit,
       CASE WHEN c.cost_unit = s.report_currency THEN c.cost
            ELSE c.cost * (SELECT rate FROM ops.rates r
                            WHERE r.source = c.source AND r.unit = c.cost_unit AND r.currency = s.report_currency
                              AND r.valid_from <= (c.created_at AT TIME ZONE s.report_timezone)::date
                            ORDER BY r.valid_from DESC LIMIT 1)
       END AS cost_reporting, s.report_currency, c.answered_by, c.ended_by,
       warehouse.bare_links(c.recording_url) AS recording_url,
       warehouse.bare_links(c.summary) AS summary,
       warehouse.bare_links(c.sentiment) AS sentiment,
       warehouse.bare_links(c.error_message) AS error_message, c.latency_ms,
       warehouse.bare_links(c.analysis::text)::jsonb AS analysis,
       warehouse.bare_links(c.metadata::text)::jsonb AS metadata,
       warehouse.bare_links(c.extra::text)::jsonb AS extra, c.turn_count,
       c.has_transcript, c.quality_flags, c.first_seen_at, c.changed_at,
       CASE WHEN warehouse.is_final(c.is_final, c.created_at, now())
             AND c.created_at + make_interval(secs => s.settled_after_seconds::double precision) <= now()
            THEN c.created_at + make_interval(secs => s.settled_after_seconds::double precision)
       END AS settled_at,
       c.delisted_at
  FROM warehouse.calls c
  JOIN ops.sources s USING (source);

COMMENT ON VIEW bi_pii.calls IS 'One row per call, of all sources, in its latest version';
COMMENT ON COLUMN bi_pii.calls.is_final IS
    'Whether the provider has finished the record: the call is over and, as far as the provider says, its cost and '
    'evaluation are done (Ringg: status over and credits processed; Ravan: status over and ended_at known; Autocalls: '
    'status over; Vaani: ended and post-processing completed). An unknown status counts as final a day after created_at. '
    'Never null';
COMMENT ON COLUMN bi_pii.calls.is_human_answered IS
    'Whether a person took the call. False where nobody took it, or a machine or voicemail did; null while the '
    'call goes on, and where the provider does not tell whether it was a person (Ringg, Ravan, Vaani; Autocalls tells it of most '
    'calls)';
COMMENT ON COLUMN bi_pii.calls.is_voicemail IS
    'Whether a machine took the call: outcome is voicemail, or answered_by is machine. Such a call counts in is_answered too '
    'where the provider reports it as completed or picked up. Never null';
COMMENT ON COLUMN bi_pii.calls.is_transferred IS
    'Whether the agent handed the call on to somebody else. Ringg (forwarded) and Vaani (its text says so); false for the '
    'others, which do not report it. Never null';
COMMENT ON COLUMN bi_pii.calls.attempt_number IS
    'Which attempt to talk this call is: 1, or one more than the call before it of the same customer_id and direction, at any '
    'source, answered or not, if that was created at most seven days earlier; of two at the same instant the one with the '
    'lower call_key is first. 100 stands for 100 or more. Null where customer_id is';
COMMENT ON COLUMN bi_pii.calls.is_first_attempt IS
    'Whether attempt_number is 1: no call of the same customer and direction in the seven days before. Null where customer_id is';
COMMENT ON COLUMN bi_pii.calls.is_repeat_within_24h IS
    'Whether the same customer had a call of the same direction, at any source, in the 24 hours before. Null where customer_id is';
COMMENT ON COLUMN bi_pii.calls.is_repeat_within_7d IS
    'Whether the same customer had a call of the same direction, at any source, in the seven days before: the opposite of '
    'is_first_attempt. Null where customer_id is';
COMMENT ON COLUMN bi_pii.calls.local_date IS
    'Day of created_at in the time zone of reports (report_timezone in etl.toml; UTC by default). Never null';
COMMENT ON COLUMN bi_pii.calls.local_hour IS 'Hour of created_at in the time zone of reports, 0 to 23. Never null';
COMMENT ON COLUMN bi_pii.calls.local_weekday IS
    'Day of the week of created_at in the time zone of reports, 1 (Monday) to 7 (Sunday). Never null';
COMMENT ON COLUMN bi_pii.calls.is_business_hours IS
    'Whether created_at lies in the business hours, in the time zone of reports. Null where none are configured '
    '(business_hours in etl.toml)';
COMMENT ON COLUMN bi_pii.calls.cost_reporting IS
    'cost in report_currency: by the rate of local_date (etl rates), or as it is where cost_unit is that currency. '
    'Null where there is no cost, no rate for that day, or no report_currency';
COMMENT ON COLUMN bi_pii.calls.report_currency IS
    'Currency (ISO 4217) of cost_reporting, the same for all calls. Null where none is configured (report_currency in etl.toml)';
COMMENT ON COLUMN bi_pii.calls.recording_url IS
    'Link to the recording at the provider, without user, password, fragment and signature, so it may need the provider''s '
    'sign-in and may have expired there (Ringg: after a day). Its query stays where it only names the recording. Null where '
    'the provider sent none. All providers';
COMMENT ON COLUMN bi_pii.calls.settled_at IS
    'Since when no lookback reads the call any more: created_at plus the longest lookback of the source. Null while the '
    'call is not final or a lookback still reads it, so that its row may change';
