CREATE OR REPLACE FUNCTION warehouse.is_long_number(number text)
RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN $1 ~ '^[+-]?0*[1-9](?:[0-9]{6}|[0-9]{3}.*[.].*[0-9]$(?<=[0-9].{7}))';

COMMENT ON FUNCTION warehouse.is_long_number(text) IS
    'Whether a number, as JSON writes it, may be that of a telephone, card or account: seven digits or more, not counting '
    'those behind the point of a number below 1000';
