CREATE OR REPLACE VIEW bi_pii.call_changes AS
SELECT call_key, changed_at, field, warehouse.bare_links(old_value) AS old_value,
       warehouse.bare_links(new_value) AS new_value
  FROM warehouse.changes;

COMMENT ON VIEW bi_pii.call_changes IS
    'One row per field of a call that changed after the call was first loaded, for instance a status, cost or summary that '
    'the provider filled in later';
COMMENT ON COLUMN bi_pii.call_changes.changed_at IS 'When the change was loaded. Never null';
