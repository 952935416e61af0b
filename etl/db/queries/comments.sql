-- The comments that people read in a BI tool.

-- name: inherited_comments
-- Columns without a comment of their own, with the comment of the column by the same name in the first of three tables
-- that has one; the metrics by day and hour take that of the view that they read.
SELECT format('%s.%s.%s', n.nspname, r.relname, a.attname) AS name, source.comment
  FROM pg_class r
  JOIN pg_namespace n ON n.oid = r.relnamespace AND n.nspname = ANY(:schemas)
  JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
 CROSS JOIN LATERAL (
       SELECT col_description(t.attrelid, t.attnum) AS comment
         FROM unnest(CASE WHEN r.relname LIKE '%\_call\_metrics' THEN '{warehouse.call_metrics}'::regclass[]
                          WHEN r.relname = 'calls_history' THEN '{bi_pii.calls}'::regclass[] END
                  || ARRAY['warehouse.calls', 'warehouse.changes', 'warehouse.call_rollup']::regclass[])
              WITH ORDINALITY described(relation, place)
         JOIN pg_attribute t ON t.attrelid = described.relation AND t.attname = a.attname
        WHERE col_description(t.attrelid, t.attnum) IS NOT NULL
        ORDER BY place LIMIT 1) source
 WHERE r.relkind IN ('r', 'v') AND format('%s.%s.%s', n.nspname, r.relname, a.attname) <> ALL(:described)

-- name: public_columns
-- The columns of the views that show personal data, in their order, with their comments.
SELECT r.relname AS view, obj_description(r.oid, 'pg_class') AS view_comment, a.attname AS name,
       col_description(r.oid, a.attnum) AS comment
  FROM pg_class r
  JOIN pg_namespace n ON n.oid = r.relnamespace AND n.nspname = 'bi_pii'
  JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE r.relkind = 'v'
 ORDER BY r.relname, a.attnum
