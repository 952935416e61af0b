-- A status that nobody knows says neither that a call is over nor that it is not: after a day it is taken as over.
-- Inlined by the planner, and written without coalesce(), whose result it can only guess.
CREATE OR REPLACE FUNCTION warehouse.is_final(is_final boolean, created_at timestamptz, at timestamptz)
RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
    RETURN $1 IS TRUE OR ($1 IS NULL AND $2 < $3 - interval '1 day');

COMMENT ON FUNCTION warehouse.is_final(boolean, timestamptz, timestamptz) IS
    'Whether a call is final at a given time: what the provider''s status says, or, where the status is unknown (null), '
    'whether the call was created more than a day before';
