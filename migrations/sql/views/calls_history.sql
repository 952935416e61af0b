-- A version that has ended is a row of warehouse.calls with the old value of each field that changed since: of several
-- changes of a field the earliest one. The condition on valid_to is one on changes.changed_at, which has an index.
CREATE OR REPLACE VIEW warehouse.calls_history AS
SELECT c.*, c.changed_at AS valid_from, '9999-01-01 00:00Z'::timestamptz AS valid_to
  FROM warehouse.calls c
 UNION ALL
SELECT version.*, began.valid_from, ended.changed_at
  FROM (SELECT DISTINCT call_key, changed_at FROM warehouse.changes) ended
  JOIN warehouse.calls c USING (call_key)
 CROSS JOIN LATERAL (
       SELECT coalesce(max(e.changed_at), c.first_seen_at) AS valid_from
         FROM warehouse.changes e
        WHERE e.call_key = ended.call_key AND e.changed_at < ended.changed_at) began
 CROSS JOIN LATERAL (
       SELECT jsonb_object_agg(field, CASE WHEN field IN ('costs', 'analysis', 'metadata', 'extra', 'quality_flags')
                                           THEN old_value::jsonb ELSE to_jsonb(old_value) END ORDER BY change_id DESC) AS fields
         FROM warehouse.changes later
        WHERE later.call_key = ended.call_key AND later.changed_at >= ended.changed_at) old
 CROSS JOIN LATERAL jsonb_populate_record(
       c, fields || jsonb_build_object('changed_at', began.valid_from)
          || CASE WHEN fields ? 'customer_number'
                  THEN jsonb_build_object('customer_id', CASE WHEN fields ->> 'customer_number' ~ ('[' || warehouse.any_digit() || ']')
                       THEN (SELECT warehouse.customer_id(fields ->> 'customer_number', inner_key, outer_key)
                               FROM ops.masking_key) END)
                  ELSE '{}' END) version;

COMMENT ON VIEW warehouse.calls_history IS 'The rows of warehouse.calls in every version that they had, from warehouse.changes';
COMMENT ON COLUMN warehouse.calls_history.valid_from IS 'Since when the row was as it is here. Never null';
COMMENT ON COLUMN warehouse.calls_history.valid_to IS 'When the row changed; 9999-01-01 where it is as it is here. Never null';

-- The columns of bi.calls are defined once, there: this takes its definition, over the versions.
DO $$
DECLARE
    path text := current_setting('search_path');
    definition text;
BEGIN
    PERFORM set_config('search_path', 'pg_catalog', true);  -- so that all names are qualified
    definition := rtrim(pg_get_viewdef('bi_pii.calls'::regclass), ';');
    PERFORM set_config('search_path', path, true);
    EXECUTE 'CREATE OR REPLACE VIEW bi_pii.calls_history AS '
         || replace(replace(definition, 'now()', 'least(now(), c.valid_to)'), E'\n   FROM (warehouse.calls c',
                    ', c.is_final IS NOT NULL AS is_status_known, c.valid_from, c.valid_to FROM (warehouse.calls_history c');
END
$$;

COMMENT ON VIEW bi_pii.calls_history IS
    'One row per call and version that it had: the columns of bi.calls as they were from valid_from until before valid_to. '
    'attempt_number and what belongs to it count the calls that are stored now; local times, business hours and costs in '
    'report_currency follow the settings and rates of now';
COMMENT ON COLUMN bi_pii.calls_history.is_status_known IS
    'Whether the provider''s status was known in this version. False: is_final is true because of the age that the call had at '
    'the end of the version. Never null';
COMMENT ON COLUMN bi_pii.calls_history.valid_from IS
    'Since when the call was as it is in this row: when it was first loaded, or when it changed. Never null';
COMMENT ON COLUMN bi_pii.calls_history.valid_to IS
    'When the call changed, so that this row was true before it. 9999-01-01 UTC where it is the latest version. Never null';
