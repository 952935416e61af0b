-- The expressions of etl/runtime/redaction.py, in the order of that file; the tests hold both to one list of examples. In
-- the text of a jsonb they end at whole escapes, so that the result is JSON again.
CREATE OR REPLACE FUNCTION warehouse.bare_links(shown text)
RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN shown !~ '/\\{0,16}/|%2[Ff]%2[Ff]|[?#][\w.~%-]+=' THEN shown ELSE
        regexp_replace(regexp_replace(regexp_replace(
            shown,
            '(/\\{0,16}/|%2[Ff]%2[Ff])[^\s"<>/?#\\]*(?:@|%40)',
            '\1', 'g'),
            '((?:/\\{0,16}/|%2[Ff]%2[Ff])(?:[^\s"<>?#;%\\]|%(?!3[BbFf]|23)|\\\\(?!u00)|\\/)*)'
            '([?](?:id|call_id|recording_id|page|page_size|per_page|limit|offset)=[A-Za-z0-9-]{1,64}'
            '(?:&(?:id|call_id|recording_id|page|page_size|per_page|limit|offset)=[A-Za-z0-9-]{1,64})*'
            '(?![^\s"<>#\\]))?'
            '(?:[^\s"<>\\]|\\\\|\\[^"nrtbf\\])*',
            '\1\2', 'g'),
            '(?![?](?:id|call_id|recording_id|page|page_size|per_page|limit|offset)=[A-Za-z0-9-]{1,64}'
            '(?:&(?:id|call_id|recording_id|page|page_size|per_page|limit|offset)=[A-Za-z0-9-]{1,64})*'
            '(?![^\s"<>#\\]))'
            '[?#][\w.~%-]{1,64}=(?:[^\s"<>\\]|\\\\|\\[^"nrtbf\\])*',
            '', 'g')
    END;
END;

COMMENT ON FUNCTION warehouse.bare_links(text) IS
    'A text whose links have no user, password, fragment or signature: a query stays only where it names a call or a page';
