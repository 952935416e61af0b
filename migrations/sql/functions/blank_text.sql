-- The words of a name have no signs left, so that they are a regular expression of themselves: it is made, which takes long,
-- only where one of them stands in the text.
CREATE OR REPLACE FUNCTION warehouse.blank_text(shown text, customer_name text)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 2000
BEGIN ATOMIC
    SELECT CASE WHEN is_named THEN regexp_replace(warehouse.blank_numbers(shown), '(?<![[:alnum:]])(?:' || words
                                                  || ')(?![[:alnum:]])', '[name]', 'gi')
                ELSE warehouse.blank_numbers(shown) END
      FROM (SELECT bool_or(strpos(lower(shown), lower(word)) > 0) AS is_named,
                   string_agg(word, '[^[:alnum:]]{1,3}' ORDER BY n)
                   || coalesce('|' || string_agg(word, '|') FILTER (WHERE length(word) > 2), '') AS words
              FROM regexp_split_to_table(left(customer_name, 200), '[' || warehouse.any_gap() || ']+')
                   WITH ORDINALITY words (word, n)
             WHERE word <> '' AND length(customer_name) > 1) name;
END;

COMMENT ON FUNCTION warehouse.blank_text(text, text) IS
    'A text of a call without numbers, e-mail addresses and the name of the call''s customer, whole and each part of three '
    'letters or more';
