-- The one definition of a conversation with a person, for rows and rollups alike. Inlined by the planner.
CREATE OR REPLACE FUNCTION warehouse.is_human_answered(is_answered boolean, outcome text, answered_by text)
RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN NOT $1 OR $2 = 'voicemail' OR $3 = 'machine' THEN false WHEN $3 = 'human' THEN true END;

COMMENT ON FUNCTION warehouse.is_human_answered(boolean, text, text) IS
    'Whether a person took a call: false where nobody or a machine did, null where the provider does not tell';
