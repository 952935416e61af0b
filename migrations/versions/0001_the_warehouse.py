"""The warehouse: four schemas, their tables, and the public views."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMAS = {
    "raw": "Payloads as the providers sent them",
    "warehouse": "The tables behind the public views",
    "ops": "The pipeline's own books",
    "bi": "The public face: views that keep their names and columns",
}

# Every view of the public face: what it is, its query, and what each column means.
VIEWS: dict[str, tuple[str, str, dict[str, str]]] = {
    "calls": (
        "One row per call, of every source",
        """
        SELECT c.call_key, c.source, c.provider, c.provider_call_id, c.direction, c.outcome, c.provider_status,
               coalesce(c.is_final, c.created_at < now() - interval '1 day') AS is_final,
               c.agent_id, c.agent_name, c.campaign_name, c.from_number, c.to_number, c.customer_number,
               c.agent_number, c.customer_name, c.customer_email, c.created_at, c.started_at, c.answered_at,
               c.ended_at, c.updated_at, c.duration_seconds, c.talk_seconds, c.duration_basis, c.cost, c.cost_unit,
               c.answered_by, c.ended_by,
               -- a signed link is a credential: whoever holds it hears the call, so its signature stays behind
               regexp_replace(c.recording_url, '[?](.*&)?(x-amz-[^=&]*|[^=&]*signature|sig|token|expires|policy)=.*$', '', 'i')
                   AS recording_url,
               c.summary, c.sentiment, c.error_message, c.latency_ms, c.analysis, c.metadata, c.extra, c.turn_count,
               c.has_transcript, c.quality_flags, c.first_seen_at, c.changed_at,
               CASE WHEN coalesce(c.is_final, c.created_at < now() - interval '1 day')
                     AND c.created_at + make_interval(secs => s.settled_after_seconds::double precision) <= now()
                    THEN c.created_at + make_interval(secs => s.settled_after_seconds::double precision)
               END AS settled_at,
               c.delisted_at
          FROM warehouse.calls c
          JOIN ops.sources s USING (source)
        """,
        {
            "call_key": "The call, the same for a (source, provider id) everywhere and always",
            "source": "The account that the call was read from, as configured",
            "provider": "The vendor whose API was read: ringg, ravan, autocalls or vaani",
            "provider_call_id": "The provider's own id, as text",
            "direction": "inbound, outbound, web or unknown",
            "outcome": "completed, no_answer, busy, failed, canceled, voicemail, in_progress or unknown",
            "provider_status": "The status as the provider sent it",
            "is_final": "The provider changes nothing of it any more, as far as its own marks say",
            "agent_id": "The provider's id of the voice agent",
            "agent_name": "The name of the voice agent",
            "campaign_name": "The campaign that the call belongs to",
            "from_number": "Who called, E.164 where it is a number",
            "to_number": "Who was called, E.164 where it is a number",
            "customer_number": "The customer's number, whichever way the call went",
            "agent_number": "The agent's number, whichever way the call went",
            "customer_name": "The customer's name",
            "customer_email": "The customer's e-mail address",
            "created_at": "When the provider made the call's record; Vaani: when the call started",
            "started_at": "When dialling began",
            "answered_at": "When the call was picked up",
            "ended_at": "When the call ended",
            "updated_at": "When the provider last changed the record",
            "duration_seconds": "How long the call took, in seconds; duration_basis says by whose count",
            "talk_seconds": "From picked up to ended, in seconds, where both are known",
            "duration_basis": "provider: as sent; timestamps: end less start; estimate: the end is start plus duration",
            "cost": "What the call cost in all, in cost_unit; null until the provider says",
            "cost_unit": "The unit of cost: a currency, credits or unknown; different units are never added up",
            "answered_by": "human, machine or unknown",
            "ended_by": "customer, agent, system or unknown",
            "recording_url": "Where the provider keeps the recording, without a link's signature",
            "summary": "The provider's summary of the call",
            "sentiment": "The provider's judgement of the customer's mood",
            "error_message": "What went wrong, in the provider's words",
            "latency_ms": "The agent's latency, in milliseconds",
            "analysis": "The provider's evaluation of the call",
            "metadata": "What the customer's own systems attached to the call",
            "extra": "Fields that the provider sends and no column holds",
            "turn_count": "How many turns the transcript has",
            "has_transcript": "Whether a transcript is held",
            "quality_flags": "What is odd in the record; docs/warehouse.md explains each",
            "first_seen_at": "When the call was first loaded",
            "changed_at": "When a loaded value last changed",
            "settled_at": "When no sweep read it any more; null before",
            "delisted_at": "Since when a certified whole reading no longer lists it",
        },
    ),
    "transcript_turns": (
        "One row per turn of a transcript",
        """
        SELECT t.call_key, c.source, turn.turn_index, turn.speaker, turn.text, turn.spoken_at, turn.offset_seconds
          FROM warehouse.transcripts t
          JOIN warehouse.calls c USING (call_key)
         CROSS JOIN LATERAL warehouse.transcript_turns(t.speakers, t.texts, t.times) turn
        """,
        {
            "call_key": "The call",
            "source": "The account that the call was read from",
            "turn_index": "The turn's place in the transcript, from 0",
            "speaker": "agent, customer, system or unknown",
            "text": "What was said",
            "spoken_at": "When it was said, where that is known",
            "offset_seconds": "How long into the call it was said, in seconds, where that is known",
        },
    ),
    "transcripts": (
        "One row per call whose transcript is held; to search, compare words with websearch_to_tsquery('simple', …)",
        """
        SELECT t.call_key, c.source, c.created_at, c.turn_count,
               (SELECT string_agg(turn.speaker || ': ' || turn.text, E'\n' ORDER BY turn.turn_index)
                  FROM warehouse.transcript_turns(t.speakers, t.texts, t.times) turn) AS transcript,
               warehouse.transcript_tsv(t.texts) AS search_vector
          FROM warehouse.transcripts t
          JOIN warehouse.calls c USING (call_key)
        """,
        {
            "call_key": "The call",
            "source": "The account that the call was read from",
            "created_at": "When the provider made the call's record",
            "turn_count": "How many turns it has",
            "transcript": "The conversation, a line per turn: who spoke, and what was said",
            "search_vector": "The words that were said, by an index",
        },
    ),
    "call_costs": (
        "One row per component of what a call cost; the total is in bi.calls",
        """
        SELECT c.call_key, c.source, part.key AS component, (part.value ->> 0)::numeric AS amount, part.value ->> 1 AS unit
          FROM warehouse.calls c
         CROSS JOIN LATERAL jsonb_each(c.costs) part
        """,
        {
            "call_key": "The call",
            "source": "The account that the call was read from",
            "component": "The provider's name of the component",
            "amount": "How much, in unit",
            "unit": "A currency, credits or unknown",
        },
    ),
    "call_changes": (
        "One row per field of a call that changed after it was first loaded",
        "SELECT call_key, changed_at, field, old_value, new_value FROM warehouse.changes",
        {
            "call_key": "The call",
            "changed_at": "When the change was loaded",
            "field": "The column of bi.calls that changed, or transcript",
            "old_value": "What it was",
            "new_value": "What it became",
        },
    ),
    "daily_call_metrics": (
        "One row per day, source, agent, direction and unit of cost",
        """
        SELECT day, source, agent_id,
               (array_agg(agent_name ORDER BY last_call_at DESC, agent_name) FILTER (WHERE agent_name IS NOT NULL))[1]
                   AS agent_name,
               direction, cost_unit, sum(calls)::bigint AS calls, sum(answered)::bigint AS answered,
               sum(duration_seconds) / 60 AS minutes, CASE WHEN sum(calls_with_cost) > 0 THEN sum(cost) END AS cost
          FROM warehouse.call_rollup_daily
          JOIN warehouse.call_dimensions USING (dimension_id)
         GROUP BY day, source, agent_id, CASE WHEN agent_id IS NULL THEN agent_name END, direction, cost_unit
        """,
        {
            "day": "The day of created_at, UTC",
            "source": "The account that the calls were read from",
            "agent_id": "The provider's id of the voice agent",
            "agent_name": "The agent's latest name of that day",
            "direction": "inbound, outbound, web or unknown",
            "cost_unit": "The unit of cost",
            "calls": "How many calls",
            "answered": "How many of them somebody or something took",
            "minutes": "The sum of duration_seconds, in minutes",
            "cost": "The sum of cost, in cost_unit",
        },
    ),
    "agents": (
        "One row per source and voice agent",
        """
        SELECT source, agent_id,
               (array_agg(agent_name ORDER BY last_call_at DESC, agent_name) FILTER (WHERE agent_name IS NOT NULL))[1]
                   AS agent_name,
               sum(calls)::bigint AS calls, min(first_call_at) AS first_call_at, max(last_call_at) AS last_call_at
          -- first by group, which leaves few rows to put in order
          FROM (SELECT dimension_id, sum(calls) AS calls, min(first_call_at) AS first_call_at, max(last_call_at) AS last_call_at
                  FROM warehouse.call_rollup_daily
                 GROUP BY dimension_id) added
          JOIN warehouse.call_dimensions USING (dimension_id)
         WHERE agent_id IS NOT NULL OR agent_name IS NOT NULL
         GROUP BY source, agent_id, CASE WHEN agent_id IS NULL THEN agent_name END
        """,
        {
            "source": "The account that the calls were read from",
            "agent_id": "The provider's id of the voice agent; null where it sends names only",
            "agent_name": "The agent's latest name",
            "calls": "How many calls",
            "first_call_at": "created_at of the oldest",
            "last_call_at": "created_at of the newest",
        },
    ),
    "campaigns": (
        "One row per source and campaign",
        """
        SELECT source, campaign_name, sum(calls)::bigint AS calls, min(first_call_at) AS first_call_at,
               max(last_call_at) AS last_call_at
          FROM warehouse.call_rollup_daily
          JOIN warehouse.call_dimensions USING (dimension_id)
         WHERE campaign_name IS NOT NULL
         GROUP BY source, campaign_name
        """,
        {
            "source": "The account that the calls were read from",
            "campaign_name": "The campaign",
            "calls": "How many calls",
            "first_call_at": "created_at of the oldest",
            "last_call_at": "created_at of the newest",
        },
    ),
    "freshness": (
        "One row per source: how fresh and how complete it is",
        """
        SELECT s.source, s.provider, latest.newest_call_at, succeeded.last_success_at, held.complete_since,
               coalesce(judged.completeness, 'unknown') AS completeness,
               whole_days.calls + recent.calls + unfinished.calls + unknown.calls AS open_calls,
               coalesce(waiting.quarantined, 0) AS quarantined
          FROM ops.sources s
          -- what settled_at of bi.calls says: all that is newer than the line, and what is unfinished below; whole days
          -- are counted already, and those of the line's own day are found by an index
          CROSS JOIN LATERAL (SELECT now() - make_interval(secs => s.settled_after_seconds::double precision) AS lookback_start) line
          CROSS JOIN LATERAL (SELECT date_trunc('day', line.lookback_start, 'UTC') AS starts_at,
                                     date_trunc('day', line.lookback_start, 'UTC') + interval '24 hours' AS ends_at,
                                     (line.lookback_start AT TIME ZONE 'UTC')::date AS day) today
          LEFT JOIN LATERAL (SELECT max(c.created_at) AS newest_call_at FROM warehouse.calls c
                              WHERE c.source = s.source) latest ON true
          LEFT JOIN LATERAL (SELECT coalesce(sum(CASE WHEN d.day > today.day THEN d.calls ELSE d.open_count END), 0)::bigint
                                    AS calls
                               FROM warehouse.stream_rollup_daily d
                              WHERE d.source = s.source AND d.partition = '' AND d.day <> today.day) whole_days ON true
          LEFT JOIN LATERAL (SELECT count(*) AS calls FROM warehouse.calls c
                              WHERE c.source = s.source AND c.created_at > line.lookback_start
                                AND c.created_at < today.ends_at) recent ON true
          LEFT JOIN LATERAL (SELECT count(*) AS calls FROM warehouse.calls c
                              WHERE c.source = s.source AND c.created_at >= today.starts_at
                                AND c.created_at <= line.lookback_start AND c.is_final IS NOT TRUE
                                AND c.is_final IS FALSE) unfinished ON true
          LEFT JOIN LATERAL (SELECT count(*) AS calls FROM warehouse.calls c
                              WHERE c.source = s.source AND c.created_at >= now() - interval '1 day'
                                AND c.created_at <= line.lookback_start AND c.is_final IS NOT TRUE
                                AND c.is_final IS NULL) unknown ON true
          LEFT JOIN LATERAL (SELECT max(r.finished_at) AS last_success_at FROM ops.runs r
                              WHERE r.source = s.source AND r.status = 'succeeded'
                                AND r.kind IN ('sync', 'backfill')) succeeded ON true
          -- a source is held from where the newest gapless stretch of each of its lists begins
          LEFT JOIN (SELECT source, CASE WHEN bool_and(starts_at IS NOT NULL) THEN max(starts_at) END AS complete_since
                       FROM ops.streams l
                       LEFT JOIN LATERAL (SELECT starts_at FROM ops.coverage c
                                           WHERE (c.source, c.partition) = (l.source, l.partition)
                                           ORDER BY ends_at DESC LIMIT 1) newest ON true
                      GROUP BY source) held USING (source)
          -- and as complete as the least complete of its lists, or as a day of it that lacks calls
          LEFT JOIN (SELECT source, (array_agg(completeness ORDER BY
                            array_position(ARRAY['incomplete', 'unknown', 'count_match', 'verified'], completeness)))[1] AS completeness
                       FROM (SELECT source, completeness FROM ops.streams
                              UNION ALL
                             SELECT source, status FROM ops.daily_checks WHERE status = 'incomplete') known
                      GROUP BY source) judged USING (source)
          LEFT JOIN (SELECT source, count(*) AS quarantined
                       FROM ops.quarantine WHERE resolved_at IS NULL GROUP BY source) waiting USING (source)
        """,
        {
            "source": "The account, as configured",
            "provider": "The vendor whose API is read",
            "newest_call_at": "created_at of the newest call that is held",
            "last_success_at": "When it was last read without an error",
            "complete_since": "Every call from this time on is held, as far as the provider lists it",
            "completeness": "verified, agrees, gap or unknown, of its least complete list or day",
            "open_calls": "How many calls a sweep still reads again",
            "quarantined": "How many records wait because they could not become rows",
        },
    ),
}


# The counts of the public face, and of what is held, are kept with the calls themselves: by triggers, once per statement,
# whoever writes. What a statement adds counts +1 and what it takes away -1, so what nobody counts adds up to nothing.
WRITTEN = {
    "added": "SELECT 1 AS n, * FROM added",
    "changed": "SELECT 1 AS n, * FROM added UNION ALL SELECT -1, * FROM gone",
    "removed": "SELECT -1 AS n, * FROM gone",
}
TRIGGERS = {
    "added": "AFTER INSERT ON warehouse.calls REFERENCING NEW TABLE AS added",
    "changed": "AFTER UPDATE ON warehouse.calls REFERENCING NEW TABLE AS added OLD TABLE AS gone",
    "removed": "AFTER DELETE ON warehouse.calls REFERENCING OLD TABLE AS gone",
}
# Words of any length, null or not, as a key.
NAMES_DIGEST = (
    "substr(sha256(convert_to(ROW(agent_id, agent_name, campaign_name, direction, cost_unit)::text, 'UTF8')), 1, 16)"
)
COUNT = """
    CREATE FUNCTION warehouse.count_{name}() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        left_over record;
    BEGIN
        IF NOT EXISTS ({written}) THEN
            RETURN NULL;
        END IF;
        -- no list of a telephone number enters the books before this transaction ends: it would not see these calls
        PERFORM pg_advisory_xact_lock_shared(hashtextextended('callhouse.count.' || source, 0))
           FROM (SELECT DISTINCT source FROM ({written}) calls ORDER BY source) sources;

        -- a statement of its own, so that the next one sees the groups that another writer was first to enter
        INSERT INTO warehouse.call_dimensions (source, dimension_hash, agent_id, agent_name, campaign_name, direction, cost_unit)
        SELECT source, dimension_hash, agent_id, agent_name, campaign_name, direction, cost_unit
          FROM (SELECT *, {digest} AS dimension_hash
                  FROM (SELECT DISTINCT source, agent_id, agent_name, campaign_name, direction, cost_unit
                          FROM ({written}) calls) named) met
         WHERE NOT EXISTS (SELECT FROM warehouse.call_dimensions g
                            WHERE (g.source, g.dimension_hash) = (met.source, met.dimension_hash))
         ORDER BY source, dimension_hash
            ON CONFLICT (source, dimension_hash) DO NOTHING;

        FOR left_over IN
            WITH moved AS MATERIALIZED (
                SELECT day, dimension_id, calls, answered, duration_seconds, cost, calls_with_cost, first_come, last_come, first_gone, last_gone
                  FROM (SELECT (created_at AT TIME ZONE 'UTC')::date AS day, source, {digest} AS dimension_hash,
                               sum(n) AS calls, coalesce(sum(n) FILTER (WHERE is_answered), 0) AS answered,
                               coalesce(sum(n * duration_seconds), 0) AS duration_seconds, coalesce(sum(n * cost), 0) AS cost,
                               coalesce(sum(n) FILTER (WHERE cost IS NOT NULL), 0) AS calls_with_cost,
                               min(created_at) FILTER (WHERE n > 0) AS first_come,
                               max(created_at) FILTER (WHERE n > 0) AS last_come,
                               min(created_at) FILTER (WHERE n < 0) AS first_gone,
                               max(created_at) FILTER (WHERE n < 0) AS last_gone
                          FROM ({written}) calls
                         GROUP BY 1, source, agent_id, agent_name, campaign_name, direction, cost_unit) added
                  JOIN warehouse.call_dimensions USING (source, dimension_hash)
            ), counted AS (
                INSERT INTO warehouse.call_rollup_daily AS held
                       (day, dimension_id, calls, answered, duration_seconds, cost, calls_with_cost, first_call_at, last_call_at)
                SELECT day, dimension_id, calls, answered, duration_seconds, cost, calls_with_cost,
                       coalesce(first_come, 'infinity'), coalesce(last_come, '-infinity')
                  FROM moved
                 WHERE (calls, answered, duration_seconds, cost, calls_with_cost) <> (0, 0, 0, 0, 0)
                    OR first_come IS DISTINCT FROM first_gone OR last_come IS DISTINCT FROM last_gone
                 -- in order, so that two writers meet the same rows in the same order
                 ORDER BY day, dimension_id
                    ON CONFLICT (day, dimension_id) DO UPDATE
                   SET calls = held.calls + excluded.calls, answered = held.answered + excluded.answered,
                       duration_seconds = held.duration_seconds + excluded.duration_seconds, cost = held.cost + excluded.cost,
                       calls_with_cost = held.calls_with_cost + excluded.calls_with_cost,
                       first_call_at = least(held.first_call_at, excluded.first_call_at),
                       last_call_at = greatest(held.last_call_at, excluded.last_call_at)
                RETURNING day, dimension_id, calls, first_call_at, last_call_at
            )
            -- rows that count nothing any more, and those whose first or last call may be the one that left
            SELECT day, counted.calls, call_dimensions.*
              FROM counted
              JOIN moved USING (day, dimension_id)
              JOIN warehouse.call_dimensions USING (dimension_id)
             WHERE counted.calls = 0
                OR (first_gone <= first_call_at AND first_gone < coalesce(first_come, 'infinity'))
                OR (last_gone >= last_call_at AND last_gone > coalesce(last_come, '-infinity'))
        LOOP
            DELETE FROM warehouse.call_rollup_daily d
             WHERE d.calls = 0 AND d.day = left_over.day AND d.dimension_id = left_over.dimension_id;
            UPDATE warehouse.call_rollup_daily d
               SET (first_call_at, last_call_at) = (
                       SELECT min(c.created_at), max(c.created_at)
                         FROM warehouse.calls c
                        WHERE c.source = left_over.source
                          AND c.created_at >= left_over.day::timestamp AT TIME ZONE 'UTC'
                          AND c.created_at < (left_over.day + 1)::timestamp AT TIME ZONE 'UTC'
                          AND (c.agent_id, c.agent_name, c.campaign_name, c.direction, c.cost_unit) IS NOT DISTINCT FROM
                              (left_over.agent_id, left_over.agent_name, left_over.campaign_name, left_over.direction,
                               left_over.cost_unit))
             WHERE left_over.calls <> 0 AND d.day = left_over.day AND d.dimension_id = left_over.dimension_id;
        END LOOP;

        FOR left_over IN
            WITH counted AS (
                INSERT INTO warehouse.stream_rollup_daily AS held (source, partition, day, outcome, calls, delisted_count, open_count)
                SELECT source, partition, (created_at AT TIME ZONE 'UTC')::date AS day, outcome, sum(n),
                       coalesce(sum(n) FILTER (WHERE delisted_at IS NOT NULL), 0),
                       coalesce(sum(n) FILTER (WHERE is_final IS FALSE), 0)
                  FROM (SELECT n, source, '' AS partition, created_at, outcome, delisted_at, is_final
                          FROM ({written}) calls
                         UNION ALL
                        SELECT n, source, partition, created_at, outcome, delisted_at, is_final
                          FROM ({written}) calls
                          JOIN ops.streams USING (source)
                         WHERE partition <> '' AND partition IN (from_number, to_number)) listed
                 GROUP BY source, partition, 3, outcome
                HAVING sum(n) <> 0 OR sum(n) FILTER (WHERE delisted_at IS NOT NULL) <> 0
                    OR sum(n) FILTER (WHERE is_final IS FALSE) <> 0
                 ORDER BY source, partition, 3, outcome
                    ON CONFLICT (source, partition, day, outcome) DO UPDATE
                   SET calls = held.calls + excluded.calls, delisted_count = held.delisted_count + excluded.delisted_count,
                       open_count = held.open_count + excluded.open_count
                RETURNING source, partition, day, outcome, calls
            )
            SELECT source, partition, day, outcome FROM counted WHERE calls = 0
        LOOP
            DELETE FROM warehouse.stream_rollup_daily d
             WHERE (d.source, d.partition, d.day, d.outcome) =
                   (left_over.source, left_over.partition, left_over.day, left_over.outcome);
        END LOOP;
        RETURN NULL;
    END
    $$
"""
COUNT_NONE = """
    CREATE FUNCTION warehouse.count_none() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        TRUNCATE warehouse.call_dimensions, warehouse.call_rollup_daily, warehouse.stream_rollup_daily;
        RETURN NULL;
    END
    $$
"""
# The list of a telephone number is counted once, as it enters the books: the triggers above go on from there.
COUNT_LIST = """
    CREATE FUNCTION warehouse.count_list() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT FROM ops.streams l WHERE (l.source, l.partition) = (NEW.source, NEW.partition)) THEN
            RETURN NEW;
        END IF;
        PERFORM pg_advisory_xact_lock(hashtextextended('callhouse.count.' || NEW.source, 0));
        IF EXISTS (SELECT FROM ops.streams l WHERE (l.source, l.partition) = (NEW.source, NEW.partition)) THEN
            RETURN NEW;
        END IF;
        DELETE FROM warehouse.stream_rollup_daily d WHERE (d.source, d.partition) = (NEW.source, NEW.partition);
        INSERT INTO warehouse.stream_rollup_daily (source, partition, day, outcome, calls, delisted_count, open_count)
        SELECT NEW.source, NEW.partition, (created_at AT TIME ZONE 'UTC')::date, outcome, count(*), count(delisted_at),
               count(*) FILTER (WHERE is_final IS FALSE)
          FROM warehouse.calls c
         WHERE c.source = NEW.source AND NEW.partition IN (c.from_number, c.to_number)
         GROUP BY 3, outcome;
        RETURN NEW;
    END
    $$
"""
# PostgreSQL's search takes a document of a megabyte at most: of a longer transcript the first words are found. The cost keeps
# the planner from finding words anew, call by call, where the index has them.
WORDS = """
    CREATE FUNCTION warehouse.transcript_tsv(texts jsonb) RETURNS tsvector LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS $$
        SELECT to_tsvector('simple', left(string_agg(text, ' '), 100000)) FROM jsonb_array_elements_text(texts) text
    $$
"""
# A transcript is kept by columns, for a document of documents is half as long again.
TURNS = """
    CREATE FUNCTION warehouse.transcript_turns(speakers text, texts jsonb, times jsonb)
    RETURNS TABLE (turn_index integer, speaker text, text text, spoken_at timestamptz, offset_seconds numeric)
    LANGUAGE sql STABLE PARALLEL SAFE AS $$
        SELECT (place - 1)::integer,
               CASE letter WHEN 'a' THEN 'agent' WHEN 'c' THEN 'customer' WHEN 's' THEN 'system' ELSE 'unknown' END,
               turn.text, (times ->> 0)::timestamptz, (times ->> 1)::numeric
          FROM ROWS FROM (unnest(string_to_array($1, NULL)), jsonb_array_elements_text($2), jsonb_array_elements($3))
               WITH ORDINALITY turn(letter, text, times, place)
    $$
"""

# No plan depends on what is in these, and ANALYZE takes as long as everything else. Statistics of the index would find the
# words of 30,000 transcripts anew, which took as long as a third of all that a first reading asks of the server.
UNASKED = {
    "warehouse.ix_transcripts_words": ("1",),
    "warehouse.transcripts": ("speakers", "texts", "times"),
    "warehouse.calls": (
        "customer_email", "recording_url", "summary", "error_message", "latency_ms", "costs", "analysis", "metadata", "extra",
        "quality_flags", "first_seen_at", "latest_request_seq", "payload_seqs", "content_hash", "previous_content_hashes", "transcript_hash",
    ),
}  # fmt: skip


def create_counters() -> None:
    for name, when in TRIGGERS.items():
        ddl(COUNT.format(name=name, written=WRITTEN[name], digest=NAMES_DIGEST))
        ddl(f"CREATE TRIGGER count_{name} {when} FOR EACH STATEMENT EXECUTE FUNCTION warehouse.count_{name}()")
    ddl(COUNT_NONE)
    ddl("CREATE TRIGGER count_none AFTER TRUNCATE ON warehouse.calls EXECUTE FUNCTION warehouse.count_none()")
    ddl(COUNT_LIST)
    ddl(
        "CREATE TRIGGER count_list BEFORE INSERT OR UPDATE OF source, partition ON ops.streams"
        " FOR EACH ROW WHEN (NEW.partition <> '') EXECUTE FUNCTION warehouse.count_list()"
    )


def ddl(statement: str) -> None:
    op.execute(sa.DDL(statement.replace("%", "%%")))



def create_views() -> None:
    for name, (meaning, query, columns) in VIEWS.items():
        op.execute(sa.DDL(f"CREATE VIEW bi.{name} AS {query}".replace("%", "%%")))
        comment("VIEW", f"bi.{name}", meaning)
        for column, said in columns.items():
            comment("COLUMN", f"bi.{name}.{column}", said)


def comment(kind: str, name: str, said: str) -> None:
    quoted = said.replace("'", "''").replace("%", "%%")
    op.execute(sa.DDL(f"COMMENT ON {kind} {name} IS '{quoted}'"))


def create_tables() -> None:
    op.create_table(
        "alerts",
        sa.Column(
            "alert_id",
            sa.BigInteger(),
            sa.Identity(always=False),
            nullable=False,
            comment="The alert, from its beginning to its end",
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="The source"),
        sa.Column(
            "kind",
            sa.Text(),
            nullable=False,
            comment="failing, stale, gap, credentials, quarantine, drift or silence",
        ),
        sa.Column("message", sa.Text(), nullable=False, comment="What is wrong, without any secret or person's data"),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False, comment="When it was first found"),
        sa.Column(
            "resolved_at", sa.DateTime(timezone=True), nullable=True, comment="When it was found no more; null: it stands"
        ),
        sa.Column("notified_at", sa.DateTime(timezone=True), nullable=True, comment="When the webhook took it"),
        sa.Column(
            "resolution_notified_at", sa.DateTime(timezone=True), nullable=True, comment="When the webhook took that it is over"
        ),
        sa.PrimaryKeyConstraint("alert_id", name=op.f("pk_alerts")),
        schema="ops",
        comment="What somebody should know of a source",
    )
    op.create_index(
        "ix_alerts_standing",
        "alerts",
        ["source", "kind"],
        unique=True,
        schema="ops",
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
    op.create_table(
        "schema_drift",
        sa.Column("source", sa.Text(), nullable=False, comment="The source"),
        sa.Column("field", sa.Text(), nullable=False, comment="The path in the record"),
        sa.Column("kind", sa.Text(), nullable=False, comment="new_field, unknown_word or type"),
        sa.Column("detail", sa.Text(), nullable=False, comment="The unknown word, or the type that came"),
        sa.Column("record_count", sa.BigInteger(), nullable=False, comment="In how many loaded records"),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False, comment="When it was first seen"),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False, comment="When it was last seen"),
        sa.PrimaryKeyConstraint("source", "field", "kind", "detail", name=op.f("pk_schema_drift")),
        schema="ops",
        comment="What providers send and nobody expected",
    )
    op.create_table(
        "quarantine",
        sa.Column(
            "quarantine_id", sa.BigInteger(), sa.Identity(always=False), nullable=False, comment="The bad record"
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="The source"),
        sa.Column("provider_call_id", sa.Text(), nullable=True, comment="The provider's id, where one could be read"),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="Digest of the payload"),
        sa.Column("reason", sa.Text(), nullable=False, comment="Why it could not become a row"),
        sa.Column("payload", sa.LargeBinary(), nullable=False, comment="The exact bytes as received"),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False, comment="When it was first received"),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False, comment="When it was last received"),
        sa.Column(
            "resolved_at", sa.DateTime(timezone=True), nullable=True, comment="When the record became a row after all"
        ),
        sa.Column("run_id", sa.BigInteger(), nullable=True, comment="The run that received it first"),
        sa.PrimaryKeyConstraint("quarantine_id", name=op.f("pk_quarantine")),
        schema="ops",
        comment="One row per record that could not become a row",
    )
    op.create_index(
        "ix_quarantine_open",
        "quarantine",
        ["source", "provider_call_id"],
        unique=False,
        schema="ops",
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
    op.create_index(op.f("ix_quarantine_source_digest"), "quarantine", ["source", "digest"], unique=True, schema="ops")
    op.create_table(
        "runs",
        sa.Column("run_id", sa.BigInteger(), sa.Identity(always=False), nullable=False, comment="The run"),
        sa.Column("source", sa.Text(), nullable=False, comment="The source"),
        sa.Column("kind", sa.Text(), nullable=False, comment="sync, backfill, verify or replay"),
        sa.Column("status", sa.Text(), nullable=False, comment="running, succeeded, failed or interrupted"),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False, comment="When it began"),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True, comment="When it ended"),
        sa.Column(
            "requests", sa.BigInteger(), server_default=sa.text("0"), nullable=False, comment="HTTP requests sent"
        ),
        sa.Column("pages", sa.BigInteger(), server_default=sa.text("0"), nullable=False, comment="Pages of lists read"),
        sa.Column(
            "received",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Records of committed batches",
        ),
        sa.Column(
            "inserted",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Records that became new calls",
        ),
        sa.Column(
            "updated",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Records that changed a call",
        ),
        sa.Column(
            "unchanged",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Records that changed nothing",
        ),
        sa.Column(
            "quarantined",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Records that became no row",
        ),
        sa.Column("owner", sa.Text(), nullable=False, comment="The process that runs it"),
        sa.Column(
            "backend_pid", sa.Integer(), nullable=True, comment="Its database session, by which a dead run is recognised"
        ),
        sa.Column("backend_started_at", sa.DateTime(timezone=True), nullable=True, comment="When that session began"),
        sa.Column("error", sa.Text(), nullable=True, comment="What went wrong, without any secret or person's data"),
        sa.Column(
            "notes",
            sa.ARRAY(sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
            comment="What was noticed on the way",
        ),
        sa.CheckConstraint("received = inserted + updated + unchanged + quarantined", name=op.f("ck_runs_adds_up")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_runs")),
        schema="ops",
        comment="One row per run of a source",
    )
    op.create_index(op.f("ix_runs_source_started_at"), "runs", ["source", "started_at"], unique=False, schema="ops")
    op.create_index(
        "ix_runs_succeeded",
        "runs",
        ["source", "finished_at"],
        unique=False,
        schema="ops",
        postgresql_where=sa.text("status = 'succeeded' AND kind IN ('sync', 'backfill')"),
    )
    op.create_table(
        "sources",
        sa.Column("source", sa.Text(), nullable=False, comment="The name in the configuration"),
        sa.Column("provider", sa.Text(), nullable=False, comment="The vendor that the source was first read from"),
        sa.Column("host", sa.Text(), nullable=False, comment="The host that the source was first read from"),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False, comment="When it was first configured"),
        sa.Column(
            "settled_after_seconds", sa.Numeric(), nullable=False, comment="Seconds after which the last sweep has left a call"
        ),
        sa.Column("schedule", sa.Text(), nullable=False, comment="When the daemon reads it"),
        sa.Column("next_run_at", sa.DateTime(timezone=True), nullable=True, comment="When the daemon reads it next"),
        sa.Column(
            "paused_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="No request before this time, except one probe by hand",
        ),
        sa.Column("pause_reason", sa.Text(), nullable=True, comment="Why it is paused"),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_sources")),
        schema="ops",
        comment="One row per source that was ever configured",
    )
    op.create_table(
        "calls",
        sa.Column(
            "call_key", sa.Uuid(), nullable=False, comment="The call, the same for a (source, provider id) everywhere"
        ),
        sa.Column(
            "source", sa.Text(), nullable=False, comment="The account that the call was read from, as configured"
        ),
        sa.Column("provider", sa.Text(), nullable=False, comment="The vendor whose API was read"),
        sa.Column("provider_call_id", sa.Text(), nullable=False, comment="The provider's own id, as text"),
        sa.Column("direction", sa.Text(), nullable=False, comment="inbound, outbound, web or unknown"),
        sa.Column(
            "outcome",
            sa.Text(),
            nullable=False,
            comment="completed, no_answer, busy, failed, canceled, voicemail, in_progress or unknown",
        ),
        sa.Column("provider_status", sa.Text(), nullable=True, comment="The status as the provider sent it"),
        sa.Column(
            "is_live",
            sa.Boolean(),
            nullable=True,
            comment="The status says that the call goes on; null: nobody knows the word",
        ),
        sa.Column(
            "is_final",
            sa.Boolean(),
            nullable=True,
            comment="No more will come; null: the word is unknown, final after a day",
        ),
        sa.Column("is_answered", sa.Boolean(), nullable=False, comment="Somebody or something took the call"),
        sa.Column("agent_id", sa.Text(), nullable=True, comment="The provider's id of the voice agent"),
        sa.Column("agent_name", sa.Text(), nullable=True, comment="The name of the voice agent"),
        sa.Column("campaign_name", sa.Text(), nullable=True, comment="The campaign that the call belongs to"),
        sa.Column("from_number", sa.Text(), nullable=True, comment="Who called, E.164 where it is a number"),
        sa.Column("to_number", sa.Text(), nullable=True, comment="Who was called, E.164 where it is a number"),
        sa.Column(
            "customer_number", sa.Text(), nullable=True, comment="The customer's number, whichever way the call went"
        ),
        sa.Column("agent_number", sa.Text(), nullable=True, comment="The agent's number, whichever way the call went"),
        sa.Column("customer_name", sa.Text(), nullable=True, comment="The customer's name"),
        sa.Column("customer_email", sa.Text(), nullable=True, comment="The customer's e-mail address"),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), nullable=False, comment="When the provider made the call's record"
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True, comment="When dialling began"),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True, comment="When the call was picked up"),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True, comment="When the call ended"),
        sa.Column(
            "updated_at", sa.DateTime(timezone=True), nullable=True, comment="When the provider last changed the record"
        ),
        sa.Column("duration_seconds", sa.Numeric(), nullable=True, comment="How long the call took, in seconds"),
        sa.Column(
            "talk_seconds",
            sa.Numeric(),
            nullable=True,
            comment="From picked up to ended, in seconds, where both are known",
        ),
        sa.Column(
            "duration_basis",
            sa.Text(),
            nullable=True,
            comment="Where the duration comes from: provider, timestamps or estimate",
        ),
        sa.Column("cost", sa.Numeric(), nullable=True, comment="What the call cost in all, in cost_unit"),
        sa.Column("cost_unit", sa.Text(), nullable=True, comment="The unit of cost: a currency, credits or unknown"),
        sa.Column(
            "costs",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="Cost components: {component: [amount, unit]}",
        ),
        sa.Column("answered_by", sa.Text(), nullable=False, comment="human, machine or unknown"),
        sa.Column("ended_by", sa.Text(), nullable=False, comment="customer, agent, system or unknown"),
        sa.Column("recording_url", sa.Text(), nullable=True, comment="Where the provider keeps the recording"),
        sa.Column("summary", sa.Text(), nullable=True, comment="The provider's summary of the call"),
        sa.Column("sentiment", sa.Text(), nullable=True, comment="The provider's judgement of the customer's mood"),
        sa.Column("error_message", sa.Text(), nullable=True, comment="What went wrong, in the provider's words"),
        sa.Column("latency_ms", sa.Numeric(), nullable=True, comment="The agent's latency, in milliseconds"),
        sa.Column(
            "analysis",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=True,
            comment="The provider's evaluation of the call",
        ),
        sa.Column(
            "metadata",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=True,
            comment="What the customer's own systems attached to the call",
        ),
        sa.Column(
            "extra",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=True,
            comment="Fields that the provider sends and no column holds",
        ),
        sa.Column("turn_count", sa.Integer(), nullable=False, comment="How many turns the transcript has"),
        sa.Column("has_transcript", sa.Boolean(), nullable=False, comment="Whether a transcript is held"),
        sa.Column("quality_flags", sa.ARRAY(sa.Text()), nullable=False, comment="What is odd in the record"),
        sa.Column(
            "first_seen_at", sa.DateTime(timezone=True), nullable=False, comment="When the call was first loaded"
        ),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False, comment="When a loaded value last changed"),
        sa.Column(
            "delisted_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Since when a certified whole reading no longer lists it",
        ),
        sa.Column(
            "latest_request_seq", sa.BigInteger(), nullable=False, comment="The request that the row's newest record came with"
        ),
        sa.Column(
            "payload_seqs",
            sa.ARRAY(sa.BigInteger()),
            nullable=True,
            comment="The rows of raw.payloads with versions of it; null: latest_request_seq",
        ),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False, comment="Digest of the newest record's content"),
        sa.Column(
            "previous_content_hashes",
            sa.ARRAY(sa.LargeBinary()),
            nullable=True,
            comment="Digests of the other contents that its record had",
        ),
        sa.Column("transcript_hash", sa.LargeBinary(), nullable=True, comment="Digest of the transcript that is held"),
        sa.CheckConstraint(
            "cost > '-Infinity'::numeric AND cost < 'Infinity'::numeric"
            " AND duration_seconds > '-Infinity'::numeric AND duration_seconds < 'Infinity'::numeric",
            name=op.f("ck_calls_numbers_are_numbers"),
        ),
        sa.CheckConstraint(
            "created_at BETWEEN '1970-01-01 00:00Z' AND '2999-12-31 00:00Z'", name=op.f("ck_calls_created_at_plausible")
        ),
        sa.PrimaryKeyConstraint("call_key", name=op.f("pk_calls")),
        schema="warehouse",
        comment="One row per call, the newest that is known of it",
    )
    op.create_index(op.f("ix_calls_agent_number"), "calls", ["agent_number"], unique=False, schema="warehouse")
    op.create_index(op.f("ix_calls_created_at"), "calls", ["created_at"], unique=False, schema="warehouse")
    op.create_index(
        op.f("ix_calls_customer_number_created_at"),
        "calls",
        ["customer_number", "created_at"],
        unique=False,
        schema="warehouse",
    )
    op.create_index(op.f("ix_calls_provider_call_id"), "calls", ["provider_call_id"], unique=False, schema="warehouse")
    op.create_index(
        op.f("ix_calls_source_created_at"), "calls", ["source", "created_at"], unique=False, schema="warehouse"
    )
    op.create_index(
        "ix_calls_unfinished",
        "calls",
        ["source", "created_at"],
        unique=False,
        schema="warehouse",
        postgresql_where=sa.text("is_final IS NOT TRUE"),
    )
    op.create_index(
        "ix_calls_without_transcript",
        "calls",
        ["source", "created_at"],
        unique=False,
        schema="warehouse",
        postgresql_include=["call_key", "provider_call_id", "is_final"],
        postgresql_where=sa.text("is_final IS NOT FALSE AND answered_at IS NOT NULL AND NOT has_transcript"),
    )
    op.create_table(
        "call_dimensions",
        sa.Column("dimension_id", sa.Integer(), sa.Identity(always=False), nullable=False, comment="The group"),
        sa.Column("source", sa.Text(), nullable=False, comment="The account that the calls were read from"),
        sa.Column(
            "dimension_hash",
            sa.LargeBinary(),
            nullable=False,
            comment="Digest of the five words that follow: a key of any length, null or not",
        ),
        sa.Column("agent_id", sa.Text(), nullable=True, comment="The provider's id of the voice agent"),
        sa.Column("agent_name", sa.Text(), nullable=True, comment="The name of the voice agent"),
        sa.Column("campaign_name", sa.Text(), nullable=True, comment="The campaign that the calls belong to"),
        sa.Column("direction", sa.Text(), nullable=False, comment="inbound, outbound, web or unknown"),
        sa.Column("cost_unit", sa.Text(), nullable=True, comment="The unit of cost"),
        sa.PrimaryKeyConstraint("dimension_id", name=op.f("pk_call_dimensions")),
        sa.UniqueConstraint("source", "dimension_hash", name=op.f("uq_call_dimensions_source_dimension_hash")),
        schema="warehouse",
        comment="What calls are added up by: agent, campaign, direction and unit",
    )
    op.create_table(
        "call_rollup_daily",
        sa.Column("day", sa.Date(), nullable=False, comment="The day of created_at, UTC"),
        sa.Column(
            "dimension_id",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="Which agent, campaign, direction and unit",
        ),
        sa.Column("calls", sa.Integer(), nullable=False, comment="How many calls"),
        sa.Column("answered", sa.Integer(), nullable=False, comment="How many of them somebody or something took"),
        sa.Column("calls_with_cost", sa.Integer(), nullable=False, comment="How many of them have a cost"),
        sa.Column("duration_seconds", sa.Numeric(), nullable=False, comment="The sum of duration_seconds"),
        sa.Column("cost", sa.Numeric(), nullable=False, comment="The sum of cost, in cost_unit"),
        sa.Column("first_call_at", sa.DateTime(timezone=True), nullable=False, comment="created_at of the oldest"),
        sa.Column("last_call_at", sa.DateTime(timezone=True), nullable=False, comment="created_at of the newest"),
        sa.PrimaryKeyConstraint("day", "dimension_id", name=op.f("pk_call_rollup_daily")),
        schema="warehouse",
        comment="The calls of each day and group, added up; kept by triggers",
        postgresql_with={"fillfactor": 70},
    )
    op.create_table(
        "stream_rollup_daily",
        sa.Column("source", sa.Text(), nullable=False, comment="The account that the calls were read from"),
        sa.Column(
            "partition",
            sa.Text(),
            nullable=False,
            comment="The number that the list is of; empty: all calls of the source",
        ),
        sa.Column("day", sa.Date(), nullable=False, comment="The day of created_at, UTC"),
        sa.Column("outcome", sa.Text(), nullable=False, comment="The outcome of the calls"),
        sa.Column("calls", sa.BigInteger(), nullable=False, comment="How many calls"),
        sa.Column("delisted_count", sa.BigInteger(), nullable=False, comment="How many of them are listed no more"),
        sa.Column("open_count", sa.BigInteger(), nullable=False, comment="How many of them are not final"),
        sa.PrimaryKeyConstraint("source", "partition", "day", "outcome", name=op.f("pk_stream_rollup_daily")),
        schema="warehouse",
        comment="How many calls each list has of each day, by outcome; kept by triggers",
        postgresql_with={"fillfactor": 70},
    )
    op.create_table(
        "coverage",
        sa.Column("source", sa.Text(), nullable=False, comment="The source"),
        sa.Column(
            "partition", sa.Text(), nullable=False, comment="The number that the list is of, empty where it is of none"
        ),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False, comment="From this source time on"),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False, comment="Up to this source time"),
        sa.ForeignKeyConstraint(["source"], ["ops.sources.source"], name=op.f("fk_coverage_source")),
        sa.PrimaryKeyConstraint("source", "partition", "starts_at", name=op.f("pk_coverage")),
        schema="ops",
        comment="The intervals of source time that are held for certain",
    )
    op.create_table(
        "leases",
        sa.Column("source", sa.Text(), nullable=False, comment="The source"),
        sa.Column(
            "fencing_token",
            sa.BigInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Counts holders; fences old ones",
        ),
        sa.Column("owner", sa.Text(), nullable=True, comment="Who holds it"),
        sa.Column("backend_pid", sa.Integer(), nullable=True, comment="The holder's database session"),
        sa.Column("backend_started_at", sa.DateTime(timezone=True), nullable=True, comment="When that session began"),
        sa.Column(
            "expires_at", sa.DateTime(timezone=True), nullable=True, comment="When it may be taken over in any case"
        ),
        sa.ForeignKeyConstraint(["source"], ["ops.sources.source"], name=op.f("fk_leases_source")),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_leases")),
        schema="ops",
        comment="Who may write a source's data",
    )
    op.create_table(
        "streams",
        sa.Column("source", sa.Text(), nullable=False, comment="The source"),
        sa.Column(
            "partition", sa.Text(), nullable=False, comment="The number that the list is of, empty where it is of none"
        ),
        sa.Column(
            "sort_order",
            sa.Text(),
            nullable=False,
            comment="newest, oldest, unsorted or unknown, found out from its pages",
        ),
        sa.Column(
            "page_size",
            sa.Integer(),
            nullable=True,
            comment="The page size that the provider accepts, where it refused a larger one",
        ),
        sa.Column("remote_count", sa.BigInteger(), nullable=True, comment="How many calls the provider said it lists"),
        sa.Column(
            "local_count", sa.BigInteger(), nullable=True, comment="How many calls the warehouse held of it at that time"
        ),
        sa.Column("completeness", sa.Text(), nullable=False, comment="verified, agrees, gap or unknown"),
        sa.Column("reason", sa.Text(), nullable=True, comment="Why the completeness is not better"),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True, comment="When the counts were compared"),
        sa.Column(
            "full_scan_at", sa.DateTime(timezone=True), nullable=True, comment="When the whole list was last read"
        ),
        sa.Column(
            "remote_oldest_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="The oldest call still listed: older ones left by retention",
        ),
        sa.ForeignKeyConstraint(["source"], ["ops.sources.source"], name=op.f("fk_streams_source")),
        sa.PrimaryKeyConstraint("source", "partition", name=op.f("pk_streams")),
        schema="ops",
        comment="One row per list of a source",
    )
    op.create_table(
        "rate_limits",
        sa.Column("source", sa.Text(), nullable=False, comment="The source"),
        sa.Column(
            "next_slot_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When a request would be sent if all were sent evenly",
        ),
        sa.Column(
            "blocked_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="The provider's Retry-After: no request earlier",
        ),
        sa.Column(
            "requests_per_minute", sa.Integer(), nullable=True, comment="The configured rate, as of the last run"
        ),
        sa.Column(
            "adaptive_rate_per_minute",
            sa.Double(),
            nullable=True,
            comment="The lower rate that the provider's last refusal taught, before it recovers",
        ),
        sa.Column("adapted_at", sa.DateTime(timezone=True), nullable=True, comment="When it was learned"),
        sa.Column(
            "adapted_seq",
            sa.BigInteger(),
            nullable=True,
            comment="Its number among all requests: those sent before it teach nothing more",
        ),
        sa.ForeignKeyConstraint(["source"], ["ops.sources.source"], name=op.f("fk_rate_limits_source")),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_rate_limits")),
        schema="ops",
        comment="The budget of requests of each source, shared by every process",
    )
    op.create_table(
        "lookbacks",
        sa.Column("source", sa.Text(), nullable=False, comment="The source"),
        sa.Column(
            "partition", sa.Text(), nullable=False, comment="The number that the list is of, empty where it is of none"
        ),
        sa.Column("window_seconds", sa.Numeric(), nullable=False, comment="How far back the sweep reads"),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=False, comment="When it was last done"),
        sa.ForeignKeyConstraint(["source"], ["ops.sources.source"], name=op.f("fk_lookbacks_source")),
        sa.PrimaryKeyConstraint("source", "partition", "window_seconds", name=op.f("pk_lookbacks")),
        schema="ops",
        comment="When each sweep of a list was last done",
    )
    op.create_table(
        "call_last_seen",
        sa.Column("call_key", sa.Uuid(), nullable=False, comment="The call"),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False, comment="When it last came again"),
        sa.Column("run_id", sa.BigInteger(), nullable=True, comment="The run that it came with"),
        sa.ForeignKeyConstraint(
            ["call_key"], ["warehouse.calls.call_key"], name=op.f("fk_call_last_seen_call_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("call_key", name=op.f("pk_call_last_seen")),
        schema="ops",
        comment="When calls that were held already came again",
    )
    op.create_table(
        "transcript_requests",
        sa.Column("call_key", sa.Uuid(), nullable=False, comment="The call"),
        sa.Column(
            "asked_at", sa.DateTime(timezone=True), nullable=False, comment="When its transcript was last asked for"
        ),
        sa.Column("attempts", sa.Integer(), nullable=False, comment="How often it was asked for"),
        sa.Column("state", sa.Text(), nullable=False, comment="stored, not_ready or failed"),
        sa.Column("reason", sa.Text(), nullable=True, comment="Why it is not held"),
        sa.ForeignKeyConstraint(
            ["call_key"], ["warehouse.calls.call_key"], name=op.f("fk_transcript_requests_call_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("call_key", name=op.f("pk_transcript_requests")),
        schema="ops",
        comment="Transcripts that take a request of their own",
    )
    op.create_table(
        "daily_checks",
        sa.Column("source", sa.Text(), nullable=False, comment="The source"),
        sa.Column("day", sa.Date(), nullable=False, comment="The day, of the source's time zone"),
        sa.Column("status", sa.Text(), nullable=False, comment="verified, agrees, gap or unknown"),
        sa.Column("missing_count", sa.BigInteger(), nullable=False, comment="How many calls are listed and not held"),
        sa.Column("reason", sa.Text(), nullable=True, comment="Why the verdict is not better, or what was found"),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False, comment="When it was last compared"),
        sa.Column("run_id", sa.BigInteger(), nullable=True, comment="The run that compared it"),
        sa.ForeignKeyConstraint(["source"], ["ops.sources.source"], name=op.f("fk_daily_checks_source")),
        sa.PrimaryKeyConstraint("source", "day", name=op.f("pk_daily_checks")),
        schema="ops",
        comment="One row per day of a source that was compared with what the provider lists",
    )
    op.create_index(
        "ix_daily_checks_gaps",
        "daily_checks",
        ["source", "day"],
        unique=False,
        schema="ops",
        postgresql_where=sa.text("status = 'incomplete'"),
    )
    op.create_table(
        "checkpoints",
        sa.Column("source", sa.Text(), nullable=False, comment="The source"),
        sa.Column(
            "partition", sa.Text(), nullable=False, comment="The number that the list is of, empty where it is of none"
        ),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False, comment="The window's start"),
        sa.Column(
            "ends_at", sa.DateTime(timezone=True), nullable=False, comment="The window's end, fixed when the walk began"
        ),
        sa.Column("resume_point", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="Where the walk goes on"),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, comment="When the walk last came on"),
        sa.ForeignKeyConstraint(["source"], ["ops.sources.source"], name=op.f("fk_checkpoints_source")),
        sa.PrimaryKeyConstraint("source", "partition", "starts_at", "ends_at", name=op.f("pk_checkpoints")),
        schema="ops",
        comment="Walks through history that are not finished",
    )
    op.create_table(
        "changes",
        sa.Column("change_id", sa.BigInteger(), sa.Identity(always=False), nullable=False, comment="The change"),
        sa.Column("call_key", sa.Uuid(), nullable=False, comment="The call"),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False, comment="When the change was loaded"),
        sa.Column("run_id", sa.BigInteger(), nullable=True, comment="The run that loaded it"),
        sa.Column("field", sa.Text(), nullable=False, comment="The column that changed"),
        sa.Column("old_value", sa.Text(), nullable=True, comment="What it was"),
        sa.Column("new_value", sa.Text(), nullable=True, comment="What it became"),
        sa.ForeignKeyConstraint(
            ["call_key"], ["warehouse.calls.call_key"], name=op.f("fk_changes_call_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("change_id", name=op.f("pk_changes")),
        schema="warehouse",
        comment="One row per changed field of a call",
    )
    op.create_index(op.f("ix_changes_call_key"), "changes", ["call_key"], unique=False, schema="warehouse")
    op.create_table(
        "transcripts",
        sa.Column("call_key", sa.Uuid(), nullable=False, comment="The call"),
        sa.Column(
            "speakers",
            sa.Text(),
            nullable=False,
            comment="Who spoke, a letter for each turn: agent, customer, system or unknown",
        ),
        sa.Column(
            "texts", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="What was said, a text for each turn"
        ),
        sa.Column(
            "times",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="When, [spoken_at, offset_seconds] for each turn; null where nobody says",
        ),
        sa.ForeignKeyConstraint(
            ["call_key"], ["warehouse.calls.call_key"], name=op.f("fk_transcripts_call_key"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("call_key", name=op.f("pk_transcripts")),
        schema="warehouse",
        comment="One row per call whose transcript is held; bi.transcript_turns has a row per turn",
    )
    op.create_index(
        "ix_transcripts_words",
        "transcripts",
        [sa.text("warehouse.transcript_tsv(texts)")],
        unique=False,
        schema="warehouse",
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": 1024},
    )
    op.create_table(
        "payloads",
        sa.Column(
            "seq",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="The request that brought them: later ones are newer; below zero: they waited in quarantine",
        ),
        sa.Column("source", sa.Text(), nullable=False, comment="The account that was read"),
        sa.Column(
            "kind",
            sa.Text(),
            nullable=False,
            comment="call: elements of a list; transcript: answer to a second request",
        ),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False, comment="When they were loaded"),
        sa.Column("run_id", sa.BigInteger(), nullable=True, comment="The run that received them"),
        sa.Column("call_keys", sa.ARRAY(sa.Uuid()), nullable=False, comment="The call that each record is of"),
        sa.Column(
            "records_zlib_msgpack",
            sa.LargeBinary(),
            nullable=False,
            comment="The bytes of each record: a MessagePack list, deflated",
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_payloads")),
        schema="raw",
        comment="One row per answer that brought content not held before: those records of it, as received",
    )


def upgrade() -> None:
    for schema, said in SCHEMAS.items():
        op.execute(sa.DDL(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
        comment("SCHEMA", schema, said)
    op.execute(sa.schema.CreateSequence(sa.Sequence("request_seq", schema="ops")))
    ddl(WORDS)
    ddl(TURNS)
    create_tables()
    ddl("ALTER TABLE raw.payloads ALTER COLUMN records_zlib_msgpack SET STORAGE EXTERNAL")  # deflated already
    for relation, columns in UNASKED.items():
        ddl(f"ALTER TABLE {relation} " + ", ".join(f"ALTER COLUMN {column} SET STATISTICS 0" for column in columns))
    create_counters()
    create_views()
    comment("FUNCTION", "warehouse.transcript_tsv(jsonb)", "The words of a transcript, for search")
    comment("FUNCTION", "warehouse.transcript_turns(text, jsonb, jsonb)", "A transcript, a row for each turn")
    comment("TABLE", "ops.alembic_version", "The revision that this database is of")
    comment("COLUMN", "ops.alembic_version.version_num", "The newest migration that ran")


def downgrade() -> None:
    raise NotImplementedError("the first migration has nothing before it: drop the database instead")
