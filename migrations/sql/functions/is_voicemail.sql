-- The one definition of a voicemail, for rows and rollups alike. Inlined by the planner.
CREATE OR REPLACE FUNCTION warehouse.is_voicemail(outcome text, answered_by text)
RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN $1 = 'voicemail' OR $2 = 'machine';

COMMENT ON FUNCTION warehouse.is_voicemail(text, text) IS
    'Whether a machine took a call: its outcome is voicemail, or the provider says that a machine answered';
