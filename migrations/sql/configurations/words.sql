-- Words alone, in any language, without stemming or stop words: numbers, e-mail addresses, links and words with digits are
-- nobody's to search. A word with hyphens is found by its parts: as a whole it may have a name in it (asha-ji).
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_ts_config WHERE cfgnamespace = 'bi'::regnamespace AND cfgname = 'words') THEN
        CREATE TEXT SEARCH CONFIGURATION bi.words (PARSER = pg_catalog.default);
        ALTER TEXT SEARCH CONFIGURATION bi.words
            ADD MAPPING FOR asciiword, word, hword_asciipart, hword_part WITH pg_catalog.simple;
    END IF;
END
$$;

COMMENT ON TEXT SEARCH CONFIGURATION bi.words IS 'The words of a text, and nothing that has a digit or an address in it';
