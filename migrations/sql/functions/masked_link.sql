CREATE OR REPLACE FUNCTION warehouse.masked_link(link text)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 1000
    RETURN CASE WHEN $1 ~ '^[A-Za-z][A-Za-z0-9+.-]*://[A-Za-z0-9.:-]+(?:[/?#]|$)'
                THEN warehouse.blank_numbers(substring($1 from '^[A-Za-z0-9+.-]+://[A-Za-z0-9.:-]+')) || '/[hidden]'
                ELSE regexp_replace($1, '^.*$', '[hidden]') END;

COMMENT ON FUNCTION warehouse.masked_link(text) IS 'Where a link leads to, without its path, which may open it';
