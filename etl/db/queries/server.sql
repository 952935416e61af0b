-- The database itself: its version, its revision, and who may read it.

-- name: version_table
-- The table of the revision, null where the database was never migrated.
SELECT to_regclass('ops.alembic_version')

-- name: revision
-- The revision of the database.
SELECT version_num FROM ops.alembic_version

-- name: has_compatible_since
-- Null where a database was not migrated by Callhouse.
SELECT to_regprocedure('ops.compatible_since()')

-- name: compatible_since
-- The oldest revision whose version may use the database.
SELECT ops.compatible_since()

-- name: server
-- The server's major version, and the encoding of the database.
SELECT current_setting('server_version_num')::int / 10000 AS version, current_setting('server_encoding') AS encoding

-- name: database
-- The name of the database.
SELECT current_database()

-- name: foreign_table
-- Any table that is there before the first migration.
SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables
 WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_schema NOT LIKE 'pg\_%'
   AND table_type = 'BASE TABLE' ORDER BY 1 LIMIT 1

-- name: reader
-- Whether a role exists, and whether it may read a schema of views.
SELECT CAST(:role AS text) AS role, CAST(:schema AS text) AS schema, oid IS NOT NULL AS role_exists,
       coalesce(has_schema_privilege(oid, :schema, 'USAGE') AND has_schema_privilege(oid, 'bi', 'USAGE')
                AND has_table_privilege(oid, :schema || '.calls', 'SELECT')
                AND has_function_privilege(oid, 'warehouse.is_final(boolean, timestamptz, timestamptz)', 'EXECUTE'),
                false) AS can_read
  FROM (SELECT (SELECT oid FROM pg_roles WHERE rolname = :role)) role

-- name: set_lock_timeout
-- Waits for locks of this transaction as long as the migration of another process may take.
SELECT set_config('lock_timeout', '10min', true)

-- name: lock_migration
-- Lets one process migrate at a time.
SELECT pg_advisory_xact_lock(:lock)

-- name: set_statement_timeout
-- Bounds the statements of this transaction.
SELECT set_config('statement_timeout', :timeout, true)

-- name: clock_difference
-- How many seconds a clock is ahead of the server's.
SELECT extract(epoch FROM :now - clock_timestamp())::float8 AS seconds
