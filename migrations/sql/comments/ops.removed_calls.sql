COMMENT ON TABLE ops.removed_calls IS
    'Calls that were removed here and may still be listed by the provider: nothing of them is stored again, and `etl verify` '
    'does not miss them';
COMMENT ON COLUMN ops.removed_calls.call_key IS 'Key that the call had';
COMMENT ON COLUMN ops.removed_calls.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN ops.removed_calls.created_at IS 'When the provider created the call''s record: on which day it is counted';
COMMENT ON COLUMN ops.removed_calls.partitions IS
    'The organisation''s own numbers under which the provider lists it. Empty where it has one list';
COMMENT ON COLUMN ops.removed_calls.reason IS 'erased: of a person who was erased; expired: older than keep_calls';
COMMENT ON COLUMN ops.removed_calls.removed_at IS 'When it was removed, or received and not stored';
COMMENT ON COLUMN ops.removed_calls.seen_at IS 'When it was last received';
COMMENT ON COLUMN ops.removed_calls.delisted_at IS 'Since when a complete scan no longer lists it. Null while it is listed';
