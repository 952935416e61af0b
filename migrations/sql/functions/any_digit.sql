-- All that Unicode calls a digit, which \d does not know.
CREATE OR REPLACE FUNCTION warehouse.any_digit()
RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '0-9²-³¹٠-٩۰-۹߀-߉०-९০-৯੦-੯૦-૯୦-୯௦-௯౦-౯೦-೯൦-൯෦-෯๐-๙໐-໙༠-༩၀-၉႐-႙፩-፱០-៩᠐-᠙᥆-᥏᧐-᧚᪀-᪉᪐-᪙᭐-᭙᮰-᮹'
           '᱀-᱉᱐-᱙⁰⁴-⁹₀-₉①-⑨⑴-⑼⒈-⒐⓪⓵-⓽⓿❶-❾➀-➈➊-➒꘠-꘩꣐-꣙꤀-꤉꧐-꧙꧰-꧹꩐-꩙꯰-꯹０-９𐒠-𐒩𐩀-𐩃𐴰-𐴹𐹠-𐹨𑁒-𑁚𑁦-𑁯𑃰-𑃹𑄶-𑄿𑇐-𑇙𑋰-𑋹'
           '𑑐-𑑙𑓐-𑓙𑙐-𑙙𑛀-𑛉𑜰-𑜹𑣠-𑣩𑥐-𑥙𑱐-𑱙𑵐-𑵙𑶠-𑶩𖩠-𖩩𖫀-𖫉𖭐-𖭙𝟎-𝟿𞅀-𞅉𞋰-𞋹𞥐-𞥙🄀-🄊🯰-🯹';

COMMENT ON FUNCTION warehouse.any_digit() IS 'The digits of all scripts, for the brackets of a regular expression';
