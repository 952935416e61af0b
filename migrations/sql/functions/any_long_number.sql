CREATE OR REPLACE FUNCTION warehouse.any_long_number()
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '[+＋(]{0,3}[' || warehouse.any_digit() || '](?:[' || warehouse.any_gap() || ']{0,6}[' || warehouse.any_digit()
           || ']){6,}';

COMMENT ON FUNCTION warehouse.any_long_number() IS
    'A regular expression for a number of seven digits or more in any script, with signs, spaces and invisible characters '
    'between them; the planner makes a constant of it';
