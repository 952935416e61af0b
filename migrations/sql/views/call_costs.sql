CREATE OR REPLACE VIEW bi_pii.call_costs AS
SELECT c.call_key, c.source, warehouse.bare_links(part.key) AS component, (part.value ->> 0)::numeric AS amount,
       part.value ->> 1 AS unit,
       part.value ->> 1 IS NOT DISTINCT FROM c.cost_unit AND part.key NOT LIKE '%\_credits' AS is_part_of_total
  FROM warehouse.calls c
 CROSS JOIN LATERAL jsonb_each(c.costs) part;

COMMENT ON VIEW bi_pii.call_costs IS
    'One row per component of a call''s cost, where the provider lists components: Ravan (twilio_cost, model_cost and those '
    'of credit_breakdown) and Autocalls (carrier_cost). The total is bi.calls.cost; components need not add up to it';
COMMENT ON COLUMN bi_pii.call_costs.component IS 'The provider''s name of the component. Never null';
COMMENT ON COLUMN bi_pii.call_costs.amount IS 'Amount of the component, in unit. Never null';
COMMENT ON COLUMN bi_pii.call_costs.unit IS
    'Unit of amount: a currency (ISO 4217), ravan_credits, or unknown where the provider does not say. Never add up '
    'different units';
COMMENT ON COLUMN bi_pii.call_costs.is_part_of_total IS
    'Whether the amount is a part of bi.calls.cost, in the same unit. False for Ravan''s credits, which state parts of the same '
    'cost once more in another unit. The parts need not add up to the total. Never null';
