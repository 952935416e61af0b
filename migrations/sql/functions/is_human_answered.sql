-- The one definition of a conversation with a person, for rows and rollups alike. Inlined by the planner.
CREATE OR REPLACE FUNCTION warehouse.is_human_answered(is_answered boolean, outcome text, answered_by text)
RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN $2 = 'voicemail' OR $3 = 'machine' THEN false
                WHEN $1 AND $3 = 'human' THEN true
                WHEN NOT $1 AND $2 NOT IN ('in_progress', 'unknown') THEN false
           END;

COMMENT ON FUNCTION warehouse.is_human_answered(boolean, text, text) IS
    'Whether a person took a call: false where nobody or a machine did, null where the provider does not tell, or not yet';
