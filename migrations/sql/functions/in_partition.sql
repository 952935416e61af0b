-- STABLE or stricter and free of side effects: the planner inlines it, so indexes on the arguments still serve.
-- Written without IN, whose result it can only guess.
CREATE OR REPLACE FUNCTION warehouse.in_partition(partition text, from_number text, to_number text)
RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN $1 = '' OR $1 = $2 OR $1 = $3;

COMMENT ON FUNCTION warehouse.in_partition(text, text, text) IS
    'Whether a call belongs to a partition of its source: the empty partition has every call, a telephone number the '
    'calls from it and to it';
