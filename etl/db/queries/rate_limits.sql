-- One budget of requests for every process that reads a source.

-- name: start_rate_limit
-- Sets the configured rate; another one than before discards the adaptive rate.
UPDATE ops.rate_limits
   SET requests_per_minute = :configured,
       adaptive_rate_per_minute = CASE WHEN requests_per_minute = :configured THEN adaptive_rate_per_minute END,
       adapted_at = CASE WHEN requests_per_minute = :configured THEN adapted_at END
 WHERE source = :source
RETURNING adaptive_rate_per_minute, adapted_at

-- name: reserve_request
-- Lets a request through where its slot has come, and numbers it; else returns when to ask again. This is the generic cell
-- rate algorithm (ITU-T I.371): requests that come early use up the burst, the others are spaced evenly. Times that
-- lie further ahead than they can be, or were set in the future, were written by a wrong clock, and are ignored.
WITH budget AS (
    SELECT CASE WHEN next_slot_at <= :now + :interval + interval '11 seconds' THEN greatest(next_slot_at, :now) ELSE :now END AS slot_at,
           CASE WHEN blocked_at IS NULL OR blocked_at <= :now + interval '10 seconds' THEN blocked_until END AS not_before,
           adaptive_rate_per_minute, adapted_at
      FROM ops.rate_limits WHERE source = :source FOR UPDATE
), sent AS (
    UPDATE ops.rate_limits SET next_slot_at = slot_at + :interval, blocked_until = NULL
      FROM budget
     WHERE source = :source AND greatest(slot_at - :early, not_before) <= :now
    RETURNING next_slot_at, nextval('ops.request_seq') AS seq
)
SELECT next_slot_at, greatest(slot_at - :early, not_before) AS send_at, budget.adaptive_rate_per_minute, budget.adapted_at,
       seq
  FROM budget LEFT JOIN sent ON true

-- name: lower_rate
-- Stores a lower rate, unless the rate was lowered after the request with this number was sent: that refusal says nothing
-- about the rate since.
UPDATE ops.rate_limits SET adaptive_rate_per_minute = :rate, adapted_at = :now, adapted_seq = nextval('ops.request_seq')
 WHERE source = :source AND (adapted_seq IS NULL OR adapted_seq < :seq)
RETURNING adaptive_rate_per_minute, adapted_at

-- name: back_off_until
-- Stores the provider's Retry-After; a shorter one than is stored changes nothing, unless a wrong clock has stored that.
UPDATE ops.rate_limits
   SET blocked_until = CASE WHEN blocked_at <= :now + interval '10 seconds' THEN greatest(blocked_until, :until) ELSE :until END,
       blocked_at = :now
 WHERE source = :source

-- name: blocked_until
-- The Retry-After that is in force; one that was asked for in the future was set by a wrong clock.
SELECT blocked_until FROM ops.rate_limits
 WHERE source = :source AND (blocked_at IS NULL OR blocked_at <= :now + interval '10 seconds')
