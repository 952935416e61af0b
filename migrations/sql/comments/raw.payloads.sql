COMMENT ON TABLE raw.payloads IS 'One row per response that brought new content: those of its records, as received';
COMMENT ON COLUMN raw.payloads.seq IS
    'Number of the request that brought the records, from ops.request_seq: a higher number is newer. Negative: '
    'records loaded from quarantine';
COMMENT ON COLUMN raw.payloads.source IS 'Name of the source that sent the records';
COMMENT ON COLUMN raw.payloads.kind IS 'call: records of a list; transcript: the answer to a transcript request';
COMMENT ON COLUMN raw.payloads.received_at IS 'When the records were loaded';
COMMENT ON COLUMN raw.payloads.run_id IS 'The run in ops.runs that received them';
COMMENT ON COLUMN raw.payloads.call_keys IS 'The call that each record belongs to, in their order';
COMMENT ON COLUMN raw.payloads.records_zlib_msgpack IS
    'The exact bytes of each record: a MessagePack list of byte strings, compressed with zlib. `etl replay` reads them';
