-- PostgreSQL limits a tsvector to one megabyte, so only the first 100,000 characters of a transcript are searchable. The
-- high cost keeps the planner from computing the vector for each call where the index has it.
CREATE OR REPLACE FUNCTION warehouse.bare_transcript_tsv(texts jsonb)
RETURNS tsvector LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 10000
BEGIN ATOMIC
    SELECT to_tsvector('bi.words', regexp_replace(
               warehouse.bare_links(left(string_agg(text, ' '), 100000)), '[' || warehouse.any_digit() || ']+', '0', 'g'))
      FROM jsonb_array_elements_text(texts) text;
END;

COMMENT ON FUNCTION warehouse.bare_transcript_tsv(jsonb) IS
    'The words of a transcript that is long or may have links or digits of other scripts, which PostgreSQL takes for letters';
