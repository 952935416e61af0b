"""PostgreSQL as people have it: settings, rights, poolers and URLs; all of it on real servers."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, make_url, text

from etl import embedded
from etl.db import revisions
from etl.db.connections import FIXED, open_engine, sqlalchemy_url
from etl.db.engine import DatabaseProblem
from etl.embedded import Server
from etl.web.readonly_db import readonly_engine
from tests.commands import ROOT, run_etl
from tests.harness import PROVIDERS, differences, make_harness
from tests.postgres import database_copy

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
    assert harness.scalar("SELECT sum(calls) FROM warehouse.call_rollup_daily") == 160
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
