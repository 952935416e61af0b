COMMENT ON TABLE ops.source_settings IS
    'The sources that `etl sources` configured. Whoever may write here decides where keys are sent: no other user should';
COMMENT ON COLUMN ops.source_settings.source IS 'Name of the source: one account of one provider';
COMMENT ON COLUMN ops.source_settings.settings IS
    'Its settings, as [sources.NAME] of etl.toml has them; what is not in it has its default';
COMMENT ON COLUMN ops.source_settings.api_key IS
    'Where its API key is, env:NAME or file:PATH, or the key itself, encrypted under ETL_SECRET_KEY';
COMMENT ON COLUMN ops.source_settings.version IS 'A new number with every change, so that daemons see what is new';
