COMMENT ON SCHEMA raw IS 'Records as the providers sent them';
COMMENT ON SCHEMA warehouse IS 'Tables behind the views of bi';
COMMENT ON SCHEMA ops IS 'State and history of the pipeline: sources, runs, coverage, quarantine, alerts';
COMMENT ON SCHEMA bi IS 'Views for reporting: their names and columns stay as they are';
