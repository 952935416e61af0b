"""Migrations: run once by any number of processes, complete or not at all, commented, and readable by `bi_reader`."""

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, event, make_url, text
from sqlalchemy.exc import ProgrammingError

from etl import embedded
from etl.db import objects, revisions, tables
from etl.db.connections import open_engine
from etl.db.engine import DatabaseProblem, sqlstate
from etl.db.statements import MIGRATIONS
from etl.embedded import Server
from etl.fields.vocabulary import FLAGS
from etl.sandbox.world import World
from etl.settings import parsers
from tests.commands import run_etl, start_etl
from tests.harness import make_harness

PG15 = Path("/usr/lib/postgresql/15/bin")

# The public views and their columns, in order.
BI = {
    "calls": "call_key source provider provider_call_id direction outcome provider_status is_final is_answered"
    " is_human_answered is_voicemail is_transferred attempt_number is_first_attempt is_repeat_within_24h"
    " is_repeat_within_7d agent_id agent_name agent_version campaign_name from_number to_number customer_number"
    " agent_number customer_id customer_name customer_email created_at started_at answered_at ended_at updated_at"
    " local_date local_hour local_weekday is_business_hours duration_seconds talk_seconds duration_basis cost"
    " cost_unit cost_reporting report_currency answered_by ended_by recording_url summary sentiment error_message"
    " latency_ms analysis metadata extra turn_count has_transcript quality_flags first_seen_at changed_at"
    " settled_at delisted_at",
    "transcript_turns": "call_key source turn_index speaker text spoken_at offset_seconds",
    "transcripts": "call_key source created_at turn_count transcript search_vector",
    "call_costs": "call_key source component amount unit is_part_of_total",
    "call_changes": "call_key changed_at field old_value new_value",
    "daily_call_metrics": "day source agent_id agent_name campaign_name direction cost_unit calls answered"
    " human_answered voicemail transferred no_answer busy failed minutes answered_minutes cost cost_reporting"
    " calls_without_rate report_currency",
    "hourly_call_metrics": "day hour source agent_id agent_name campaign_name direction cost_unit calls answered"
    " human_answered voicemail transferred no_answer busy failed minutes answered_minutes cost cost_reporting"
    " calls_without_rate report_currency",
    "call_flags": "call_key source created_at flag",
    "call_scores": "call_key source created_at name value number",
    "conversation_metrics": "call_key source created_at turns agent_turns customer_turns agent_words customer_words"
    " agent_talk_share first_customer_word_seconds response_gap_p50_seconds response_gap_p95_seconds"
    " longest_silence_seconds",
    "cost_anomalies": "day source cost_unit calls cost expected_cost ratio z_score is_anomaly",
    "agents": "source agent_id agent_name agent_version versions calls first_call_at last_call_at",
    "agent_versions": "source agent_id agent_version agent_name calls answered transferred minutes first_call_at"
    " last_call_at",
    "customers": "customer_id customer_number first_call_at last_call_at calls attempts inbound_calls answered"
    " human_answered voicemail minutes agents sources",
    "concurrency": "day source starts_at quarter_hour calls_started peak_calls",
    "campaigns": "source campaign_name calls first_call_at last_call_at",
    "freshness": "source provider newest_call_at last_success_at complete_since completeness open_calls quarantined",
}
BI["calls_history"] = BI["calls"] + " is_status_known valid_from valid_to"
SILENT = text("""
    SELECT n.nspname || coalesce('.' || c.relname || coalesce('.' || a.attname, ''), '') AS name
      FROM pg_namespace n
      LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'v')
      LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE n.nspname IN ('raw', 'warehouse', 'ops', 'bi')
       AND (obj_description(n.oid, 'pg_namespace') IS NULL
            OR c.oid IS NOT NULL AND obj_description(c.oid, 'pg_class') IS NULL
            OR a.attnum IS NOT NULL AND col_description(c.oid, a.attnum) IS NULL)
""")


@pytest.fixture
def empty(server: Server) -> Iterator[str]:
    """The URL of a database with nothing in it."""
    with new_database(server) as url:
        yield url


@contextmanager
def new_database(server: Server) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    embedded.ensure_database(server, name)
    yield f"{server.url(name)}?sslmode=disable"
    embedded.drop_database(server, name)


@pytest.fixture(scope="module")
def other_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A cluster without a migrated database: PostgreSQL 15, the oldest supported, where it is installed."""
    home = tmp_path_factory.mktemp("fifteen")
    with pytest.MonkeyPatch.context() as patch:
        if PG15.exists():
            patch.setenv("PGBINDIR", str(PG15))
        yield embedded.start(home, {"fsync": "off"})
        embedded.stop(home)


def query(url: str, statement: str, **values: Any) -> list[Any]:
    made = open_engine(url)
    try:
        with made.begin() as connection:
            result = connection.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []
    finally:
        made.dispose()


def migrated(url: str, **options: bool) -> tuple[str | None, str]:
    made = open_engine(url)
    try:
        return revisions.migrate(made, **options)
    finally:
        made.dispose()


def at_once(folder: Path, *urls: str) -> list[str]:
    """The output of several processes that migrate at the same moment."""
    processes = [start_etl("migrate", cwd=folder, given={"DATABASE_URL": url}) for url in urls]
    said = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * len(urls), said
    return [out for out, _ in said]


def test_three_processes_at_once_all_end_well(empty: str, tmp_path: Path) -> None:
    said = at_once(tmp_path, empty, empty, empty)
    assert sorted(re.sub(r".*: (migrated|already at).*\n", r"\1", line) for line in said) == ["already at"] * 2 + [
        "migrated"
    ]


@pytest.mark.parametrize("statements", [1, 3, 10, 60, 150, 250])
def test_cut_off_anywhere_it_leaves_nothing_behind(empty: str, statements: int) -> None:
    made, left = open_engine(empty), [statements]

    class CutError(Exception):
        pass

    @event.listens_for(made, "after_cursor_execute")
    def cut(*_: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise CutError

    with pytest.raises(CutError):
        revisions.migrate(made)
    made.dispose()
    assert query(empty, "SELECT nspname FROM pg_namespace WHERE nspname IN ('raw', 'warehouse', 'ops', 'bi')") == []
    assert migrated(empty) == (None, revisions.head_revision())
    assert migrated(empty) == (revisions.head_revision(), revisions.head_revision())


def test_models_equal_migrations(db: Engine) -> None:
    def ours(name: str | None, kind: str, _: object) -> bool:
        return kind != "schema" or name in tables.SCHEMAS

    options = {"include_schemas": True, "include_name": ours, "version_table_schema": "ops", "compare_type": True}
    with db.connect() as connection:
        options |= {"compare_server_default": True, "autogenerate_plugins": objects.AUTOGENERATE}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, tables.metadata) == []


def test_every_schema_table_view_and_column_says_what_it_is(db: Engine) -> None:
    with db.connect() as connection:
        assert connection.scalars(SILENT).all() == []


def test_every_view_function_and_trigger_is_a_file(db: Engine) -> None:
    made = text("""
        SELECT 'functions', proname FROM pg_proc WHERE pronamespace = ANY(CAST(:schemas AS regnamespace[]))
         UNION
        SELECT 'configurations', cfgname FROM pg_ts_config
         WHERE cfgnamespace = ANY(CAST(:schemas AS regnamespace[]))
         UNION
        SELECT 'views', viewname FROM pg_views WHERE schemaname::regnamespace = ANY(CAST(:schemas AS regnamespace[]))
         UNION
        SELECT 'triggers', tgname FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid
         WHERE NOT tgisinternal AND relnamespace = ANY(CAST(:schemas AS regnamespace[]))
    """)
    files = {
        (path.parent.name.replace("snapshots", "functions"), path.stem)
        for path in objects.SQL.glob("*/*.sql")
        if path.parent.name != "comments"
    }
    with db.connect() as connection:
        assert {tuple(row) for row in connection.execute(made, {"schemas": list(tables.SCHEMAS)})} == files


def test_a_column_has_the_same_comment_in_a_view_as_in_the_table_unless_the_view_says_otherwise(db: Engine) -> None:
    query = text("""
        SELECT v.attname
          FROM pg_attribute v JOIN pg_attribute t USING (attname)
         WHERE (v.attrelid, t.attrelid) = ('bi_pii.calls'::regclass, 'warehouse.calls'::regclass) AND v.attnum > 0
           AND col_description(v.attrelid, v.attnum) <> col_description(t.attrelid, t.attnum)
    """)
    with db.connect() as connection:
        assert set(connection.scalars(query)) == {"is_final", "recording_url"}


def test_the_comment_of_the_quality_flags_lists_every_flag(db: Engine) -> None:
    query = text("SELECT col_description('bi.calls'::regclass, attnum) FROM pg_attribute"
                 " WHERE attrelid = 'bi.calls'::regclass AND attname = 'quality_flags'")  # fmt: skip
    with db.connect() as connection:
        assert set(re.findall(r"(\w+_\w+): ", connection.execute(query).scalar_one())) == set(FLAGS)


def test_objects_are_created_again_when_a_revision_is_applied(empty: str) -> None:
    migrated(empty)
    query(empty, "COMMENT ON COLUMN bi.calls.outcome IS 'wrong'; DROP VIEW bi.agents; DROP TRIGGER rollup_insert"
                 " ON warehouse.calls; GRANT SELECT ON bi.freshness TO PUBLIC")  # fmt: skip
    made = open_engine(empty)
    with made.begin() as connection:
        objects.create_functions(connection)
        objects.create_views(connection)
    made.dispose()
    assert query(empty, "SELECT count(*) FROM bi.agents") == [(0,)]
    assert query(empty, "SELECT count(*) FROM pg_trigger WHERE tgname = 'rollup_insert'") == [(1,)]
    assert query(empty, "SELECT has_table_privilege('public', 'bi.freshness', 'SELECT')") == [(True,)]
    outcome = "SELECT col_description('bi.calls'::regclass, 6)"
    assert query(empty, outcome)[0][0].startswith("How the call ended")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [("'', NULL, NULL", True), ("'+1', '+1', '+2'", True), ("'+1', '+2', '+1'", True), ("'+1', NULL, '+1'", True),
     ("'+1', '+2', '+3'", False), ("'+1', NULL, NULL", None)],
)  # fmt: skip
def test_a_call_is_in_the_empty_partition_and_in_those_of_its_two_numbers(
    db: Engine, arguments: str, expected: bool | None
) -> None:
    with db.connect() as connection:
        assert connection.scalar(text(f"SELECT warehouse.in_partition({arguments})")) is expected


@pytest.mark.parametrize(
    ("is_final", "age", "expected"),
    [("true", "0", True), ("false", "9 days", False), ("NULL", "23:59:59", False), ("NULL", "24:00:01", True)],
)
def test_a_call_of_unknown_status_is_final_after_a_day(db: Engine, is_final: str, age: str, expected: bool) -> None:
    with db.connect() as connection:
        query = f"SELECT warehouse.is_final({is_final}, now() - interval '{age}', now())"
        assert connection.scalar(text(query)) is expected


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT FROM warehouse.calls WHERE source = 'a' AND is_final IS NOT TRUE"
         " AND NOT warehouse.is_final(is_final, created_at, now())", "ix_calls_open"),
        ("SELECT FROM warehouse.calls WHERE source = 'a' AND created_at > now() - interval '1 day'"
         " AND warehouse.in_partition('+1', from_number, to_number)", "ix_calls_source_created_at"),
        ("SELECT open_calls FROM bi.freshness", "ix_calls_open"),
    ],
)  # fmt: skip
def test_the_planner_inlines_the_functions_of_finality_and_partition(db: Engine, query: str, index: str) -> None:
    with db.begin() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = "\n".join(connection.scalars(text(f"EXPLAIN {query}")))
    assert index in plan
    assert not re.search(r"is_final\(|in_partition\(", plan)


def test_no_statistics_are_collected_on_transcripts(db: Engine) -> None:
    make_harness(db, World(3, calls=30)).sync("ringg")
    with db.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE warehouse.calls, warehouse.transcripts"))
        known = text("SELECT tablename, attname FROM pg_stats WHERE schemaname = 'warehouse'")
        columns = {f"{row.tablename}.{row.attname}" for row in connection.execute(known)}
    assert {"calls.customer_number", "transcripts.call_key"} <= columns
    assert not columns & {"transcripts.texts", "ix_transcripts_tsv.transcript_tsv", "calls.extra", "calls.content_hash"}


@pytest.mark.parametrize("schema", ["bi", "bi_pii"])
def test_the_public_views_are_those_that_are_promised(db: Engine, schema: str) -> None:
    with db.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT table_name AS view, string_agg(column_name, ' ' ORDER BY ordinal_position) AS columns"
                " FROM information_schema.columns WHERE table_schema = :schema GROUP BY 1"
            ),
            {"schema": schema},
        )
        assert {row.view: row.columns for row in rows} == BI
        kinds = connection.scalars(
            text("SELECT DISTINCT relkind FROM pg_class WHERE relnamespace = CAST(:schema AS regnamespace)"),
            {"schema": schema},
        )
        assert set(kinds) == {"v"}


def test_the_reader_reads_bi_and_nothing_else(db: Engine) -> None:
    def may(statement: str) -> bool:
        try:
            with db.begin() as connection:
                connection.execute(text("SET LOCAL ROLE bi_reader"))
                connection.execute(text(statement))
        except ProgrammingError as error:
            if sqlstate(error) != "42501":
                raise
            return False
        return True

    assert all(may(f"SELECT * FROM bi.{view}") for view in BI)
    assert not any(may(f"SELECT * FROM bi_pii.{view}") for view in BI)
    assert not any(may(f"SELECT * FROM {table.fullname}") for table in tables.metadata.tables.values())
    assert not may("DELETE FROM bi.call_changes")
    assert not may("CREATE TABLE bi.mine (x int)")
    assert not may("SELECT nextval('ops.request_seq')")


def readable(url: str) -> bool:
    made = open_engine(url)
    try:
        with made.begin() as connection:
            connection.execute(text("SET LOCAL ROLE bi_reader"))
            return connection.execute(text("SELECT count(*) FROM bi.calls")).one() == (0,)
    finally:
        made.dispose()


def test_two_databases_of_a_cluster_create_the_reader_once(other_server: Server, tmp_path: Path) -> None:
    with new_database(other_server) as one, new_database(other_server) as two:
        assert all("migrated" in said for said in at_once(tmp_path, one, two))
        assert readable(one)
        assert readable(two)


def test_without_the_right_to_create_roles_it_says_what_to_grant_and_goes_on(
    other_server: Server, tmp_path: Path
) -> None:
    with new_database(other_server) as url:
        query(url, "DROP ROLE IF EXISTS bi_reader, bi_pii")
        query(url, "CREATE ROLE plain LOGIN PASSWORD 'plain'")
        query(url, f'GRANT CREATE ON DATABASE "{make_url(url).database}" TO plain')
        own = make_url(url).set(username="plain", password="plain").render_as_string(hide_password=False)
        said = run_etl("migrate", cwd=tmp_path, given={"DATABASE_URL": own})
        assert said.returncode == 0, said.stderr
        assert said.stderr.count("\n") == 1
        assert "bi_reader and bi_pii, for BI tools, cannot read" in said.stderr
        assert "CREATE ROLE bi_reader NOLOGIN; GRANT USAGE ON SCHEMA bi TO bi_reader;" in said.stderr
        query(url, said.stderr.partition("run: ")[2])
        assert run_etl("migrate", cwd=tmp_path, given={"DATABASE_URL": own}).stderr == ""
        assert readable(url)
        query(url, f'REVOKE CREATE ON DATABASE "{make_url(url).database}" FROM plain')
        assert run_etl("migrate", cwd=tmp_path, given={"DATABASE_URL": own}).returncode == 0


def test_without_the_right_to_create_schemas_it_says_what_to_grant(other_server: Server, tmp_path: Path) -> None:
    with new_database(other_server) as url:
        query(url, "CREATE ROLE poor LOGIN PASSWORD 'poor'")
        own = make_url(url).set(username="poor", password="poor").render_as_string(hide_password=False)
        said = run_etl("migrate", cwd=tmp_path, given={"DATABASE_URL": own})
        assert said.returncode == 78
        assert f"ask an administrator to run: GRANT CREATE ON DATABASE {make_url(url).database} TO poor" in said.stderr


def test_a_database_with_foreign_tables_is_refused_unless_that_is_allowed(empty: str, tmp_path: Path) -> None:
    query(empty, "CREATE TABLE public.shop (id int)")
    said = run_etl("migrate", cwd=tmp_path, given={"DATABASE_URL": empty})
    assert (said.returncode, "tables of something else (public.shop)" in said.stderr) == (78, True)
    assert run_etl("migrate", "--allow-other-tables", cwd=tmp_path, given={"DATABASE_URL": empty}).returncode == 0
    assert query(empty, "SELECT count(*) FROM public.shop") == [(0,)]


def test_a_foreign_schema_is_not_touched(empty: str) -> None:
    query(empty, "CREATE SCHEMA ops; CREATE TABLE ops.runs (mine text)")
    with pytest.raises(DatabaseProblem, match="a table of ours that another program created"):
        migrated(empty, allow_other_tables=True)
    assert query(empty, "SELECT mine FROM ops.runs") == []


def test_an_old_server_and_another_encoding_are_refused(server: Server, empty: str) -> None:
    name = make_url(empty).database
    admin = open_engine(server.url("postgres")).execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}"'))
        connection.execute(text(f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'"))
    admin.dispose()
    with pytest.raises(DatabaseProblem, match="encoding is LATIN1: create one with ENCODING 'UTF8'"):
        migrated(empty)
    with pytest.raises(DatabaseProblem, match="the server is PostgreSQL 14: 15 or newer is needed"):
        revisions.require_server(14, "UTF8")


# -- the views' arithmetic


def plant(connection: Connection, number: int, **columns: object) -> None:
    row: dict[str, object] = {
        "call_key": uuid.UUID(int=number), "source": "one", "provider": "ringg", "provider_call_id": str(number),
        "direction": "outbound", "outcome": "completed", "is_final": True, "is_answered": True,
        "answered_by": "human", "ended_by": "agent", "created_at": "2026-05-01T10:00Z", "turn_count": 0,
        "has_transcript": False, "quality_flags": [], "first_seen_at": "2026-05-01T10:00Z",
        "changed_at": "2026-05-01T10:00Z", "latest_request_seq": 1, "payload_seqs": [1], "content_hash": b"", **columns,
    }  # fmt: skip
    connection.execute(
        text(f"INSERT INTO warehouse.calls ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})"), row
    )


def test_a_day_has_one_row_for_each_agent_direction_and_unit(planted: Connection) -> None:
    def call(number: int, **columns: object) -> None:
        same = {"agent_id": "a", "agent_name": "Old", "duration_seconds": 90, "cost": "0.1", "cost_unit": "USD"}
        plant(planted, number, **{**same, **columns})

    call(1)
    call(2, agent_name="New", created_at="2026-05-01T23:59:59Z", is_answered=False, cost="0.2")
    call(3, agent_name=None, duration_seconds=None, cost=None)  # a unit is known before the amount is
    call(4, direction="inbound")
    call(5, cost_unit="credits")
    call(6, created_at="2026-05-02T00:00Z")
    call(7, source="two")
    call(8, agent_id=None, agent_name="A")
    call(9, agent_id=None, agent_name="B")
    call(10, agent_id=None, agent_name=None)
    rows = planted.execute(text("SELECT * FROM bi.daily_call_metrics")).all()
    keys = [(r.day, r.source, r.agent_id or r.agent_name, r.direction, r.cost_unit) for r in rows]
    assert len(keys) == len(set(keys)) == 8
    first = next(r for r in rows if r.calls == 3)
    assert (first.agent_name, first.answered, first.minutes, first.cost) == ("New", 2, Decimal(3), Decimal("0.3"))
    assert sum(r.calls for r in rows) == 10
    agents = {(r.source, r.agent_id, r.agent_name): r.calls for r in planted.execute(text("SELECT * FROM bi.agents"))}
    assert agents == {("one", "a", "Old"): 6, ("two", "a", "Old"): 1, ("one", None, "A"): 1, ("one", None, "B"): 1}


def test_a_call_is_open_until_it_is_final_and_past_the_last_lookback(planted: Connection) -> None:
    for number, age, is_final in ((1, "6 days", True), (2, "8 days", True), (3, "8 days", False), (4, "8 days", None)):
        plant(planted, number, is_final=is_final)
        planted.execute(
            text("UPDATE warehouse.calls SET created_at = now() - CAST(:age AS interval) WHERE provider_call_id = :id"),
            {"age": age, "id": str(number)},
        )
    rows = planted.execute(
        text("SELECT provider_call_id, is_final, settled_at = created_at + interval '7 days' AS settled FROM bi.calls")
    )
    assert {row.provider_call_id: (row.is_final, row.settled) for row in rows} == {
        "1": (True, None), "2": (True, True), "3": (False, None), "4": (True, True),
    }  # fmt: skip
    freshness = planted.execute(text("SELECT * FROM bi.freshness WHERE source = 'one'")).one()
    assert (freshness.open_calls, freshness.completeness, freshness.complete_since) == (2, "unknown", None)


def test_complete_since_is_the_start_of_the_newest_gapless_interval_of_every_stream(planted: Connection) -> None:
    planted.execute(
        text(
            "INSERT INTO ops.streams (source, partition, sort_order, completeness)"
            " VALUES ('one', 'a', 'desc', 'count_match'), ('one', 'b', 'desc', 'incomplete'),"
            "        ('two', '', 'desc', 'count_match');"
            "INSERT INTO ops.coverage (source, partition, starts_at, ends_at)"
            " VALUES ('one', 'a', '2026-01-01Z', '2026-02-01Z'), ('one', 'a', '2026-03-01Z', '2026-04-01Z'),"
            "        ('one', 'b', '2026-02-01Z', '2026-04-01Z'), ('two', '', '2015-01-01Z', '2026-04-01Z');"
        )
    )
    rows = {row.source: row for row in planted.execute(text("SELECT * FROM bi.freshness"))}
    assert {name: (row.completeness, f"{row.complete_since:%Y-%m}") for name, row in rows.items()} == {
        "one": ("incomplete", "2026-03"), "two": ("count_match", "2015-01"),
    }  # fmt: skip


def test_a_recording_keeps_its_address_and_loses_its_signature(planted: Connection) -> None:
    links = {
        "https://s3/x.mp3?X-Amz-Signature=abc&a=1": "https://s3/x.mp3",
        "https://h/x.mp3?id=7": "https://h/x.mp3?id=7",
        "https://h/x.mp3?id=7&token=abc": "https://h/x.mp3",
    }
    for number, link in enumerate(links):
        plant(planted, number, recording_url=link)
    shown = planted.scalars(text("SELECT recording_url FROM bi_pii.calls ORDER BY call_key")).all()
    assert shown == list(links.values())


def test_a_link_loses_its_signature_in_every_view(planted: Connection) -> None:
    link = "see https://u:s3cr3t@h/x.mp3?sig=s3cr3t now"
    as_json = json.dumps({"link": link, "deep": [json.dumps({link: link})]})
    texts = dict.fromkeys(("recording_url", "summary", "sentiment", "error_message"), link)
    plant(planted, 1, **texts, **dict.fromkeys(("analysis", "metadata", "extra"), as_json))
    for statement in (
        "INSERT INTO warehouse.changes (call_key, changed_at, field, old_value, new_value)"
        " SELECT call_key, now(), 'extra', :link, :json FROM warehouse.calls",
        "INSERT INTO warehouse.transcripts SELECT call_key, 'a',"
        " jsonb_build_array(CAST(:link AS text), CAST(:json AS text)), '[null, null]' FROM warehouse.calls",
    ):
        planted.execute(text(statement), {"link": link, "json": as_json})
    planted.execute(text("SET LOCAL ROLE bi_pii"))
    for view in ("calls", "call_changes", "transcripts", "transcript_turns"):
        shown = str(planted.scalar(text(f"SELECT json_agg(v) FROM bi_pii.{view} v")))
        assert ("https://h/x.mp3" in shown, "s3cr3t" in shown) == (True, False), shown


def test_each_component_of_a_cost_is_a_row(planted: Connection) -> None:
    parts = (
        '{"llm": [0.10, "USD"], "llm_credits": [3, "ravan_credits"], "seats": [3, "EUR"], "tax_credits": [1, "USD"]}'
    )
    plant(planted, 1, costs=parts, cost_unit="USD")
    plant(planted, 2)
    plant(planted, 3, costs='{"llm": [1, "unknown"]}', cost_unit="unknown")
    columns = "component, amount, unit, is_part_of_total"
    rows = planted.execute(text(f"SELECT {columns} FROM bi.call_costs ORDER BY 1, 2")).all()
    assert [tuple(row) for row in rows] == [
        ("llm", Decimal("0.10"), "USD", True),
        ("llm", Decimal(1), "unknown", True),
        ("llm_credits", Decimal(3), "ravan_credits", False),
        ("seats", Decimal(3), "EUR", False),
        ("tax_credits", Decimal(1), "USD", False),
    ]


@pytest.mark.parametrize(
    ("outcome", "is_answered", "answered_by", "by_human", "voicemail", "transferred"),
    [
        ("completed", True, "human", True, False, False),
        ("completed", True, "unknown", None, False, False),
        ("completed", True, "machine", False, True, False),
        ("transferred", True, "human", True, False, True),
        ("transferred", True, "unknown", None, False, True),
        ("voicemail", False, "machine", False, True, False),
        ("voicemail", True, "unknown", False, True, False),  # Vaani: the voicemail picked up
        ("no_answer", False, "unknown", False, False, False),
        ("busy", False, "human", False, False, False),
        ("unknown", False, "unknown", None, False, False),
        ("in_progress", False, "unknown", None, False, False),
        ("in_progress", False, "human", None, False, False),
    ],
)
def test_a_call_has_one_meaning_of_its_result(
    planted: Connection, outcome: str, is_answered: bool, answered_by: str, by_human: bool | None, voicemail: bool,
    transferred: bool,
) -> None:  # fmt: skip
    plant(planted, 1, outcome=outcome, is_answered=is_answered, answered_by=answered_by)
    columns = "is_answered, is_human_answered, is_voicemail, is_transferred"
    row = planted.execute(text(f"SELECT {columns} FROM bi.calls")).one()
    assert tuple(row) == (is_answered, by_human, voicemail, transferred)
    counts = planted.execute(text("SELECT answered, human_answered, voicemail, transferred FROM bi.daily_call_metrics"))
    assert tuple(counts.one()) == (is_answered, by_human is True, voicemail, transferred)


@pytest.mark.parametrize(
    ("analysis", "scores"),
    [
        ('{"score": 7, "resolved": true, "mood": "calm", "empty": "", "none": null}',
         [("mood", "calm", None), ("resolved", "true", 1), ("score", "7", 7)]),
        ('{"csat": {"type": "number", "value": "4.5"}, "lead": {"value": false}, "none": {"value": null}}',
         [("csat", "4.5", Decimal("4.5")), ("lead", "false", 0)]),
        ('[{"name": "csat", "value": 3}, {"name": "tag", "value": "hot"}, {"value": 1}, 5]',
         [("csat", "3", 3), ("tag", "hot", None)]),
        ('{"call_conversation_quality": {"score": 3, "parts": {"tone": "1e5"}}}',
         [("call_conversation_quality.parts.tone", "1e5", None), ("call_conversation_quality.score", "3", 3)]),
        ('{"a": {"b": {"c": {"d": {"e": 1}}}}}', []),  # deeper than anybody sends
        ('"text"', []),
        ('{"link": "https://h/x?token=s3cr3t"}', [("link", "https://h/x", None)]),
    ],
)  # fmt: skip
def test_each_item_of_an_evaluation_is_a_score(
    planted: Connection, analysis: str, scores: list[tuple[str, str, object]]
) -> None:
    plant(planted, 1, analysis=analysis)
    plant(planted, 2)
    rows = planted.execute(text("SELECT name, value, number FROM bi.call_scores ORDER BY name"))
    assert [tuple(row) for row in rows] == scores


def test_each_flag_is_a_row(planted: Connection) -> None:
    plant(planted, 1, quality_flags=["number_unreadable", "duration_differs"])
    plant(planted, 2)
    rows = planted.execute(text("SELECT call_key, flag FROM bi.call_flags ORDER BY flag"))
    assert [tuple(row) for row in rows] == [
        (uuid.UUID(int=1), "duration_differs"),
        (uuid.UUID(int=1), "number_unreadable"),
    ]


def test_a_conversation_is_measured_by_its_turns(planted: Connection) -> None:
    def transcript(number: int, speakers: str, said: list[str], times: list[list[object]] | None) -> None:
        plant(planted, number)
        values = {
            "key": uuid.UUID(int=number),
            "speakers": speakers,
            "said": json.dumps(said),
            "times": json.dumps(times),
        }
        planted.execute(
            text(
                "INSERT INTO warehouse.transcripts"
                " VALUES (:key, :speakers, CAST(:said AS jsonb), nullif(CAST(:times AS jsonb), 'null'))"
            ),
            values,
        )

    words = ["Hello, this is Asha.", "Hi  there", "How can I help?", "\trefund\n", "Sure", "lookup()"]
    transcript(1, "acacas", words, [[None, offset] for offset in (0, 2.5, 4, 10, 13, 14)])
    transcript(2, "aca", words[:3], None)
    transcript(3, "a", words[:1], [["2026-05-01T10:00:07Z", None]])
    columns = (
        "turns, agent_turns, customer_turns, agent_words, customer_words, agent_talk_share,"
        " first_customer_word_seconds AS first, response_gap_p50_seconds AS p50, longest_silence_seconds AS silence"
    )
    rows = planted.execute(text(f"SELECT {columns} FROM bi.conversation_metrics ORDER BY call_key"))
    assert [tuple(row) for row in rows] == [
        (6, 3, 2, 9, 3, Decimal("0.75"), Decimal("2.5"), 2.25, Decimal(6)),
        (3, 2, 1, 8, 2, Decimal("0.8"), None, None, None),
        (1, 1, 0, 4, 0, Decimal(1), None, None, None),
    ]


def test_a_day_that_costs_much_more_than_the_four_weeks_before_is_an_anomaly(planted: Connection) -> None:
    number = 0
    for day in range(1, 31):
        for cost in ("1.0", "1.1") if day < 30 else ("9.0",):
            number += 1
            when = f"2026-04-{day:02}T10:00Z"
            plant(planted, number, created_at=when, cost=str(Decimal(cost) + Decimal(day % 3) / 10), cost_unit="USD")
    plant(planted, number + 1, created_at="2026-04-30T10:00Z", cost="9", cost_unit="EUR")
    rows = planted.execute(text("SELECT * FROM bi.cost_anomalies ORDER BY cost_unit, day")).all()
    assert [(row.day, row.cost_unit) for row in rows if row.is_anomaly] == [(date(2026, 4, 30), "USD")]
    assert (rows[0].expected_cost, rows[0].z_score, rows[0].is_anomaly) == (None, None, False)
    last = rows[-1]
    before = [row.cost for row in rows if row.cost_unit == "USD" and row.day < last.day][-28:]
    assert last.expected_cost == pytest.approx(sum(before) / 28)
    assert last.ratio == pytest.approx(last.cost / last.expected_cost)


@pytest.mark.parametrize(
    ("zone", "created_at", "local", "is_open"),
    [
        ("UTC", "2026-05-01T10:00Z", (date(2026, 5, 1), 10, 5), True),
        ("Asia/Kolkata", "2026-05-01T18:29:59Z", (date(2026, 5, 1), 23, 5), False),
        ("Asia/Kolkata", "2026-05-01T18:30Z", (date(2026, 5, 2), 0, 6), False),
        ("Asia/Kolkata", "2026-05-01T03:29:59Z", (date(2026, 5, 1), 8, 5), False),
        ("Asia/Kolkata", "2026-05-01T03:30Z", (date(2026, 5, 1), 9, 5), True),
        ("America/New_York", "2026-05-04T03:59:59Z", (date(2026, 5, 3), 23, 7), False),
        ("Europe/Berlin", "2026-10-25T01:30Z", (date(2026, 10, 25), 2, 7), False),  # the second 02:30
    ],
)
def test_local_times_are_those_of_the_zone_of_reports(
    planted: Connection, zone: str, created_at: str, local: tuple[date, int, int], is_open: bool
) -> None:
    columns = "local_date, local_hour, local_weekday, is_business_hours"
    plant(planted, 1, created_at=created_at)
    assert planted.execute(text(f"SELECT {columns} FROM bi.calls")).one().is_business_hours is None
    hours = {"zone": zone, "hours": parsers.business_hours("Mon-Fri 09:00-19:00")}
    planted.execute(text("UPDATE ops.sources SET report_timezone = :zone, business_hours = :hours"), hours)
    assert tuple(planted.execute(text(f"SELECT {columns} FROM bi.calls")).one()) == (*local, is_open)


def test_files_are_named_in_the_order_of_their_revisions() -> None:
    directory = ScriptDirectory(str(MIGRATIONS))
    assert revisions.known_revisions() == [
        script.revision for script in reversed(list(directory.revision_map.iterate_revisions("heads", "base")))
    ]
    assert revisions.head_revision() == directory.get_current_head()
