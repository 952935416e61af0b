-- What warehouse.rollup_calls() finds under this name after a DELETE, which has no transition table of new rows.
CREATE OR REPLACE VIEW warehouse.new_calls AS SELECT * FROM warehouse.calls WHERE false;

COMMENT ON VIEW warehouse.new_calls IS
    'Always empty: stands in for the new rows of a statement in warehouse.rollup_calls() where there are none';
