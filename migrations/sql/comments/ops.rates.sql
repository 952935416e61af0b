COMMENT ON TABLE ops.rates IS 'Rates from a source''s unit of cost to a currency, as set by etl rates';
COMMENT ON COLUMN ops.rates.source IS 'Name of the source in the configuration';
COMMENT ON COLUMN ops.rates.unit IS 'Unit of the source''s costs, such as ringg_credits';
COMMENT ON COLUMN ops.rates.currency IS 'Currency (ISO 4217) that the rate converts to';
COMMENT ON COLUMN ops.rates.valid_from IS
    'First local day of the calls that the rate is for; it ends where the next rate of the same unit and currency begins';
COMMENT ON COLUMN ops.rates.rate IS 'How much of the currency one unit is. Above zero';
