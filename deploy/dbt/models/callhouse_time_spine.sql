{{ config(materialized='table') }}
SELECT day::date AS day
  FROM generate_series(timestamp '2015-01-01', current_date + interval '1 year', interval '1 day') AS day
