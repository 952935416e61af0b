-- A combination of another time zone is one that is being counted, or no longer shown.
CREATE OR REPLACE VIEW warehouse.active_dimensions AS
SELECT d.*, s.report_currency
  FROM warehouse.call_dimensions d
  JOIN ops.sources s ON (s.source, s.report_timezone) = (d.source, d.timezone);

COMMENT ON VIEW warehouse.active_dimensions IS
    'The rows of warehouse.call_dimensions whose rollup is shown: those counted by the time zone of reports';
COMMENT ON COLUMN warehouse.active_dimensions.timezone IS 'Time zone of reports of the source, such as Asia/Kolkata';
COMMENT ON COLUMN warehouse.active_dimensions.dimension_hash IS 'Hash of the combination, as in warehouse.call_dimensions';
COMMENT ON COLUMN warehouse.active_dimensions.report_currency IS
    'Currency (ISO 4217) to which costs are converted. Null: none is configured';
