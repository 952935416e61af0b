COMMENT ON TABLE warehouse.call_rollup IS
    'Counts and sums per local day, and per hour of it, and combination of dimensions, kept by triggers on warehouse.calls';
COMMENT ON COLUMN warehouse.call_rollup.day IS 'Day of created_at in the time zone of reports (ops.sources.report_timezone)';
COMMENT ON COLUMN warehouse.call_rollup.hour IS 'Hour of the day, 0 to 23; -1 for the whole day, which has a row of its own';
COMMENT ON COLUMN warehouse.call_rollup.dimension_id IS 'The combination, a row of warehouse.call_dimensions';
COMMENT ON COLUMN warehouse.call_rollup.calls IS 'Number of calls';
COMMENT ON COLUMN warehouse.call_rollup.answered IS
    'Number of these calls that were answered, by a person or a machine';
COMMENT ON COLUMN warehouse.call_rollup.human_answered IS
    'Number of these calls that a person took, as far as the provider tells (bi.calls.is_human_answered)';
COMMENT ON COLUMN warehouse.call_rollup.voicemail IS
    'Number of these calls that a machine took (bi.calls.is_voicemail)';
COMMENT ON COLUMN warehouse.call_rollup.machine_answered IS
    'Number of those in voicemail whose outcome is another: a machine answered, and the call was completed or transferred';
COMMENT ON COLUMN warehouse.call_rollup.completed IS 'Number of these calls whose outcome is completed';
COMMENT ON COLUMN warehouse.call_rollup.transferred IS 'Number of these calls whose outcome is transferred';
COMMENT ON COLUMN warehouse.call_rollup.no_answer IS 'Number of these calls whose outcome is no_answer';
COMMENT ON COLUMN warehouse.call_rollup.busy IS 'Number of these calls whose outcome is busy';
COMMENT ON COLUMN warehouse.call_rollup.failed IS 'Number of these calls whose outcome is failed';
COMMENT ON COLUMN warehouse.call_rollup.canceled IS 'Number of these calls whose outcome is canceled';
COMMENT ON COLUMN warehouse.call_rollup.in_progress IS 'Number of these calls whose outcome is in_progress';
COMMENT ON COLUMN warehouse.call_rollup.calls_with_cost IS 'Number of these calls that have a cost';
COMMENT ON COLUMN warehouse.call_rollup.duration_seconds IS 'Sum of duration_seconds of these calls';
COMMENT ON COLUMN warehouse.call_rollup.answered_seconds IS
    'Sum of duration_seconds of those of these calls that were answered';
COMMENT ON COLUMN warehouse.call_rollup.cost IS 'Sum of cost of these calls, in cost_unit';
COMMENT ON COLUMN warehouse.call_rollup.first_call_at IS 'created_at of the oldest of these calls';
COMMENT ON COLUMN warehouse.call_rollup.last_call_at IS 'created_at of the newest of these calls';
