COMMENT ON SCHEMA raw IS 'Records as the providers sent them';
COMMENT ON SCHEMA warehouse IS 'Tables behind the views of bi and bi_pii';
COMMENT ON SCHEMA ops IS 'State and history of the pipeline: sources, runs, coverage, quarantine, alerts';
COMMENT ON SCHEMA bi_pii IS 'The views of bi with personal data, for those who may see it';
COMMENT ON SCHEMA bi IS 'Views for reporting, with personal data masked: their names and columns stay as they are';
COMMENT ON SCHEMA queue IS 'The queue of jobs between daemons and workers: the tables of procrastinate, without personal data';
