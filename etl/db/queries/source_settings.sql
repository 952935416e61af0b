-- The sources that are configured in the database, beside those of etl.toml and the environment.

-- name: lock
-- One writer at a time, in whose order the versions are; readers do not wait.
LOCK TABLE ops.source_settings IN SHARE ROW EXCLUSIVE MODE

-- name: version
-- What differs after any change: a row that is added or changed has the highest version, and one that is removed is missing.
SELECT count(*) AS sources, coalesce(max(version), 0) AS latest FROM ops.source_settings

-- name: all_rows
-- All of them.
SELECT source, settings, api_key, version FROM ops.source_settings ORDER BY source

-- name: save
-- Adds sources, or replaces their settings; one that is paused because its key was refused is tried again.
WITH resumed AS (
    UPDATE ops.sources SET paused_until = NULL, pause_reason = NULL
     WHERE source = ANY(:sources) AND paused_until IS NOT NULL
)
INSERT INTO ops.source_settings AS stored (source, settings, api_key)
SELECT source, CAST(settings AS jsonb), api_key
  FROM unnest(CAST(:sources AS text[]), CAST(:settings AS text[]), CAST(:api_keys AS text[]))
       AS given (source, settings, api_key)
    ON CONFLICT (source) DO UPDATE
   SET settings = excluded.settings, api_key = excluded.api_key, version = excluded.version

-- name: remove
-- Removes a source from the configuration; what is stored of it stays.
DELETE FROM ops.source_settings WHERE source = :source

-- name: known_accounts
-- Whose accounts sources are, of those that were ever read.
SELECT source, provider, host FROM ops.sources WHERE source = ANY(:sources)

-- name: stored_calls
-- How many calls are stored of a source.
SELECT coalesce(sum(calls), 0)::bigint AS calls FROM warehouse.stream_rollup_daily WHERE source = :source
