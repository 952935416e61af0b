-- What warehouse.rollup_calls() finds under this name after an INSERT, which has no transition table of old rows.
CREATE OR REPLACE VIEW warehouse.old_calls AS SELECT * FROM warehouse.calls WHERE false;

COMMENT ON VIEW warehouse.old_calls IS
    'Always empty: stands in for the old rows of a statement in warehouse.rollup_calls() where there are none';
