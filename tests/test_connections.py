"""PostgreSQL as people have it: settings, rights, poolers and URLs; all of it on real servers."""

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import Connection, Engine, make_url, text

from etl import embedded
from etl.cli.source_check import CheckResult, check_database
from etl.db import revisions
from etl.db.connections import FIXED, open_engine, sqlalchemy_url
from etl.db.engine import DatabaseProblem
from etl.embedded import Server
from etl.pipeline import sync
from etl.runtime.secret import Secret
from etl.sandbox.world import World
from etl.settings import Settings
from etl.state import runs
from etl.state.session import IdleSessions, StateSession, end_idle
from etl.sync.run import RunResult, SourceRun, run_source
from etl.web.readonly_db import readonly_engine
from tests.commands import ROOT, run_etl
from tests.fakes import Ticking, wait_until
from tests.harness import NOW, PROVIDERS, Harness, InterceptingTransport, counts_add_up, differences, make_harness
from tests.postgres import database_copy

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
needs_pgbouncer = pytest.mark.skipif(PGBOUNCER is None, reason="needs pgbouncer: apt-get install pgbouncer")

# What a role, a database, a server or an environment may be set to: each would change what a statement means or does.
HOSTILE = {
    "search_path": '"$user", public', "client_encoding": "LATIN1", "DateStyle": "German, DMY",
    "IntervalStyle": "sql_standard", "TimeZone": "Asia/Kolkata", "bytea_output": "escape", "extra_float_digits": "-15",
    "standard_conforming_strings": "off", "array_nulls": "off", "transform_null_equals": "on",
    "quote_all_identifiers": "on", "row_security": "off", "exit_on_error": "on", "gin_fuzzy_search_limit": "1",
    "default_transaction_isolation": "serializable", "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on", "default_tablespace": "pg_global", "idle_session_timeout": "500",
    "statement_timeout": "100", "lock_timeout": "1", "idle_in_transaction_session_timeout": "100",
    "session_replication_role": "replica",
}  # fmt: skip
HIJACK = [
    f"CREATE FUNCTION public.hijacked({left}, {right}) RETURNS boolean LANGUAGE plpgsql AS"
    " $$ BEGIN RAISE EXCEPTION 'called with the rights of %', current_user; END $$;"
    f"CREATE OPERATOR public.= (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = public.hijacked)"
    for left, right in (("text", "varchar"), ("varchar", "text"))
]


def admin(server: Server, database: str, *statements: str) -> None:
    """Run statements as the superuser, with none of our settings."""
    with psycopg.connect(
        server.url(database), autocommit=True, sslmode="disable", options="-c search_path=public"
    ) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def of_role(server: Server, database: str) -> None:
    names = (f"{name} TO {value!r}" for name, value in HOSTILE.items())
    admin(server, database, *(f"ALTER ROLE {server.user} IN DATABASE {database} SET {each}" for each in names))


def of_database(server: Server, database: str) -> None:
    admin(server, database, *(f"ALTER DATABASE {database} SET {name} TO {value!r}" for name, value in HOSTILE.items()))


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def pooler(server: Server, mode: str) -> Iterator[str]:
    """PgBouncer before the server: the start of its URLs. It refuses to run as root."""
    account = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "users.txt").write_text(f'"{server.user}" "{server.password}"\n')
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={server.host} port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
            f"listen_port = {port}\nunix_socket_dir =\nauth_type = plain\nauth_file = {folder}/users.txt\n"
            f"pool_mode = {mode}\nserver_tls_sslmode = disable\n"
        )
        for path in (folder, *folder.iterdir()):
            os.chown(path, account.pw_uid, account.pw_gid)
        process = subprocess.Popen([str(PGBOUNCER), "-q", folder / "pgbouncer.ini"], user=account.pw_uid)
        try:
            wait_until(lambda: is_open(port))
            yield f"postgresql://{server.user}:{server.password}@127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture(params=["role", "database", "server", "environment"])
def hostile(request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty database whose sessions begin with every setting wrong."""
    if request.param == "server":
        home = tmp_path_factory.mktemp("hostile")
        given = {name: value for name, value in HOSTILE.items() if name != "session_replication_role"}
        try:
            yield embedded.start(home, given).url()
        finally:
            embedded.stop(home)
        return
    with database_copy(server, "template1") as name:
        if request.param == "environment":
            patch = pytest.MonkeyPatch()
            for variable, setting in {"CLIENTENCODING": "client_encoding", "DATESTYLE": "DateStyle"}.items():
                patch.setenv(f"PG{variable}", HOSTILE[setting])
            patch.setenv("PGTZ", "Nowhere/At-all")
            spaced = {name: value.replace(" ", "\\ ") for name, value in HOSTILE.items()}
            patch.setenv("PGOPTIONS", " ".join(f"-c {name}={value}" for name, value in spaced.items()))
            yield server.url(name)
            patch.undo()
        else:
            {"role": of_role, "database": of_database}[request.param](server, name)
            yield server.url(name)


def shown(db: Engine) -> dict[str, str]:
    with db.connect() as connection:
        return {name: connection.scalar(text(f"SHOW {name}")) for name in (*FIXED, "session_replication_role")}


def test_no_setting_of_role_database_server_or_environment_matters(hostile: str) -> None:
    db = open_engine(hostile)
    revisions.migrate(db)
    harness = make_harness(db)
    for name in PROVIDERS:
        harness.sync(name)
        harness.sync(name)
        assert differences(harness, name) == []
    assert harness.scalar("SELECT count(*) FROM ops.quarantine") == 0
    assert harness.scalar("SELECT sum(calls) FROM warehouse.call_rollup WHERE hour = -1") == 160
    expected = {name: value.strip("'") for name, value in FIXED.items()} | {"session_replication_role": "origin"}
    assert shown(db) == expected
    page = readonly_engine(db.url)
    assert shown(page) == expected | {"default_transaction_read_only": "on"}
    page.dispose()
    db.dispose()


def test_alembic_by_itself_has_the_same_settings(server: Server) -> None:
    with database_copy(server, "template1") as name:
        of_database(server, name)
        given = {**os.environ, "DATABASE_URL": f"{server.url(name)}?sslmode=disable"}
        subprocess.run([sys.executable, "-m", "alembic", "upgrade", "head"], cwd=ROOT, env=given, check=True)
        db = open_engine(server.url(name))
        revisions.require_revision(db)
        db.dispose()


def test_nothing_in_public_is_called_with_the_rights_of_the_loader(server: Server) -> None:
    with database_copy(server, "template1") as name:
        admin(server, name, *HIJACK)
        db = open_engine(server.url(name))
        revisions.migrate(db, allow_other_tables=True)
        harness = make_harness(db)
        harness.sync("ravan")
        with pytest.raises(psycopg.errors.RaiseException):  # the trap works
            admin(server, name, "SELECT 'a'::text = 'a'::varchar")
        # Nor where others call the functions of the warehouse, with the search path of theirs.
        trap = "SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'warehouse'::regnamespace"
        unbound = harness.rows(f"{trap} AND prosqlbody IS NULL AND NOT 'search_path' = ANY("
                               "SELECT split_part(c, '=', 1) FROM unnest(proconfig) c)")  # fmt: skip
        assert unbound == []
        db.dispose()


def test_a_user_whose_triggers_do_not_run_is_refused(server: Server, tmp_path: Path) -> None:
    with database_copy(server, "template1") as name:
        admin(
            server, name, f"CREATE ROLE mute_{name} LOGIN PASSWORD 'mute'",
            f"ALTER ROLE mute_{name} IN DATABASE {name} SET session_replication_role TO replica",
        )  # fmt: skip
        url = make_url(server.url(name)).set(username=f"mute_{name}", password="mute")
        said = run_etl("migrate", cwd=tmp_path, given={"DATABASE_URL": url.render_as_string(hide_password=False)})
        assert (said.returncode, said.stderr.count("\n")) == (78, 1)
        assert f'ALTER ROLE "mute_{name}" RESET session_replication_role' in said.stderr
        admin(server, name, f"DROP OWNED BY mute_{name}", f"DROP ROLE mute_{name}")


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_another_encoding_than_utf8_is_refused(server: Server, encoding: str) -> None:
    name = f"test_{encoding.lower()}"
    create = f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'"
    admin(server, "postgres", f"DROP DATABASE IF EXISTS {name}", create)
    db = open_engine(server.url(name))
    with pytest.raises(DatabaseProblem, match=rf"encoding is {encoding}: create one with ENCODING 'UTF8'"):
        revisions.migrate(db)
    db.dispose()
    admin(server, "postgres", f"DROP DATABASE {name}")


def test_options_and_application_name_of_the_url_are_respected(database_url: str) -> None:
    options = "-c statement_timeout=7s -c work_mem=5MB -c TimeZone=Asia/Kolkata".replace(" ", "%20")
    db = open_engine(f"{database_url}?application_name=nightly&options={options}")
    with db.connect() as connection:
        names = ("application_name", "statement_timeout", "work_mem", "lock_timeout", "TimeZone")
        assert [connection.scalar(text(f"SHOW {name}")) for name in names] == ["nightly", "7s", "5MB", "1min", "UTC"]
    db.dispose()


@pytest.mark.parametrize("form", ["two hosts", "two hosts in the query", "service", "socketless"])
def test_a_url_is_read_as_libpq_reads_it(
    server: Server, database_url: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, rest = make_url(database_url), database_url.partition("@")[0]
    (tmp_path / "services").write_text(
        f"[calls]\nhost={server.host}\nport={server.port}\nuser={server.user}\npassword={server.password}\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
    url = {
        "two hosts": f"{rest}@127.0.0.1:9,{server.host}:{server.port}/{here.database}?target_session_attrs=primary",
        "two hosts in the query": f"{rest}@/{here.database}?host=127.0.0.1,{server.host}&port=9,{server.port}",
        "service": f"postgresql:///{here.database}?service=calls",
        "socketless": f"{rest}@/{here.database}?host={server.host}&port={server.port}",
    }[form]
    said = run_etl(
        "check", cwd=tmp_path,
        given={"DATABASE_URL": url, "RINGG_API_KEY": "k", "RINGG_BASE_URL": "http://127.0.0.1:9",
               "PGSERVICEFILE": str(tmp_path / "services")},
    )  # fmt: skip
    assert "database" in said.stdout
    assert "reachable and migrated" in said.stdout, said
    for engine in (open_engine(url), readonly_engine(sqlalchemy_url(url))):
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT current_database()")) == here.database
        engine.dispose()


@needs_pgbouncer
def test_a_pooler_in_session_mode_needs_nothing(server: Server, database_url: str) -> None:
    with pooler(server, "session") as start:
        db = open_engine(f"{start}/{make_url(database_url).database}?sslmode=disable")
        harness = make_harness(db)
        for name in PROVIDERS:
            harness.sync(name)
            harness.sync(name)
            assert differences(harness, name) == []
        page = readonly_engine(db.url)
        assert shown(page)["search_path"] == FIXED["search_path"]
        page.dispose()
        db.dispose()


@needs_pgbouncer
@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_pooler_without_sessions_is_refused_and_left_as_it_was(
    server: Server, database_url: str, mode: str, tmp_path: Path
) -> None:
    with pooler(server, mode) as start:
        url = f"{start}/{make_url(database_url).database}?sslmode=disable"
        for command in ("check", "migrate", "sync", "status"):
            given = {"DATABASE_URL": url, "RINGG_API_KEY": "k", "RINGG_BASE_URL": "http://127.0.0.1:9"}
            said = run_etl(command, cwd=tmp_path, given=given)
            assert said.returncode == 78, said
            assert "PgBouncer: pool_mode=session" in said.stdout + said.stderr
        with psycopg.connect(url, autocommit=True) as other:  # a client that got one of the same server sessions
            assert other.execute("SHOW search_path").fetchone() == ('"$user", public',)


# -- rights and connections


@contextmanager
def plain_role(server: Server, database: str, *grants: str) -> Iterator[str]:
    """The URL of a role with odd name that owns nothing yet; ``grants`` are statements about it and the database."""
    names = {"role": f'"plain {database}"', "database": database}
    create = "CREATE ROLE {role} LOGIN PASSWORD 'plain'"
    admin(server, database, *(each.format(**names) for each in (create, *grants)))
    yield f"postgresql://plain%20{database}:plain@{server.host}:{server.port}/{database}"
    admin(server, database, "DROP OWNED BY {role} CASCADE".format(**names), "DROP ROLE {role}".format(**names))


@pytest.mark.parametrize(
    ("given", "grants"),
    [
        (["REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC"], "GRANT TEMPORARY ON DATABASE {database} TO {role}"),
        (
            ["REVOKE EXECUTE ON FUNCTION sha256(bytea), hashtextextended(text, bigint) FROM PUBLIC"],
            "GRANT EXECUTE ON FUNCTION hashtextextended(text,bigint) TO {role}; "
            "GRANT EXECUTE ON FUNCTION sha256(bytea) TO {role}",
        ),
        (["ALTER ROLE {role} CONNECTION LIMIT 2"], "ALTER ROLE {role} CONNECTION LIMIT 10"),
        (["ALTER DATABASE {database} CONNECTION LIMIT 1"], "ALTER DATABASE {database} CONNECTION LIMIT 10"),
    ],
)
def test_check_names_what_is_to_be_granted_before_a_run_fails_for_it(
    server: Server, given: list[str], grants: str
) -> None:
    with (
        database_copy(server, "template1") as name,
        plain_role(server, name, "GRANT CREATE ON DATABASE {database} TO {role}") as url,
    ):
        names = {"role": f'"plain {name}"', "database": name}
        db = open_engine(url)
        revisions.migrate(db)
        harness = make_harness(db)
        settings = Settings(Secret(url), Path(), tuple(harness.sources.values()), None, None)
        admin(server, name, *(each.format(**names) for each in given))
        db.dispose()
        found = check_database(settings)[0]
        assert found == CheckResult("database", False, f"ask an administrator to run: {grants.format(**names)};")
        admin(server, name, *grants.format(**names).split("; "))
        assert check_database(settings)[0].is_ok
        harness.sync("ravan")
        db.dispose()


def test_without_execute_for_public_migrate_names_the_grant_and_bi_reader_reads(server: Server, tmp_path: Path) -> None:
    with database_copy(server, "template1") as name, plain_role(server, name) as url:
        admin(
            server, name, "REVOKE EXECUTE ON FUNCTION pg_advisory_xact_lock(bigint) FROM PUBLIC",
            "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
        )  # fmt: skip
        said = run_etl("migrate", cwd=tmp_path, given={"DATABASE_URL": url})
        grants = (
            f'GRANT CREATE ON DATABASE {name} TO "plain {name}"; '
            f'GRANT EXECUTE ON FUNCTION pg_advisory_xact_lock(bigint) TO "plain {name}"'
        )
        assert (said.returncode, f"ask an administrator to run: {grants};" in said.stderr) == (78, True), said.stderr
        db = open_engine(server.url(name))
        revisions.migrate(db)
        harness = make_harness(db)
        harness.sync("ravan")
        assert revisions.unable_readers(db) is None
        with db.connect() as connection:
            connection.execute(text("SET ROLE bi_reader"))
            assert connection.scalar(text("SELECT count(*) FROM bi.calls WHERE is_final")) > 0
            assert connection.scalar(text("SELECT count(*) FROM bi.transcript_turns")) > 0
            assert connection.scalar(text("SELECT count(*) FROM bi.transcripts WHERE search_vector IS NOT NULL")) > 0
        db.dispose()


@pytest.mark.parametrize("limit", [2, 3, 5])
@pytest.mark.parametrize("idle", [None, IdleSessions(4)], ids=["sessions end", "sessions are left"])
def test_fewer_connections_than_runs_make_them_wait(server: Server, limit: int, idle: IdleSessions | None) -> None:
    with (
        database_copy(server, "template1") as name,
        plain_role(server, name, "GRANT CREATE ON DATABASE {database} TO {role}") as url,
    ):
        db = open_engine(url)
        revisions.migrate(db)
        harness = make_harness(db)
        admin(server, name, f'ALTER ROLE "plain {name}" CONNECTION LIMIT {limit}')
        deps = replace(harness.dependencies(), clock=Ticking(NOW), idle_sessions=idle)
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda name: run_source(deps, harness.sources[name], "sync", sync, is_manual=True),
                                     PROVIDERS * 2))  # fmt: skip
        assert [(run.status, run.error) for run in found] == [("succeeded", None)] * 8
        assert [differences(harness, source) for source in PROVIDERS] == [[], [], [], []]
        end_idle(idle or IdleSessions())
        db.dispose()


# -- sessions that end


TERMINATE_ALL = text(
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)


def end_all(harness: Harness) -> None:
    other = open_engine(harness.db.url.render_as_string(hide_password=False))
    with other.connect() as connection:
        connection.execute(TERMINATE_ALL)
    other.dispose()


@pytest.mark.parametrize("name", PROVIDERS)
def test_sessions_that_end_during_a_request_end_no_run(db: Engine, name: str) -> None:
    harness = make_harness(db, None, "G12:size=10")

    def end_and_look(number: int, request: httpx.Request) -> None:
        end_all(harness)

    harness.transport = InterceptingTransport(harness.transport, end_and_look)
    harness.sync(name)
    assert differences(harness, name) == []
    assert harness.rows("SELECT status, error FROM ops.runs") == [{"status": "succeeded", "error": None}]


def test_a_run_that_was_ended_on_purpose_does_not_go_on_in_another_session(db: Engine) -> None:
    harness = make_harness(db, None, "G12:size=10")

    def give_up(number: int, request: httpx.Request) -> None:
        if number == 3:
            with db.begin() as connection:
                [run_id] = connection.execute(text("SELECT run_id FROM ops.runs")).one()
                runs.fail(connection, run_id, "it hangs", harness.clock.now())

    harness.transport = InterceptingTransport(harness.transport, give_up)
    assert harness.run("ringg").status == "failed"
    assert harness.rows("SELECT status, error FROM ops.runs") == [{"status": "failed", "error": "it hangs"}]


@pytest.fixture
def idle() -> Iterator[IdleSessions]:
    sessions = IdleSessions(2)
    yield sessions
    end_idle(sessions)


def sync_leaving(harness: Harness, idle: IdleSessions) -> RunResult:
    """A sync, as the daemon runs it."""
    deps = replace(harness.dependencies(), idle_sessions=idle)
    return run_source(deps, harness.sources["ringg"], "sync", sync, is_manual=True)


def test_a_run_leaves_its_session_to_the_next_which_is_another_owner(db: Engine, idle: IdleSessions) -> None:
    harness = make_harness(db)
    assert [sync_leaving(harness, idle).status for _ in range(3)] == ["succeeded"] * 3
    assert harness.scalar("SELECT count(DISTINCT (backend_pid, backend_started_at)) FROM ops.runs") == 1
    assert harness.scalar("SELECT count(DISTINCT owner) FROM ops.runs") == 3
    assert harness.scalar("SELECT count(*) FROM ops.leases WHERE owner IS NOT NULL") == 0
    assert idle.qsize() == 1


def test_a_session_that_ended_since_it_was_left_ends_no_run(db: Engine, idle: IdleSessions) -> None:
    harness = make_harness(db)
    sync_leaving(harness, idle)
    end_all(harness)
    assert sync_leaving(harness, idle).error is None
    assert idle.qsize() == 1


def test_a_run_that_failed_leaves_no_session_by_which_it_would_seem_alive(db: Engine, idle: IdleSessions) -> None:
    harness = make_harness(db)
    harness.execute("ALTER TABLE ops.runs ADD CONSTRAINT no_end CHECK (finished_at IS NULL)")
    assert sync_leaving(harness, idle).status == "failed"
    harness.execute("ALTER TABLE ops.runs DROP CONSTRAINT no_end")
    assert idle.qsize() == 0
    assert sync_leaving(harness, idle).status == "succeeded"
    assert [row["status"] for row in harness.rows("SELECT status FROM ops.runs ORDER BY run_id")] == [
        "interrupted",
        "succeeded",
    ]


def test_a_run_moves_alone_out_of_a_session_that_others_had_before(db: Engine, idle: IdleSessions) -> None:
    harness = make_harness(db)
    sync_leaving(harness, idle)
    harness.execute("UPDATE ops.runs SET status = 'interrupted'")
    before = harness.rows("SELECT * FROM ops.runs")
    sandbox = harness.transport
    harness.transport = InterceptingTransport(sandbox, lambda number, request: end_all(harness))
    assert sync_leaving(harness, idle).status == "succeeded"
    assert harness.rows("SELECT * FROM ops.runs ORDER BY run_id LIMIT 1") == before


def test_no_more_sessions_are_left_than_there_are_places(db: Engine, idle: IdleSessions) -> None:
    with ExitStack() as sessions:
        for _ in range(3):
            sessions.enter_context(StateSession(db, idle=idle)).is_reusable = True
    assert idle.qsize() == 2
    end_idle(idle)
    db.dispose()
    wait_until(lambda: make_harness(db).scalar(CLIENTS) == 0)


CLIENTS = """
    SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


@pytest.mark.parametrize("code", ["40001", "40P01", "57P01"])
@pytest.mark.parametrize("times", [1, 4, 5])
def test_a_batch_is_tried_five_times(db: Engine, code: str, times: int) -> None:
    """A trigger of somebody else's fails as often as the sequence says, outside of the transaction's control."""
    harness = make_harness(db, None, "V01:every=1,in=7", "G12:size=10")
    fail = f"RAISE EXCEPTION USING ERRCODE = '{code}'"
    if code == "57P01":
        fail = "PERFORM pg_terminate_backend(pg_backend_pid())"
    harness.execute(
        "CREATE SEQUENCE public.failures; CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF nextval('public.failures') <= {times} THEN {fail}; END IF; RETURN NULL; END $$;"
        "CREATE TRIGGER fail AFTER INSERT ON warehouse.calls EXECUTE FUNCTION public.fail()"
    )
    expected = "succeeded" if times < 5 else "failed"
    report = harness.run("ringg")
    assert report.status == expected, report.error
    assert counts_add_up(harness)
    if times < 5:
        assert (
            harness.scalar("SELECT sum(quarantined) FROM ops.runs")
            == harness.scalar("SELECT count(*) FROM ops.quarantine")
            > 0
        )


def test_a_transaction_goes_on_where_its_connection_is_lost_without_a_word(db: Engine) -> None:
    harness = make_harness(db, World(3, calls=20))
    lost = list[object]()

    def work(run: SourceRun) -> None:
        def write(connection: Connection) -> object:
            driver: Any = connection.connection.driver_connection
            if len(lost) < 3:
                lost.append(driver)
                driver.pgconn.finish()
            return connection.scalar(text("SELECT 1"))

        run.acquire_lease()
        assert run.transaction(write) == 1

    report = harness.run("ringg", work)
    assert (report.status, report.error, len({*map(id, lost)})) == ("succeeded", None, 3)


def test_a_connection_that_comes_back_to_a_closed_pool_is_closed(database_url: str) -> None:
    db = open_engine(database_url)
    connection = db.connect()
    driver = connection.connection.driver_connection
    db.dispose()
    connection.close()
    assert driver is not None
    assert driver.closed
