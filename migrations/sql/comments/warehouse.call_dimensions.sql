-- agent_id to cost_unit have the comments of warehouse.calls.
COMMENT ON TABLE warehouse.call_dimensions IS
    'One row per combination of agent, campaign, direction and unit of cost that a source''s calls have';
COMMENT ON COLUMN warehouse.call_dimensions.dimension_id IS 'Number of the combination';
COMMENT ON COLUMN warehouse.call_dimensions.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN warehouse.call_dimensions.timezone IS
    'Time zone by whose days and hours call_rollup counts this combination: report_timezone of the source, or the next one';
COMMENT ON COLUMN warehouse.call_dimensions.dimension_hash IS
    'Hash of the columns that follow, by warehouse.dimension_hash(): a key where they are long or null';
