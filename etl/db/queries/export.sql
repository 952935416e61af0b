-- The views that `etl export` writes to files.

-- name: views
-- The views of a schema.
SELECT relname AS name
  FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
 WHERE nspname = :schema AND relkind = 'v'
 ORDER BY relname

-- name: columns
-- The columns of a view, in order.
SELECT attname AS name, format_type(atttypid, NULL) AS type, col_description(attrelid, attnum) AS comment
  FROM pg_attribute
 WHERE attrelid = CAST(:view AS regclass) AND attnum > 0 AND NOT attisdropped
 ORDER BY attnum

-- name: begin_snapshot
-- Everything that this transaction reads is of one moment.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY
