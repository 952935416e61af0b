-- What the demo suggests to try; each runs as it is printed.

-- name: calls_by_day
-- Answered calls and minutes of the last week, day by day.
SELECT day, source, sum(calls) AS calls, sum(answered) AS answered,
       round(sum(minutes), 1) AS minutes
  FROM bi.daily_call_metrics
 WHERE day > current_date - 7 GROUP BY day, source ORDER BY day, source

-- name: cost_per_minute
-- What a minute costs, by agent and unit.
SELECT source, agent_name, cost_unit,
       round(sum(cost) / nullif(sum(minutes), 0), 3) AS per_minute
  FROM bi.daily_call_metrics
 GROUP BY source, agent_name, cost_unit HAVING sum(cost) > 0 ORDER BY 4 DESC

-- name: newest_conversation
-- The newest conversation, turn by turn.
SELECT speaker, text FROM bi.transcript_turns
 WHERE call_key = (SELECT call_key FROM bi.calls WHERE has_transcript
                    ORDER BY created_at DESC LIMIT 1) ORDER BY turn_index
