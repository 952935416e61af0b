-- One expression, so that the planner puts it in the place of each call. Dates and times by ISO 8601 are cut by U+E000, so
-- that they are no number, and are whole again at the end. An e-mail address may be spoken: asha at example dot com.
-- A single word of letters is neither, which is seen at once.
-- What comes first in a pattern has a largest length: without one, a text of a million brackets would take hours.
CREATE OR REPLACE FUNCTION warehouse.blank_numbers(shown text)
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 1000
    RETURN CASE WHEN $1 !~ '[^A-Za-z_.]'
                  OR $1 !~ ('[@＠﹫\ue000]|%40|[[:<:]]dot[[:>:]]|डॉट|' || warehouse.any_long_number()) THEN $1 ELSE
        replace(regexp_replace(regexp_replace(regexp_replace(
            replace($1, U&'\E000', ''),
            '[^\s"<>(),;:\[\]{}]{1,64}\s?(?:[@＠﹫]|%40)\s?[^\s"<>(),;:\[\]{}]+'
            '|[^\s"<>(),;:\[\]{}]{1,64}\s{1,3}(?:at|एट|ऐट)\s{1,3}[^\s"<>(),;:\[\]{}]{1,64}\s{1,3}(?:dot|डॉट)\s{1,3}'
            '[^\s"<>(),;:\[\]{}]+',
            '[email]', 'gi'),
            '(?<![[:alnum:]])((?:19|20)[0-9]{2})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])(?![0-9])'
            '(?:([T ])([0-2][0-9])(:[0-5][0-9])(?:(:[0-5][0-9])([.,][0-9]{1,6})?)?(?![0-9])(Z|[+-][0-2][0-9]:?[0-5][0-9])?)?',
            U&'\E000\\1\E000-\\2\E000-\\3\E000\\4\\5\E000\\6\E000\\7\E000\\8\E000\\9\E000', 'g'),
            warehouse.any_long_number(), '[number]', 'g'), U&'\E000', '')
    END;

COMMENT ON FUNCTION warehouse.blank_numbers(text) IS
    'A text without e-mail addresses, and without numbers of seven digits or more; dates and times stay';
