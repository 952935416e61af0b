COMMENT ON TABLE ops.erasures IS
    'Erased people: who has such a token is stored no more. Neither a number nor a name; `etl erase` adds rows';
COMMENT ON COLUMN ops.erasures.token IS 'Keyed token of the erased number, as in bi.calls.customer_id';
COMMENT ON COLUMN ops.erasures.erased_at IS 'When the person was first erased';
COMMENT ON COLUMN ops.erasures.completed_at IS
    'When all that was stored of the person was removed. Null: not all of it; the next command that loads goes on';
COMMENT ON COLUMN ops.erasures.removed IS 'What was removed, by source: counts, and the first and the last day of the calls';
