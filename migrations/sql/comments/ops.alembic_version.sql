COMMENT ON TABLE ops.alembic_version IS 'The revision of this database: the version of its tables, views and functions';
COMMENT ON COLUMN ops.alembic_version.version_num IS 'The newest revision that was applied';
