-- What may stand between the digits of a number: signs, spaces, and characters that show nothing or change the one before.
CREATE OR REPLACE FUNCTION warehouse.any_gap()
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '\x01-/:-@\[-`{-\u00bf\u0300-\u036f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2000-\u206f\u20d0-\u20ff'
           '\u3000-\u303f\u3164\ufe00-\ufe0f\ufe50-\ufe6f\ufeff-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65\uffa0'
           '\U000e0000-\U000e0fff';

COMMENT ON FUNCTION warehouse.any_gap() IS 'All signs and spaces, visible or not, for the brackets of a regular expression';
