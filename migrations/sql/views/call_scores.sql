-- An item is a scalar, {"value": …}, or one of a list of {"name": …, "value": …}; objects in objects give names with dots,
-- four at most: a recursion takes three times as long.
-- Read call by call, so that a condition on created_at, source or call_key uses its index.
CREATE OR REPLACE VIEW bi_pii.call_scores AS
SELECT c.call_key, c.source, c.created_at, item.name, warehouse.bare_links(scalar #>> '{}') AS value,
       CASE WHEN jsonb_typeof(scalar) = 'number' THEN scalar::numeric
            WHEN jsonb_typeof(scalar) = 'boolean' THEN scalar::boolean::integer::numeric
            WHEN scalar #>> '{}' ~ '^[+-]?[0-9]{1,15}([.][0-9]{1,15})?$' THEN (scalar #>> '{}')::numeric
       END AS number
  FROM warehouse.calls c
 CROSS JOIN LATERAL (
       SELECT key AS name, value
         FROM jsonb_each(CASE jsonb_typeof(c.analysis) WHEN 'object' THEN c.analysis ELSE '{}' END)
        UNION ALL
       SELECT element ->> 'name', element
         FROM jsonb_array_elements(CASE jsonb_typeof(c.analysis) WHEN 'array' THEN c.analysis ELSE '[]' END) element
        WHERE element ? 'name'
       ) one
  LEFT JOIN LATERAL jsonb_each(CASE WHEN jsonb_typeof(one.value) = 'object' AND NOT one.value ? 'value' THEN one.value END)
       two ON true
  LEFT JOIN LATERAL jsonb_each(CASE WHEN jsonb_typeof(two.value) = 'object' AND NOT two.value ? 'value' THEN two.value END)
       three ON true
  LEFT JOIN LATERAL jsonb_each(CASE WHEN jsonb_typeof(three.value) = 'object' AND NOT three.value ? 'value' THEN three.value END)
       four ON true
 CROSS JOIN LATERAL (
       SELECT one.name || coalesce('.' || two.key, '') || coalesce('.' || three.key, '') || coalesce('.' || four.key, '') AS name,
              coalesce(four.value, three.value, two.value, one.value) AS value
       ) item
 CROSS JOIN LATERAL (SELECT CASE WHEN item.value ? 'value' THEN item.value -> 'value' ELSE item.value END AS scalar) read
 WHERE c.analysis IS NOT NULL AND jsonb_typeof(scalar) IN ('string', 'number', 'boolean') AND scalar #>> '{}' <> '';

COMMENT ON VIEW bi_pii.call_scores IS
    'One row per call and item of its evaluation: scores, tags, answers and sentiments from bi.calls.analysis, in any shape that '
    'a provider sends. Ravan, Autocalls and Vaani';
COMMENT ON COLUMN bi_pii.call_scores.name IS
    'Name of the item, as the provider or your agent''s settings call it; inside of others with dots, such as '
    'call_conversation_quality.score. Never null';
COMMENT ON COLUMN bi_pii.call_scores.value IS 'Value of the item as text. Never null and never empty';
COMMENT ON COLUMN bi_pii.call_scores.number IS
    'The value as a number, for averages: a number, a text of one, or 1 and 0 for true and false. Null where it is another text';
