-- What the user of a database may do, before it does it.

-- name: missing_grants
-- What to grant: temporary tables, schemas that are missing or may not be used, tables and views, and the functions that our statements call, whose EXECUTE a
-- server may have taken from PUBLIC.
SELECT format('GRANT TEMPORARY ON DATABASE %I TO %I', current_database(), current_user) AS statement
 WHERE NOT has_database_privilege(current_database(), 'TEMPORARY')
 UNION ALL
SELECT format('GRANT CREATE ON DATABASE %I TO %I', current_database(), current_user)
 WHERE NOT has_database_privilege(current_database(), 'CREATE')
   AND (SELECT count(*) FROM pg_namespace WHERE nspname = ANY(:schemas)) < cardinality(CAST(:schemas AS text[]))
 UNION ALL
SELECT format('GRANT USAGE ON SCHEMA %I TO %I', nspname, current_user)
  FROM pg_namespace WHERE nspname = ANY(:schemas) AND NOT has_schema_privilege(oid, 'USAGE')
 UNION ALL
SELECT format('GRANT %s ON %I.%I TO %I', string_agg(privilege, ', ' ORDER BY privilege), nspname, relname, current_user)
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = relnamespace
 CROSS JOIN unnest(CASE relkind WHEN 'r' THEN ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE'] ELSE ARRAY['SELECT'] END)
       privilege
 WHERE nspname = ANY(:schemas) AND relkind IN ('r', 'v') AND NOT has_table_privilege(c.oid, privilege)
 GROUP BY nspname, relname
 UNION ALL
SELECT format('GRANT USAGE ON SEQUENCE %I.%I TO %I', nspname, relname, current_user)
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = relnamespace
 WHERE nspname = ANY(:schemas) AND CASE relkind WHEN 'S' THEN NOT has_sequence_privilege(c.oid, 'USAGE') END
 UNION ALL
SELECT format('GRANT EXECUTE ON FUNCTION %s TO %I', CAST(p.oid AS regprocedure), current_user)
  FROM pg_proc p
  JOIN pg_namespace n ON n.oid = pronamespace
 WHERE (nspname = ANY(:schemas) OR nspname = 'pg_catalog' AND proname = ANY(:functions))
   AND NOT has_function_privilege(p.oid, 'EXECUTE')
   AND NOT EXISTS (SELECT FROM pg_init_privs i
                    WHERE i.objoid = p.oid AND i.classoid = CAST('pg_proc' AS regclass) AND i.privtype = 'i')
 ORDER BY 1

-- name: connection_limit
-- How many connections the user may have: the least of what the role, the database and the server allow.
SELECT connections, setting
  FROM (SELECT rolconnlimit, format('ALTER ROLE %I CONNECTION LIMIT 10', rolname)
          FROM pg_roles WHERE rolname = session_user AND rolconnlimit >= 0 AND NOT rolsuper
         UNION ALL
        SELECT datconnlimit, format('ALTER DATABASE %I CONNECTION LIMIT 10', datname)
          FROM pg_database WHERE datname = current_database() AND datconnlimit >= 0
         UNION ALL
        SELECT CAST(current_setting('max_connections') AS int)
               - CAST(current_setting('superuser_reserved_connections') AS int)
               - CAST(coalesce(current_setting('reserved_connections', true), '0') AS int),
               'ALTER SYSTEM SET max_connections = 100') limits (connections, setting)
 ORDER BY connections LIMIT 1
