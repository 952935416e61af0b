-- The oldest revision whose version may still use this database: a revision that such a version cannot work with sets it to
-- itself. Older versions ask it before they start.
CREATE OR REPLACE FUNCTION ops.compatible_since() RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT '0001' $$;
