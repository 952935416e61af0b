"""Any number of sources in every state, each with runs and calls of thirty days: as rows, for no sync is that fast."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
from sqlalchemy import Engine, event, text

from etl.model import Source
from etl.runtime.secret import Secret
from etl.state.settings_versions import settings_json

PROVIDERS = ("ringg", "ravan", "autocalls", "vaani")
CUSTOMERS = ("northwind", "acme", "lakeside", "harbor", "summit", "orchard", "juniper", "cobalt")
# Of fifty sources each of these has one; the others are up to date.
FAILING, PAUSED, INCOMPLETE, STALE, GAP, QUARANTINE, NEVER, INITIAL, UNKNOWN, LOWERED = range(1, 11)
STATES = 50


def many_sources(count: int) -> list[Source]:
    """The configuration: `northwind-0000` of Ringg, `acme-0001` of Ravan, and so on."""
    return [
        Source(
            f"{CUSTOMERS[at % len(CUSTOMERS)]}-{at:04}",
            PROVIDERS[at % len(PROVIDERS)],
            f"https://{PROVIDERS[at % len(PROVIDERS)]}.test",
            Secret(f"key-{at}"),
            "USD",
        )
        for at in range(count)
    ]


def fill(db: Engine, now: datetime, count: int, *, calls: int = 20, runs: int = 40) -> list[Source]:
    """Store what the daemon would have stored of these sources by ``now``."""
    sources = many_sources(count)
    values = {
        "now": now,
        "names": [source.name for source in sources],
        "providers": [source.provider for source in sources],
        "settings": [settings_json(source) for source in sources],
        "calls": calls,
        "runs": runs,
    }
    with db.begin() as connection:
        for statement in STATEMENTS:
            connection.execute(text(statement), values)
        connection.execute(text("ANALYZE"))
    return sources


EACH = f"""
    unnest(CAST(:names AS text[]), CAST(:providers AS text[])) WITH ORDINALITY AS each (source, provider, position)
    CROSS JOIN LATERAL (SELECT (position - 1) % {STATES} AS state) states
"""
STATEMENTS = (
    f"""
    INSERT INTO ops.sources (source, provider, host, first_seen_at, settled_after_seconds, schedule, next_run_at,
                             paused_until, pause_reason)
    SELECT source, provider, provider || '.test', :now - interval '90 days', 604800, 'every 5m',
           :now + interval '1 second' * (position % 300),
           CASE WHEN state = {PAUSED} THEN :now + interval '10 minutes' END,
           CASE WHEN state = {PAUSED} THEN 'key_refused' END
      FROM {EACH} WHERE state <> {NEVER}
    """,
    "INSERT INTO ops.leases (source) SELECT source FROM ops.sources",
    f"""
    INSERT INTO ops.rate_limits (source, requests_per_minute, adaptive_rate_per_minute, adapted_at)
    SELECT source, 60, CASE WHEN state = {LOWERED} THEN 20 END, CASE WHEN state = {LOWERED} THEN :now END
      FROM {EACH} WHERE state <> {NEVER}
    """,
    f"""
    INSERT INTO ops.streams (source, partition, sort_order, completeness, reason, remote_count, local_count, checked_at)
    SELECT source, '', 'desc',
           CASE state WHEN {INCOMPLETE} THEN 'incomplete' WHEN {UNKNOWN} THEN 'unknown' ELSE 'count_match' END,
           CASE state WHEN {INCOMPLETE} THEN 'the provider lists 23, 20 are stored: 3 are missing'
                      WHEN {UNKNOWN} THEN 'the provider gives no total' END, :calls, :calls, :now
      FROM {EACH} WHERE state NOT IN ({NEVER}, {INITIAL})
    """,
    f"""
    INSERT INTO ops.coverage (source, partition, starts_at, ends_at)
    SELECT source, '', '2015-01-01', CASE WHEN state = {GAP} THEN :now - interval '4 days' ELSE :now END
      FROM {EACH} WHERE state NOT IN ({NEVER}, {INITIAL})
     UNION ALL
    SELECT source, '', :now - interval '3 days', :now FROM {EACH} WHERE state = {GAP}
    """,
    f"""
    INSERT INTO ops.checkpoints (source, partition, starts_at, ends_at, resume_point, updated_at)
    SELECT source, '', '2015-01-01', :now, '{{"newest": null}}', :now FROM {EACH} WHERE state = {INITIAL}
    """,
    f"""
    INSERT INTO ops.daily_checks (source, day, status, missing_count, checked_at)
    SELECT source, CAST(:now AS date) - 1, 'incomplete', 3, :now FROM {EACH} WHERE state = {INCOMPLETE}
    """,
    f"""
    INSERT INTO ops.quarantine (source, digest, reason, payload, first_seen_at, last_seen_at)
    SELECT source, CAST(CAST(number AS text) AS bytea), 'the record has no usable id', '', :now, :now
      FROM {EACH} CROSS JOIN generate_series(1, 12) number WHERE state = {QUARANTINE}
    """,
    f"""
    INSERT INTO ops.runs (source, kind, status, started_at, finished_at, owner, requests, received, unchanged, error)
    SELECT source, 'sync',
           CASE WHEN state = {INITIAL} THEN 'running' WHEN state IN ({FAILING}, {PAUSED}) AND back < 3 THEN 'failed'
                ELSE 'succeeded' END,
           started_at, CASE WHEN state <> {INITIAL} THEN started_at + interval '1 second' END, 'test', 2, back % 7,
           back % 7,
           CASE WHEN state = {FAILING} AND back < 3 THEN 'the host ' || provider || '.test cannot be reached'
                WHEN state = {PAUSED} AND back < 3 THEN 'the provider refuses the key (HTTP 401); check its api_key' END
      FROM generate_series(CAST(:runs AS int) - 1, 0, -1) back
     CROSS JOIN {EACH}
     CROSS JOIN LATERAL (SELECT :now - interval '1 second' * (position % 240) - back * interval '5 minutes'
                                - CASE WHEN state = {STALE} THEN interval '2 hours' ELSE interval '0' END AS started_at
                        ) times
     WHERE state <> {NEVER} AND (state <> {INITIAL} OR back = 0)
    """,
    """
    INSERT INTO ops.settings_versions (source, settings, first_used_at)
    SELECT source, settings, :now
      FROM unnest(CAST(:names AS text[]), CAST(:settings AS jsonb[])) AS each (source, settings)
      JOIN ops.sources USING (source)
    """,
    """
    INSERT INTO warehouse.calls
           (call_key, source, provider, provider_call_id, direction, outcome, is_final, is_answered, agent_name,
            customer_number, created_at, duration_seconds, cost, cost_unit, answered_by, ended_by, turn_count,
            has_transcript, quality_flags, first_seen_at, changed_at, latest_request_seq, content_hash,
            settings_id)
    SELECT CAST(md5(source || ' ' || number) AS uuid), source, provider, source || '-' || number, 'outbound',
           (ARRAY['completed', 'completed', 'no_answer', 'voicemail'])[1 + number % 4], true, number % 4 < 2,
           'agent of ' || source, '+4930' || (1000000 + number), created_at, 60, 0.25, 'USD', 'unknown', 'unknown', 0,
           false, '{}', created_at, created_at, 1, '', settings_id
      FROM ops.sources
      JOIN ops.settings_versions USING (source)
     CROSS JOIN generate_series(0, CAST(:calls AS int) - 1) number
     CROSS JOIN LATERAL (SELECT :now - number * interval '30 days' / :calls - interval '1 minute' AS created_at) times
    """,
)  # fmt: skip


@contextmanager
def counted_statements(db: Engine) -> Iterator[list[str]]:
    """The statements that are sent to the database meanwhile."""
    sent: list[str] = []

    class Recording(psycopg.Cursor[Any]):
        def execute(self, query: Any, *given: Any, **named: Any) -> "Recording":
            if query != ";":  # whether the session is alive
                sent.append(query.decode() if isinstance(query, bytes) else str(query))
            return super().execute(query, *given, **named)

    def record(connection: psycopg.Connection[Any], *_: object) -> None:
        connection.cursor_factory = Recording

    db.dispose()
    event.listen(db, "connect", record)
    try:
        with db.connect():  # what a new session asks for by itself
            sent.clear()
        yield sent
    finally:
        event.remove(db, "connect", record)
        db.dispose()
