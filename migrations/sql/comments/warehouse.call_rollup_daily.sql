COMMENT ON TABLE warehouse.call_rollup_daily IS
    'Counts and sums per day and combination of dimensions, kept by triggers on warehouse.calls';
COMMENT ON COLUMN warehouse.call_rollup_daily.day IS 'Day of created_at in UTC';
COMMENT ON COLUMN warehouse.call_rollup_daily.dimension_id IS 'The combination, a row of warehouse.call_dimensions';
COMMENT ON COLUMN warehouse.call_rollup_daily.calls IS 'Number of calls';
COMMENT ON COLUMN warehouse.call_rollup_daily.answered IS
    'Number of these calls that were answered, by a person or a machine';
COMMENT ON COLUMN warehouse.call_rollup_daily.human_answered IS
    'Number of these calls that a person took, as far as the provider tells (bi.calls.is_human_answered)';
COMMENT ON COLUMN warehouse.call_rollup_daily.voicemail IS
    'Number of these calls that a machine took (bi.calls.is_voicemail)';
COMMENT ON COLUMN warehouse.call_rollup_daily.transferred IS 'Number of these calls whose outcome is transferred';
COMMENT ON COLUMN warehouse.call_rollup_daily.no_answer IS 'Number of these calls whose outcome is no_answer';
COMMENT ON COLUMN warehouse.call_rollup_daily.busy IS 'Number of these calls whose outcome is busy';
COMMENT ON COLUMN warehouse.call_rollup_daily.failed IS 'Number of these calls whose outcome is failed';
COMMENT ON COLUMN warehouse.call_rollup_daily.calls_with_cost IS 'Number of these calls that have a cost';
COMMENT ON COLUMN warehouse.call_rollup_daily.duration_seconds IS 'Sum of duration_seconds of these calls';
COMMENT ON COLUMN warehouse.call_rollup_daily.answered_seconds IS
    'Sum of duration_seconds of those of these calls that were answered';
COMMENT ON COLUMN warehouse.call_rollup_daily.cost IS 'Sum of cost of these calls, in cost_unit';
COMMENT ON COLUMN warehouse.call_rollup_daily.first_call_at IS 'created_at of the oldest of these calls';
COMMENT ON COLUMN warehouse.call_rollup_daily.last_call_at IS 'created_at of the newest of these calls';
