"""The rollups equal what counting the calls gives, whoever writes the calls and however."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from etl.loader import writer
from etl.loader.batch import ReceivedRecord, WriteContext, call_key
from etl.loader.plan import Insert, RowChange, insert, update
from etl.model import Call, Reporting, Source
from etl.runtime.secret import Secret
from etl.state import recount, registry, streams
from etl.state.streams import EVER, StreamState
from etl.transformer import DEFAULTS

NOW = datetime.now(UTC)
MIDNIGHT = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
SETTLED_AFTER = timedelta(days=7)
# Around midnight, and on both sides of each limit in bi.freshness.
INSTANTS = [
    *(MIDNIGHT - timedelta(days=days) + step for days in (0, 1, 8)
      for step in (timedelta(0), timedelta(microseconds=1), timedelta(hours=5), -timedelta(microseconds=1))),
    *(NOW - age + step for age in (timedelta(days=1), SETTLED_AFTER)
      for step in (-timedelta(minutes=10), timedelta(minutes=10))),
]  # fmt: skip
PHONES = ("+1", "+2", "+3")
SOURCES = ("one", "two")

STREAM_ROLLUP = """(
    SELECT * FROM warehouse.stream_rollup_daily
     WHERE partition = '' OR (source, partition) IN (SELECT source, partition FROM ops.streams)
)"""
# The same numbers computed from the calls.
METRICS = """
        SELECT local_date AS day, {hour}source, agent_id,
               (array_agg(agent_name ORDER BY created_at DESC, agent_name) FILTER (WHERE agent_name IS NOT NULL))[1],
               campaign_name, direction, cost_unit, count(*) AS calls, count(*) FILTER (WHERE is_answered) AS answered,
               count(*) FILTER (WHERE is_human_answered), count(*) FILTER (WHERE is_voicemail),
               count(*) FILTER (WHERE is_transferred), count(*) FILTER (WHERE outcome = 'no_answer'),
               count(*) FILTER (WHERE outcome = 'busy'), count(*) FILTER (WHERE outcome = 'failed'),
               coalesce(sum(duration_seconds), 0) / 60 AS minutes,
               coalesce(sum(duration_seconds) FILTER (WHERE is_answered), 0) / 60, sum(cost) AS cost,
               sum(cost_reporting), count(cost) FILTER (WHERE cost_reporting IS NULL), max(report_currency)
          FROM bi.calls
         GROUP BY local_date, {hour}source, agent_id, CASE WHEN agent_id IS NULL THEN agent_name END, campaign_name,
                  direction, cost_unit
    """
TRUTH = {
    "bi.daily_call_metrics": METRICS.format(hour=""),
    "bi.hourly_call_metrics": METRICS.format(hour="local_hour, "),
    "bi.agents": """
        SELECT source, agent_id,
               (array_agg(agent_name ORDER BY created_at DESC, agent_name) FILTER (WHERE agent_name IS NOT NULL))[1],
               (array_agg(agent_version ORDER BY created_at DESC, agent_version)
                    FILTER (WHERE agent_version IS NOT NULL))[1],
               count(DISTINCT agent_version), count(*) AS calls, min(created_at), max(created_at)
          FROM warehouse.calls
         WHERE agent_id IS NOT NULL OR agent_name IS NOT NULL
         GROUP BY source, agent_id, CASE WHEN agent_id IS NULL THEN agent_name END
    """,
    "bi.agent_versions": """
        SELECT source, agent_id, agent_version,
               (array_agg(agent_name ORDER BY created_at DESC, agent_name) FILTER (WHERE agent_name IS NOT NULL))[1],
               count(*), count(*) FILTER (WHERE is_answered), count(*) FILTER (WHERE is_transferred),
               coalesce(sum(duration_seconds), 0) / 60, min(created_at), max(created_at)
          FROM bi.calls
         WHERE agent_version IS NOT NULL
         GROUP BY source, agent_id, agent_version
    """,
    "bi.campaigns": """
        SELECT source, campaign_name, count(*) AS calls, min(created_at), max(created_at)
          FROM warehouse.calls
         WHERE campaign_name IS NOT NULL
         GROUP BY source, campaign_name
    """,
    "(SELECT source, open_calls FROM bi.freshness)": """
        SELECT source, count(*) FILTER (WHERE c.created_at > lookback_start
                                           OR NOT coalesce(is_final, c.created_at < now() - interval '1 day'))
          FROM (SELECT source, now() - make_interval(secs => settled_after_seconds::double precision) AS lookback_start
                  FROM ops.sources) s
          LEFT JOIN warehouse.calls c USING (source)
         GROUP BY source
    """,
    STREAM_ROLLUP: """
        SELECT source, partition, (created_at AT TIME ZONE 'UTC')::date AS day, outcome, settings_id, count(*),
               count(delisted_at), count(*) FILTER (WHERE is_final IS FALSE)
          FROM (SELECT source, partition FROM ops.streams WHERE partition <> ''
                UNION ALL SELECT source, '' FROM ops.sources) s
          JOIN warehouse.calls c USING (source)
         WHERE partition IN ('', from_number, to_number)
         GROUP BY source, partition, 3, outcome, settings_id
    """,
    "(SELECT source, day, hour, min(first_call_at), max(last_call_at), sum(machine_answered)::bigint,"
    " sum(completed)::bigint, sum(canceled)::bigint, sum(in_progress)::bigint FROM warehouse.call_rollup"
    " JOIN warehouse.active_dimensions USING (dimension_id) GROUP BY source, day, hour)": """
        SELECT source, local_date, coalesce(local_hour, -1), min(created_at), max(created_at),
               count(*) FILTER (WHERE is_voicemail AND outcome <> 'voicemail'),
               count(*) FILTER (WHERE outcome = 'completed'), count(*) FILTER (WHERE outcome = 'canceled'),
               count(*) FILTER (WHERE outcome = 'in_progress')
          FROM bi.calls GROUP BY GROUPING SETS ((source, local_date), (source, local_date, local_hour))
    """,
}
STORED = text("""
    SELECT count(*) FROM warehouse.calls
     WHERE source = :source AND delisted_at IS NULL AND (:partition = '' OR :partition IN (from_number, to_number))
       AND created_at >= :since AND created_at < :before
""")

# Few values, so that many calls are counted in the same row.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "created_at": st.sampled_from([*INSTANTS, *(MIDNIGHT - timedelta(hours=hour) for hour in range(1, 11))]),
    "agent_id": st.sampled_from(["a", "a", "a", "", None]),
    "agent_name": st.sampled_from(["Asha", "Asha", "Asha", "Nora", None]),
    "agent_version": st.sampled_from([None, None, "v1", "v2"]),
    "campaign_name": st.sampled_from([None, None, None, "May"]),
    "direction": st.sampled_from(["outbound", "outbound", "inbound"]),
    "outcome": st.sampled_from(
        ["completed", "failed", "transferred", "voicemail", "busy", "no_answer", "canceled", "in_progress"]
    ),
    "answered_by": st.sampled_from(["unknown", "unknown", "human", "machine"]),
    "is_answered": st.booleans(),
    "is_final": st.sampled_from([True, False, None]),
    "duration_seconds": st.sampled_from([None, Decimal(90), Decimal("1.5")]),
    "cost": st.sampled_from([None, Decimal("0.10"), Decimal(-2)]),
    "cost_unit": st.sampled_from(["USD", "USD", None]),
    "from_number": st.sampled_from([None, *PHONES]),
    "to_number": st.sampled_from([None, *PHONES]),
}
BY_SQL = {
    **VALUES,
    "delisted_at": st.sampled_from([None, NOW]),
    "settings_id": st.sampled_from([0, 1, 2]),
    "source": st.sampled_from(SOURCES),
}
WHERE = st.sampled_from(
    ["true", "false", "cost IS NOT NULL", "provider_call_id < '3'", "'+1' IN (from_number, to_number)",
     *(f"created_at = (SELECT {which}(created_at) FROM warehouse.calls WHERE {some})"
       for which in ("min", "max") for some in ("source = 'one'", "agent_id = 'a'", "agent_name = 'Asha'"))]
)  # fmt: skip
ENDED = {"created_at": MIDNIGHT, "outcome": "completed", "is_live": False, "is_final": True, "is_answered": True}
Step = Callable[[Connection], object]


def loaded(source: str, calls: dict[str, dict[str, Any]]) -> Step:
    """A batch through the loader, merged with the stored rows."""

    def step(connection: Connection) -> None:
        ctx = WriteContext(source, "ringg", None, NOW, b"key")
        keys = {name: call_key(source, name) for name in calls}
        before = writer.fetch_rows(connection, keys.values())
        changes = list[Insert | RowChange]()
        for name, columns in calls.items():
            call = Call(name, {**DEFAULTS, **ENDED, **columns})
            record, stored = ReceivedRecord("call", name.encode(), 1, b"{}", name, keys[name]), before.get(keys[name])
            changes.append(update(ctx, stored, call, record) if stored else insert(ctx, call, record))
        assert writer.write(connection, ctx, changes) == (changes, [])

    return step


def run_sql(statement: str, **values: Any) -> Step:
    return lambda connection: connection.execute(text(statement), values)


def in_zone(source: str, zone: str, slices: int, size: int) -> Step:
    """A changed time zone of reports, and some slices of calls counted by it, as runs with this setting do it."""
    account = Source(source, "ringg", "https://h", Secret("key"), "USD", reporting=Reporting(ZoneInfo(zone)))

    def step(connection: Connection) -> None:
        registry.register(connection, account, NOW)
        for _ in range(slices):
            recount.change_zone(connection, source, size)

    return step


NEW_KEY = "call_key = gen_random_uuid(), provider_call_id = gen_random_uuid()"
COPIED = """
    INSERT INTO warehouse.calls
    SELECT (jsonb_populate_record(c, jsonb_build_object(
               'call_key', gen_random_uuid(), 'provider_call_id', gen_random_uuid(), 'latest_request_seq', 99))).*
      FROM warehouse.calls c WHERE {where} LIMIT 3
"""
MERGED = f"""
    MERGE INTO warehouse.calls c USING (SELECT * FROM warehouse.calls WHERE {{where}}) s ON c.call_key = s.call_key
     WHEN MATCHED AND c.cost IS NULL THEN DELETE
     WHEN MATCHED AND c.latest_request_seq = 99 THEN UPDATE SET cost = 1, {NEW_KEY}
     WHEN MATCHED THEN UPDATE SET cost = 2
"""
REGISTERED = """
    INSERT INTO ops.streams (source, partition, sort_order, completeness)
    VALUES (:source, :partition, 'desc', 'incomplete')
        ON CONFLICT (source, partition) DO UPDATE SET completeness = 'count_match'
"""
RENAMED = """
    UPDATE ops.streams SET partition = :partition
     WHERE source = :source AND partition = (SELECT min(partition) FROM ops.streams WHERE source = :source)
       AND NOT EXISTS (SELECT FROM ops.streams WHERE (source, partition) = (:source, :partition))
"""
ZONES = ("UTC", "Asia/Kolkata", "America/Los_Angeles", "Pacific/Kiritimati")
REMOVED = "DELETE FROM ops.streams WHERE (source, partition) = (:source, :partition)"


@st.composite
def steps(draw: st.DrawFn) -> Step:
    """One change of calls or of registered streams."""
    source, partition, where = draw(st.sampled_from(SOURCES)), draw(st.sampled_from(PHONES)), draw(WHERE)
    kind = draw(st.sampled_from(["loaded", "loaded", "updated", "updated", "by SQL", "stream", "zone"]))
    if kind == "zone":
        return in_zone(source, draw(st.sampled_from(ZONES)), draw(st.integers(0, 4)), draw(st.integers(1, 5)))
    if kind == "loaded":
        return loaded(
            source, draw(st.dictionaries(st.sampled_from("123456"), st.fixed_dictionaries(VALUES), min_size=1))
        )
    if kind == "updated":
        column = draw(st.sampled_from(["created_at"] * 8 + sorted(BY_SQL)))
        change = f"UPDATE warehouse.calls SET {column} = :value, provider_call_id = call_key::text WHERE {where}"
        return run_sql(change, value=draw(BY_SQL[column]))
    if kind == "stream":
        return run_sql(
            draw(st.sampled_from([REGISTERED, REGISTERED, RENAMED, REMOVED])), source=source, partition=partition
        )
    statements = [
        f"DELETE FROM warehouse.calls WHERE {where}",
        f"UPDATE warehouse.calls SET {NEW_KEY} WHERE {where} AND latest_request_seq = 99",
        COPIED.format(where=where),
        MERGED.format(where=where),
        "TRUNCATE warehouse.calls CASCADE",
    ]
    return run_sql(draw(st.sampled_from(statements)))


def differences(connection: Connection) -> list[str]:
    """The rows in which a rollup or view differs from the calls."""
    return [
        f"{view}: {row}"
        for view, truth in TRUTH.items()
        for row in connection.execute(
            text(
                f"(TABLE {view} EXCEPT ALL ({truth})) UNION ALL (({truth}) EXCEPT ALL TABLE {view})".replace(
                    "TABLE (", "("
                )
            )
        )
    ]


@contextmanager
def rolled_back(db: Engine) -> Iterator[Connection]:
    """A transaction on a database with two sources, rolled back at the end."""
    with db.connect() as connection:
        for source in SOURCES:
            register(connection, source)
        yield connection
        connection.rollback()


def register(connection: Connection, source: str) -> None:
    row = {"source": source, "after": SETTLED_AFTER.total_seconds()}
    connection.execute(
        text(
            "INSERT INTO ops.sources (source, provider, host, first_seen_at, settled_after_seconds, schedule)"
            " VALUES (:source, 'ringg', 'h', now(), :after, 'every 5m')"
        ),
        row,
    )


@given(st.lists(steps(), min_size=1, max_size=8))
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_change_of_calls_is_counted(db: Engine, done: list[Step]) -> None:
    with rolled_back(db) as connection:
        for step in done:
            step(connection)
            assert differences(connection) == []
        for source in SOURCES:
            while recount.zone_change(connection, source):
                recount.change_zone(connection, source, 3)
        assert differences(connection) == []
        left = "SELECT count(*) FROM warehouse.call_rollup WHERE dimension_id NOT IN (SELECT dimension_id FROM {})"
        assert connection.scalar(text(left.format("warehouse.active_dimensions"))) == 0
        assert connection.scalar(text("SELECT count(*) FROM warehouse.call_rollup WHERE calls <= 0")) == 0


@given(
    st.lists(steps(), min_size=2, max_size=4),
    st.lists(
        st.tuples(st.sampled_from(["", *PHONES]), st.sampled_from(INSTANTS), st.sampled_from(INSTANTS)), min_size=8
    ),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_local_count_of_a_stream_is_exact(
    db: Engine, done: list[Step], spans: list[tuple[str, datetime, datetime]]
) -> None:
    with rolled_back(db) as connection:
        for step in done:
            step(connection)
        for partition, since, before in [*spans, ("", datetime.min.replace(tzinfo=UTC), EVER), ("+1", MIDNIGHT, EVER)]:
            values = {"source": "one", "partition": partition, "since": since, "before": before}
            assert streams.count_stored(
                connection, StreamState("one", partition), since, before=before
            ) == connection.scalar(STORED, values)


def planted(db: Engine, number: int, **columns: Any) -> None:
    with db.begin() as connection:
        plant(connection, number, **columns)


def plant(connection: Connection, number: int, source: str = "one", **columns: Any) -> None:
    loaded(source, {str(number): columns})(connection)


@pytest.fixture
def sources(db: Engine) -> Engine:
    """A database with two sources."""
    with db.begin() as connection:
        for source in SOURCES:
            register(connection, source)
    return db


def test_a_change_of_columns_without_rollup_writes_nothing(db: Engine) -> None:
    with rolled_back(db) as connection:
        versions = text(
            "SELECT ctid FROM warehouse.call_rollup UNION ALL SELECT ctid FROM warehouse.stream_rollup_daily"
        )
        plant(connection, 1)
        before = connection.scalars(versions).all()
        connection.execute(text("UPDATE warehouse.calls SET summary = 'x', turn_count = 3"))
        assert connection.scalars(versions).all() == before
        connection.execute(text("UPDATE warehouse.calls SET cost = 3"))
        assert connection.scalars(versions).all() != before


def test_a_change_of_columns_without_rollup_is_not_summed(sources: Engine) -> None:
    planted(sources, 1)
    locks = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
    with sources.begin() as connection:
        connection.execute(text("UPDATE warehouse.calls SET summary = 'x', turn_count = 3"))
        assert connection.scalar(locks) == 0
        connection.execute(text("UPDATE warehouse.calls SET cost = 3"))
        assert connection.scalar(locks) == 1
    with sources.connect() as connection:
        assert differences(connection) == []


def test_names_of_any_length_are_counted(sources: Engine) -> None:
    with sources.begin() as connection:
        plant(connection, 1, agent_name="A" * 9000, campaign_name="é" * 9000)
        assert differences(connection) == []
        assert connection.scalar(text("SELECT length(agent_name) FROM bi.agents")) == 9000


def test_writers_of_two_sources_do_not_wait_for_each_other(sources: Engine) -> None:
    with sources.begin() as one, sources.begin() as two:
        two.execute(text("SET LOCAL lock_timeout = '2s'"))
        for number in range(5):
            plant(one, number)
            plant(two, number, "two")
    with sources.connect() as connection:
        assert differences(connection) == []


def test_two_writers_of_one_source_end_well(sources: Engine) -> None:
    days = [MIDNIGHT - timedelta(days=back) for back in range(20)]

    def write(first: int, times: list[datetime]) -> None:
        for round_ in range(5):
            with sources.begin() as connection:
                calls = {f"{first + round_}-{place}": {"created_at": at} for place, at in enumerate(times)}
                loaded("one", calls)(connection)
            with sources.begin() as connection:
                connection.execute(
                    text("DELETE FROM warehouse.calls WHERE provider_call_id LIKE :some"), {"some": f"{first}-%3"}
                )

    at_once(lambda: write(100, days), lambda: write(200, days[::-1]))
    with sources.connect() as connection:
        assert differences(connection) == []
        assert connection.scalar(text("SELECT count(*) FROM warehouse.calls")) == 2 * (5 * 20 - 2)


def test_the_zone_of_reports_changes_while_calls_are_written(sources: Engine) -> None:
    days = [MIDNIGHT + timedelta(hours=7 * back) for back in range(-40, 0)]

    def write() -> None:
        for round_ in range(25):
            with sources.begin() as connection:
                calls = {f"{round_}-{place}": {"created_at": at} for place, at in enumerate(days[round_::9])}
                loaded("one", calls)(connection)
                connection.execute(text("DELETE FROM warehouse.calls WHERE provider_call_id LIKE '%-2'"))
                connection.execute(text("UPDATE warehouse.calls SET outcome = 'busy' WHERE provider_call_id LIKE '%1'"))

    def change() -> None:
        for zone in ("Asia/Kolkata", "America/Los_Angeles", "Asia/Kolkata", "UTC", "Pacific/Kiritimati"):
            with sources.begin() as connection:
                in_zone("one", zone, 0, 1)(connection)
            for slice_ in range(12):
                with sources.connect() as connection:
                    recount.change_zone(connection, "one", 5)
                    if slice_ % 3:
                        connection.commit()  # else the process ends here

    planted(sources, 1)
    at_once(write, change)
    with sources.begin() as connection:
        assert differences(connection) == []
        in_zone("one", "Pacific/Kiritimati", 100, 5)(connection)
        assert recount.zone_change(connection, "one") is None
        assert connection.scalar(text("SELECT report_timezone FROM ops.sources WHERE source = 'one'")) != "UTC"
        assert differences(connection) == []


def test_a_new_stream_waits_for_calls_being_written(sources: Engine) -> None:
    with sources.connect() as writing:
        plant(writing, 1, from_number="+1")

        def enter() -> None:
            with sources.begin() as connection:
                streams.save_stream(connection, StreamState("one", "+1"))

        entering = threading.Thread(target=enter)
        entering.start()
        waits = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        with sources.connect() as looking:
            while not looking.scalar(waits):
                looking.rollback()
        plant(writing, 2, to_number="+1")
        writing.commit()
        entering.join(10)
    planted(sources, 3, from_number="+1", to_number="+1")
    with sources.connect() as connection:
        assert streams.count_stored(connection, StreamState("one", "+1"), datetime.min.replace(tzinfo=UTC)) == 3
        assert differences(connection) == []


@pytest.mark.parametrize("view", ["daily_call_metrics", "agents", "campaigns"])
def test_the_views_read_rollups_and_no_calls(db: Engine, view: str) -> None:
    with db.connect() as connection:
        plan = connection.scalars(text(f"EXPLAIN SELECT * FROM bi.{view}")).all()
    assert any("call_rollup" in line for line in plan)
    assert not any(" calls" in line for line in plan)


def at_once(*jobs: Callable[[], None]) -> None:
    failed: list[BaseException] = []

    def guarded(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
