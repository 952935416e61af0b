-- What dlt loaded (wide rows, transcripts as text, payloads) → what Callhouse keeps: calls with their outcome and costs by
-- component, turns, rollups, the same indexes, full-text search. Everything at once, indexes last: the fastest way there is.
-- It knows the shapes of the simulator alone, checks nothing, keeps no changes and cannot add one new call.
SET maintenance_work_mem = '256MB';
SET work_mem = '64MB';
CREATE SCHEMA same;

CREATE TABLE same.transcripts AS
SELECT c.source, c.id, t.turn_count, t.speakers, t.texts, t.times
  FROM dlt.calls c
 CROSS JOIN LATERAL (
       SELECT count(*)::integer AS turn_count,
              string_agg(CASE WHEN who IN ('bot', 'agent', 'ai', 'assistent') THEN 'a'
                              WHEN who IN ('user', 'human', 'customer', 'kunde', '') THEN 'c'
                              WHEN who = 'system' THEN 's' WHEN who = 'unknown' THEN 'u' ELSE 'a' END, '' ORDER BY position)
                  AS speakers,
              jsonb_agg(text ORDER BY position) AS texts,
              CASE WHEN count(spoken_at) > 0
                   THEN jsonb_agg(jsonb_build_array(spoken_at, NULL) ORDER BY position) END AS times
         FROM (SELECT position, lower(split_part(line, ': ', 1)) AS who,
                      btrim(substr(line, strpos(line, ': ') + 2), E' \n') AS text, NULL::timestamptz AS spoken_at
                 FROM regexp_split_to_table(CASE WHEN NOT c.transcript ^@ '[{' THEN E'\n' || c.transcript END,
                                            '\n ?(?:\[[\d :-]+\] )?(?=\w*: )') WITH ORDINALITY lines(line, position)
                WHERE position > 1
                UNION ALL
               SELECT position,
                      CASE WHEN turn ? 'sender'
                           THEN CASE turn ->> 'type' WHEN 'transcript' THEN turn ->> 'sender' ELSE 'system' END
                           WHEN turn ? 'bot' THEN 'bot' WHEN turn ? 'user' THEN 'user'
                           ELSE coalesce(nullif(coalesce(turn ->> 'role', turn -> 'message' ->> 'role'), ''), 'unknown') END,
                      coalesce(turn ->> 'text', turn ->> 'content', turn -> 'message' ->> 'content', turn ->> 'message',
                               turn ->> 'bot', turn ->> 'user'),
                      CASE WHEN turn ? 'timestamp_ms' THEN to_timestamp((turn ->> 'timestamp_ms')::double precision / 1000)
                           WHEN turn ? 'sender' THEN to_timestamp((turn ->> 'timestamp')::double precision)
                           ELSE (turn ->> 'timestamp')::timestamptz END
                 FROM jsonb_array_elements(CASE WHEN c.transcript ^@ '[{' THEN c.transcript::jsonb END)
                      WITH ORDINALITY items(turn, position)) turns) t
 WHERE c.transcript <> '' AND t.turn_count > 0;

CREATE TABLE same.calls AS
SELECT source, id, direction, outcome, status, is_final,
       CASE source WHEN 'vaani' THEN answered_at IS NOT NULL ELSE outcome IN ('completed', 'transferred') END AS is_answered,
       agent_id, agent_name, campaign, from_number, to_number,
       CASE direction WHEN 'inbound' THEN from_number ELSE to_number END AS customer_number,
       CASE direction WHEN 'inbound' THEN to_number ELSE from_number END AS agent_number,
       customer_name, customer_email, created_at, started_at, answered_at, ended_at, updated_at, seconds, cost,
       CASE source WHEN 'autocalls' THEN 'USD' WHEN 'ravan' THEN 'unknown' ELSE 'credits' END AS cost_unit,
       (SELECT jsonb_object_agg(key, jsonb_build_array(value, CASE WHEN source = 'autocalls' THEN 'USD' ELSE 'unknown' END))
          FROM jsonb_each(costs::jsonb) WHERE value <> 'null') AS costs,
       answered_by, recording_url, summary, error, latency_ms, analysis::jsonb AS analysis, metadata::jsonb AS metadata,
       coalesce(turn_count, 0) AS turn_count, turn_count IS NOT NULL AS has_transcript, now() AS first_seen_at
  FROM dlt.calls
  LEFT JOIN same.transcripts USING (source, id)
 CROSS JOIN LATERAL (SELECT lower(translate(coalesce(detail, status), '- ', '__')) AS word) said
 CROSS JOIN LATERAL (
       SELECT CASE WHEN source = 'vaani'
                   THEN CASE WHEN word ~ 'busy|reject' THEN 'busy' WHEN word ~ 'fail|error' THEN 'failed'
                             WHEN word ~ 'transfer' THEN 'transferred'
                             WHEN answered_at IS NOT NULL THEN 'completed' ELSE 'no_answer' END
                   WHEN word = 'completed' OR word ^@ 'ended' THEN 'completed'
                   WHEN word = 'forwarded' THEN 'transferred'
                   WHEN answered_by = 'machine' OR word ^@ 'voicemail' THEN 'voicemail'
                   WHEN word IN ('failed', 'error') THEN 'failed'
                   WHEN word IN ('canceled', 'cancelled') THEN 'canceled' ELSE word END AS outcome,
              CASE WHEN source = 'vaani' THEN ended_at IS NOT NULL
                   ELSE word NOT IN ('registered', 'ongoing', 'retry', 'pending', 'ringing', 'in_progress', 'initiated')
              END AS is_final) judged;

CREATE TABLE same.call_rollup_daily AS
SELECT (created_at AT TIME ZONE 'UTC')::date AS day, source, agent_id, agent_name, campaign, direction, cost_unit,
       count(*) AS calls, count(*) FILTER (WHERE is_answered) AS answered, coalesce(sum(seconds), 0) AS seconds,
       coalesce(sum(cost), 0) AS cost, count(cost) AS calls_with_cost, min(created_at) AS first_call_at,
       max(created_at) AS last_call_at
  FROM same.calls
 GROUP BY 1, 2, 3, 4, 5, 6, 7;
CREATE INDEX ON same.call_rollup_daily (day);

CREATE TABLE same.stream_rollup_daily AS
SELECT source, partition, (created_at AT TIME ZONE 'UTC')::date AS day, outcome, count(*) AS calls,
       count(*) FILTER (WHERE NOT is_final) AS open_count
  FROM same.calls
 CROSS JOIN LATERAL (SELECT '' UNION ALL
                     SELECT number FROM (SELECT DISTINCT unnest(ARRAY[from_number, to_number])) of_call(number)
                      WHERE source = 'ravan' AND number = ANY (%(phones)s)) streams(partition)
 GROUP BY 1, 2, 3, 4;
ALTER TABLE same.stream_rollup_daily ADD PRIMARY KEY (source, partition, day, outcome);

ALTER TABLE same.calls ADD PRIMARY KEY (id, source);
CREATE INDEX ON same.calls (source, created_at);
CREATE INDEX ON same.calls (created_at);
CREATE INDEX ON same.calls (customer_number, created_at);
CREATE INDEX ON same.calls (agent_number);
CREATE INDEX ON same.calls (source, created_at) WHERE is_final IS NOT TRUE;
CREATE INDEX ON same.calls (source, created_at) INCLUDE (id, is_final)
 WHERE is_final IS NOT FALSE AND answered_at IS NOT NULL AND NOT has_transcript;
ALTER TABLE same.transcripts ADD PRIMARY KEY (id, source);
CREATE INDEX ON same.transcripts USING gin (to_tsvector('simple', texts));
