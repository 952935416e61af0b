-- Each source that has had no successful sync for a day.
SELECT source, last_success_at
  FROM {{ source('callhouse', 'freshness') }}
 WHERE last_success_at IS NULL OR last_success_at < now() - interval '1 day'
