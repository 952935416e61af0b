-- The key of 64 bytes, each combined with one byte: 54 gives the inner key and 92 the outer one (RFC 2104). Both are stored
-- beside the key, so that a token costs two hashes and nothing else.
CREATE OR REPLACE FUNCTION warehouse.hmac_pad(key bytea, byte integer)
RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT string_agg(set_byte('\x00', 0, CASE WHEN n < length(key) THEN get_byte(key, n) ELSE 0 END # byte), ''
                      ORDER BY n)
      FROM generate_series(0, 63) n;
END;

COMMENT ON FUNCTION warehouse.hmac_pad(bytea, integer) IS
    'A key of up to 64 bytes as HMAC-SHA-256 uses it: padded, and each byte combined with another';
