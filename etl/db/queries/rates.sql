-- Rates from the units of costs to currencies.

-- name: add_rate
-- Adds a rate, unless there is one of the same source, unit, currency and day.
INSERT INTO ops.rates (source, unit, currency, valid_from, rate) VALUES (:source, :unit, :currency, :valid_from, :rate)
    ON CONFLICT DO NOTHING

-- name: rate_from
-- The rate that begins on a day.
SELECT rate FROM ops.rates
 WHERE source = :source AND unit = :unit AND currency = :currency AND valid_from = :valid_from

-- name: rates
-- All rates, or those of some sources.
SELECT source, unit, currency, valid_from, rate,
       lead(valid_from) OVER (PARTITION BY source, unit, currency ORDER BY valid_from) AS valid_until
  FROM ops.rates
 WHERE CAST(:sources AS text[]) = '{}' OR source = ANY(:sources)
 ORDER BY source, unit, currency, valid_from

-- name: remove_rate
-- Removes the rate that begins on a day.
DELETE FROM ops.rates
 WHERE source = :source AND unit = :unit AND currency = :currency AND valid_from = :valid_from

-- name: units
-- The units of a source's costs.
SELECT DISTINCT cost_unit AS unit FROM warehouse.call_dimensions
 WHERE source = :source AND cost_unit IS NOT NULL ORDER BY 1
