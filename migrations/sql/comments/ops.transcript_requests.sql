COMMENT ON TABLE ops.transcript_requests IS
    'One row per call whose transcript takes a request of its own (Vaani) and was requested';
COMMENT ON COLUMN ops.transcript_requests.call_key IS 'Key of the call, as in warehouse.calls';
COMMENT ON COLUMN ops.transcript_requests.asked_at IS 'When the transcript was last requested';
COMMENT ON COLUMN ops.transcript_requests.attempts IS 'How often it was requested';
COMMENT ON COLUMN ops.transcript_requests.state IS
    'Result of the last request: stored, not_ready (the provider has none yet; it is requested again), refused (to this '
    'key; requested again after a day) or failed (see reason)';
COMMENT ON COLUMN ops.transcript_requests.reason IS 'Why there is no transcript. Null where it is stored';
