CREATE OR REPLACE VIEW bi_pii.call_flags AS
SELECT c.call_key, c.source, c.created_at, flag
  FROM warehouse.calls c
 CROSS JOIN LATERAL unnest(c.quality_flags) flag;

COMMENT ON VIEW bi_pii.call_flags IS
    'One row per call and data-quality flag: what of a record was odd and is kept as sent. A call without flags has no row';
COMMENT ON COLUMN bi_pii.call_flags.flag IS
    'What is odd, such as number_unreadable or duration_differs; docs/warehouse.md explains each. Never null';
