COMMENT ON TABLE warehouse.changes IS 'One row per field of a call that changed after the call was first loaded';
COMMENT ON COLUMN warehouse.changes.change_id IS 'Number of the change';
COMMENT ON COLUMN warehouse.changes.call_key IS 'Key of the call that changed, as in warehouse.calls';
COMMENT ON COLUMN warehouse.changes.changed_at IS 'When the change was loaded. Never null';
COMMENT ON COLUMN warehouse.changes.run_id IS 'The run in ops.runs that loaded the change';
COMMENT ON COLUMN warehouse.changes.field IS
    'What changed: the name of the column in warehouse.calls (nearly all are in bi.calls too), or transcript. Never null';
COMMENT ON COLUMN warehouse.changes.old_value IS 'Value before the change, as text. Null where there was none';
COMMENT ON COLUMN warehouse.changes.new_value IS 'Value after the change, as text. Null where there is none any more';
