"""What a person sees who types `etl …`: the right words, the right status, and never a traceback."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text

from etl import embedded, pipeline
from etl.cli.parallel_runs import run_all
from etl.db import revisions
from etl.embedded import Server
from etl.runtime.crash_report import one_line, stack
from etl.sandbox.faults import parse_fault
from etl.sandbox.socket_server import Sandbox
from etl.sandbox.world import World
from tests.commands import environment, run_etl, start_etl, stop_etl
from tests.fakes import FakeClock
from tests.harness import differences, make_harness, requests_of

NOW = datetime.now(UTC).replace(microsecond=0)
COMMANDS = (
    "demo", "check", "migrate", "sync", "backfill", "daemon", "status", "replay", "sandbox", "db", "quarantine",
    "verify", "why", "rates",
)  # fmt: skip


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(World(3, calls=30, days=5, now=NOW)) as served:
        yield served


@pytest.fixture
def configured(sandbox: Sandbox, tmp_path: Path, database_url: str) -> dict[str, str]:
    """The environment of four unhurried sources and a migrated database."""
    return unhurried(sandbox, tmp_path, database_url)


def unhurried(sandbox: Sandbox, folder: Path, database_url: str) -> dict[str, str]:
    tables = [
        f'[sources.{name}]\nprovider = "{name}"\napi_key = "env:{name.upper()}_API_KEY"\nrequests_per_minute = 6000\n'
        + (f"phones = {list(sandbox.world.phones)}\n" if name == "ravan" else "")
        for name in ("autocalls", "ravan", "ringg", "vaani")
    ]
    (folder / "quick.toml").write_text("".join(tables))
    variables = {name: value for name, value in sandbox.environment().items() if name != "RAVAN_PHONES"}
    return {**variables, "ETL_CONFIG": "quick.toml", "DATABASE_URL": f"{database_url}?sslmode=disable"}


def lines(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("etl: ")]


# -- the command line itself


def test_alone_it_shows_its_help(tmp_path: Path) -> None:
    said = run_etl(cwd=tmp_path)
    assert all(re.search(rf"^  {name} ", said.stdout + said.stderr, re.M) for name in COMMANDS)


def test_help_costs_none_of_the_heavy_imports() -> None:
    heavy = {"sqlalchemy", "alembic", "httpx", "psycopg", "apscheduler", "msgspec", "phonenumbers"}
    found = subprocess.run(
        [sys.executable, "-c", "import sys, etl.cli; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    assert heavy & set(found.stdout.split()) == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_explains_itself_in_lines_that_fit(tmp_path: Path, name: str) -> None:
    said = run_etl(name, "--help", cwd=tmp_path)
    assert said.returncode == 0
    assert all(len(line) <= 80 for line in said.stdout.splitlines())
    assert "..." not in said.stdout.replace("]...", "").replace("[ARGS]...", "")
    if name not in ("db", "quarantine", "rates"):
        assert f"Example:  etl {name}" in said.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("synk",), "Did you mean 'sync'?"),
        (("sandbox", "--prot", "1"), "--port"),
        (("backfill",), "--from 2026-01-31"),
        (("backfill", "--from"), "--from"),
        (("backfill", "--from", "2026-13-01"), "2026-13-01"),
        (("backfill", "--from", "0001-01-01"), "in the year 2000 or later"),
        (("backfill", "--from", "2999-01-01"), "must not be in the future"),
        (("backfill", "--from", "2026-02-01", "--to", "2026-02-01"), "later than --from"),
        (("quarantine", "show", "x"), "'x' is no number of a record"),
        (("quarantine", "show", "0"), "'0' is no number of a record"),
        (("quarantine", "dismiss", "1", "99999999999999999999"), "is no number of a record"),
        (("quarantine", "dismiss"), "NUMBER"),
        (("sandbox", "--order", "sideways"), "desc, asc, unsorted, reshuffled"),
        (("sandbox", "--fault", "Z99"), "Z99"),
        (("sandbox", "--port", "70000"), "65535"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_status_2_and_says_what_to_write(
    tmp_path: Path, words: tuple[str, ...], expected: str
) -> None:
    said = run_etl(*words, cwd=tmp_path)
    assert said.returncode == 2, said.stderr
    assert expected in said.stderr
    assert "Traceback" not in said.stderr


def test_an_unknown_source_is_status_2_with_the_nearest_name(tmp_path: Path, configured: dict[str, str]) -> None:
    for words in (("sync", "rimgg"), ("backfill", "rimgg", "--from", "2026-01-01"), ("replay", "rimgg")):
        said = run_etl(*words, cwd=tmp_path, given=configured)
        assert said.returncode == 2
        assert "unknown source 'rimgg'; did you mean ringg?" in said.stderr


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        said = run_etl("sandbox", "--port", str(taken.getsockname()[1]), cwd=tmp_path)
    assert said.returncode == 2
    assert "is in use; omit --port for a free one" in said.stderr


def test_the_faults_of_the_sandbox_are_listed(tmp_path: Path) -> None:
    said = run_etl("sandbox", "--fault", "list", cwd=tmp_path)
    assert said.returncode == 0
    assert "G09" in said.stdout


# -- the configuration


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"DATABASE_URL": ""}, "no source is configured"),  # with one, there may be sources in the database
        ({"DATABASE_URL": "", "RINGG_API_KEY": " "}, "no source is configured"),
        ({"RAVAN_API_KEY": "k"}, "RAVAN_PHONES is not set"),
        ({"RINGG_API_KEY": "k", "DATABASE_URL": "mysql://x/y"}, "DATABASE_URL is not a PostgreSQL URL"),
        ({"RINGG_API_KEY": "k", "RINGG_BASE_URL": "http://api.ringg.ai"}, "RINGG_BASE_URL is http"),
        ({"RINGG_API_KEY": "k", "ETL_CONFIG": "mine.toml"}, "the file mine.toml cannot be read"),
    ],
)
def test_a_wrong_configuration_is_status_78(tmp_path: Path, given: dict[str, str], expected: str) -> None:
    for words in (("sync",), ("check",)):
        said = run_etl(*words, cwd=tmp_path, given={"DATABASE_URL": "postgresql://127.0.0.1:1/x", **given})
        assert said.returncode == 78
        assert expected in said.stderr
        assert said.stdout == ""


def test_every_problem_is_listed_at_once_and_no_key_is_shown(tmp_path: Path) -> None:
    (tmp_path / "etl.toml").write_text('[sources.a]\nprovider = "rimgg"\n[sources.b]\napi_key = "sk-SECRET-42"\n')
    said = run_etl("sync", cwd=tmp_path, given={"DATABASE_URL": "mysql://u:hunter2@h/d"})
    assert said.returncode == 78
    assert len(lines(said.stderr)) >= 4
    assert "SECRET" not in said.stderr + said.stdout
    assert "hunter2" not in said.stderr + said.stdout


def test_malformed_toml_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "etl.toml").write_text("[sources.a\n")
    said = run_etl("status", cwd=tmp_path)
    assert said.returncode == 78
    assert re.search(r"etl: etl.toml is not valid TOML: .*line 1", said.stderr)


def test_variables_of_other_tools_do_not_stop_it(tmp_path: Path, configured: dict[str, str]) -> None:
    said = run_etl("status", cwd=tmp_path, given={**configured, "ETL_PIPELINE_OWNER": "somebody", "RINGG_MASTER": "x"})
    assert said.returncode == 0
    assert run_etl("status", cwd=tmp_path, given={**configured, "RINGG_API_KEYS": "x"}).returncode == 78


# -- the database


def test_an_unreachable_database_is_status_78(tmp_path: Path, configured: dict[str, str]) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        free = listener.getsockname()[1]
    given = {**configured, "DATABASE_URL": f"postgresql://u:hunter2@127.0.0.1:{free}/calls"}
    for words in (("sync",), ("migrate",), ("status",), ("daemon",)):
        said = run_etl(*words, cwd=tmp_path, given=given)
        assert said.returncode == 78
        assert lines(said.stderr) == [
            f"etl: the database at 127.0.0.1:{free}, database 'calls' cannot be used: nothing listens there: "
            "start the server (`etl db start` the embedded one), or fix DATABASE_URL"
        ]


def test_a_wrong_password_or_database_is_status_78_and_is_not_shown(
    tmp_path: Path, configured: dict[str, str], server: Server
) -> None:
    right = make_url(configured["DATABASE_URL"])
    for wrong, expected in (
        (right.set(password="hunter2"), "the server says: password authentication failed"),
        (right.set(database="nowhere"), 'the server says: database "nowhere" does not exist'),
    ):
        given = {**configured, "DATABASE_URL": wrong.render_as_string(hide_password=False)}
        said = run_etl("sync", cwd=tmp_path, given=given)
        assert said.returncode == 78
        assert expected in said.stderr
        assert "hunter2" not in said.stderr
        assert server.password not in said.stderr


def test_a_database_that_is_not_migrated_or_of_another_revision_is_status_78(
    tmp_path: Path, configured: dict[str, str], db: Engine
) -> None:
    head = revisions.head_revision()
    newer = "UPDATE ops.alembic_version SET version_num = '9999'"
    excluding = "CREATE OR REPLACE FUNCTION ops.compatible_since() RETURNS text LANGUAGE sql AS $$ SELECT '9999' $$"
    with db.begin() as connection:
        connection.execute(text(newer))
    assert run_etl("sync", "ringg", cwd=tmp_path, given=configured).returncode == 0  # it works with it
    for change, expected in (
        (excluding, "at revision 9999, which this version does not know"),
        ("DROP TABLE ops.alembic_version", "is not migrated: run `etl migrate`"),
    ):
        with db.begin() as connection:
            connection.execute(text(change))
        said = run_etl("sync", cwd=tmp_path, given=configured)
        assert said.returncode == 78
        assert expected in said.stderr
        assert "9999" not in expected or head in said.stderr


def test_a_source_under_another_ones_name_is_status_78(tmp_path: Path, configured: dict[str, str]) -> None:
    assert run_etl("sync", "ringg", cwd=tmp_path, given=configured).returncode == 0
    other_host = {**configured, "RINGG_BASE_URL": "http://localhost:9/ringg"}
    (tmp_path / "other.toml").write_text('[sources.ringg]\nprovider = "vaani"\napi_key = "env:VAANI_API_KEY"\n')
    other_provider = {**configured, "ETL_CONFIG": "other.toml"}
    for given, commands in ((other_host, ("sync", "daemon")), (other_provider, ("sync", "check"))):
        for command in commands:
            said = run_etl(command, cwd=tmp_path, given=given)
            assert said.returncode == 78, command
            assert "but the database has ringg at 127.0.0.1" in said.stdout + said.stderr


def test_check_names_all_that_is_wrong_at_once(tmp_path: Path, configured: dict[str, str]) -> None:
    said = run_etl("check", cwd=tmp_path, given=configured)
    assert said.returncode == 0
    assert said.stdout.count(": OK; ") == 6
    broken = {**configured, "RINGG_API_KEY": "wrong-key-000", "DATABASE_URL": "postgresql://127.0.0.1:1/x"}
    said = run_etl("check", "--json", cwd=tmp_path, given=broken)
    assert said.returncode == 78
    found = json.loads(said.stdout)
    assert found["database"]["is_ok"] is False
    assert [each["source"] for each in found["sources"] if not each["is_ok"]] == ["ringg"]
    assert "wrong-key-000" not in said.stdout + said.stderr


def test_check_lists_of_many_sources_only_those_that_fail(tmp_path: Path, configured: dict[str, str]) -> None:
    table = "".join(
        f'[sources.s{at:02}]\nprovider = "vaani"\napi_key = "env:{"BAD" if at == 7 else "VAANI_API"}_KEY"\n'
        for at in range(25)
    )
    (tmp_path / "many.toml").write_text(table)
    given = {**configured, "ETL_CONFIG": "many.toml", "BAD_KEY": "wrong-key-000"}
    said = run_etl("check", cwd=tmp_path, given=given)
    assert said.returncode == 1
    words = [line.partition(";")[0] for line in said.stdout.splitlines()]
    assert words == ["configuration: OK", "database: OK", "s07: FAILED", "24 of 25 sources: OK"]
    assert len(json.loads(run_etl("check", "--json", cwd=tmp_path, given=given).stdout)["sources"]) == 25


# -- the work


def test_the_way_of_the_readme_from_sync_to_status(tmp_path: Path, configured: dict[str, str]) -> None:
    said = run_etl("status", cwd=tmp_path, given=configured)
    assert said.returncode == 0
    assert re.search(
        r"^autocalls +0 +0 +none +never +unknown +no daemon\n  never synced: the first sync has not started$",
        said.stdout,
        re.M,
    )
    said = run_etl("sync", cwd=tmp_path, given=configured)
    assert said.returncode == 0, said.stderr
    assert len(re.findall(r"^(\w+): succeeded; .*: 30 new, 0 changed", said.stdout, re.M)) == 3
    progress = [json.loads(line) for line in said.stderr.splitlines()]
    assert {"source": "vaani", "step": "calls", "rows": 30, "total": 30}.items() <= max(
        progress, key=lambda event: (event["source"] == "vaani", event.get("step") == "calls")
    ).items()
    rows = json.loads(run_etl("status", "--json", cwd=tmp_path, given=configured).stdout)
    assert {row["source"]: row["completeness"] for row in rows} == dict.fromkeys(
        ("autocalls", "ravan", "ringg", "vaani"), "count_match"
    )
    assert all(row["last_run"]["status"] == "succeeded" and row["next_run_at"] is None for row in rows)
    week_ago = f"{NOW - timedelta(days=7):%Y-%m-%d}"
    assert "0 new, 0 changed" in run_etl("backfill", "ringg", "--from", week_ago, cwd=tmp_path, given=configured).stdout
    again = run_etl("backfill", "ringg", "--from", week_ago, "--again", cwd=tmp_path, given=configured)
    assert "30 unchanged" in again.stdout
    assert "30 calls replayed, 0 would change" in run_etl("replay", "--dry-run", cwd=tmp_path, given=configured).stdout
    assert run_etl("replay", cwd=tmp_path, given=configured).returncode == 0
    assert all(len(line) <= 80 for line in run_etl("status", cwd=tmp_path, given=configured).stdout.splitlines())


def test_verify_ends_with_status_1_while_a_gap_is_left(tmp_path: Path, configured: dict[str, str], db: Engine) -> None:
    assert run_etl("sync", "vaani", "ringg", cwd=tmp_path, given=configured).returncode == 0
    said = run_etl("verify", "vaani", "ringg", "--json", cwd=tmp_path, given=configured)
    assert said.returncode == 0, said.stderr
    checks = json.loads(said.stdout)
    assert {tuple(each) for each in checks} == {("source", "day", "status", "missing_count", "reason")}
    assert {(each["source"], each["status"]) for each in checks} == {
        ("vaani", "verified"),  # all on one page
        ("ringg", "verified"),
    }
    with db.begin() as connection:
        connection.execute(text(LOSE_ONE))
    said = run_etl("verify", "vaani", "ringg", cwd=tmp_path, given=configured)
    assert said.returncode == 1
    assert re.search(
        r"^vaani +\d+  .* 1 incomplete\n  20\d\d-\d\d-\d\d  incomplete: 1 listed call is not stored$", said.stdout, re.M
    )
    assert "1 call missing on 20" in run_etl("status", cwd=tmp_path, given=configured).stdout
    healed = run_etl("verify", "vaani", "--heal", cwd=tmp_path, given=configured)
    assert healed.returncode == 0
    assert "vaani: succeeded; " in healed.stdout
    assert " 1 new, " in healed.stdout
    failed = run_etl("verify", "--json", cwd=tmp_path, given={**configured, "RINGG_API_KEY": "wrong-key-000"})
    assert failed.returncode == 1
    assert "etl: ringg: the provider refuses the key" in failed.stderr
    json.loads(failed.stdout)
    early = run_etl("verify", "--from", "2026-02-01", "--to", "2026-02-01", cwd=tmp_path, given=configured)
    assert early.returncode == 2


LOSE_ONE = """
    DELETE FROM warehouse.calls WHERE call_key =
        (SELECT call_key FROM warehouse.calls WHERE source = 'vaani' ORDER BY created_at OFFSET 5 LIMIT 1)
"""


def test_a_wrong_key_fails_its_source_alone(tmp_path: Path, configured: dict[str, str]) -> None:
    said = run_etl("sync", "ringg", "vaani", cwd=tmp_path, given={**configured, "RINGG_API_KEY": "wrong-key-000"})
    assert said.returncode == 1
    assert re.search(r"^ringg: failed; ", said.stdout, re.M)
    assert re.search(r"^vaani: succeeded; ", said.stdout, re.M)
    assert [line.partition(";")[0] for line in lines(said.stderr)] == [
        "etl: ringg: the provider refuses the key (HTTP 401)"
    ]
    assert "wrong-key-000" not in said.stdout + said.stderr


def test_an_error_that_nobody_foresaw_is_a_line_and_the_others_are_done(
    tmp_path: Path, configured: dict[str, str], db: Engine
) -> None:
    with db.begin() as connection:
        connection.execute(text("ALTER TABLE warehouse.transcripts RENAME TO elsewhere"))
    said = run_etl("sync", "ringg", "vaani", cwd=tmp_path, given=configured)
    assert said.returncode == 1
    assert "Traceback" not in said.stderr
    assert {line.split(":")[1].strip() for line in lines(said.stderr)} == {"ringg", "vaani"}


def test_an_unexpected_error_shows_its_kind_and_place_and_none_of_its_text() -> None:
    try:
        raise RuntimeError("https://api/?key=SECRET")
    except RuntimeError as error:
        said, way = one_line(error), stack(error)
    assert re.match(r"unexpected RuntimeError at test_cli:\d+: ", said)
    assert "SECRET" not in said + way.replace('raise RuntimeError("https://api/?key=SECRET")', "")


def test_an_unexpected_error_is_one_line_and_its_way_is_in_the_log_for_those_who_ask(
    tmp_path: Path, configured: dict[str, str]
) -> None:
    broken = """if True:
        import sys, etl.reports.status
        from etl.cli import main
        def fail(*_): raise LookupError("https://api/?key=SECRET")
        etl.reports.status.status = fail
        main()
    """
    for words in (("status",), ("--debug", "status")):
        said = subprocess.run(
            [sys.executable, "-c", broken, *words], cwd=tmp_path, env=environment(tmp_path, configured),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (said.returncode, said.stdout) == (1, "")
        assert "Traceback" not in said.stderr
        assert "api/?key" not in said.stderr
        assert re.search(r"^etl: unexpected LookupError at \S+:\d+: this is a bug", said.stderr, re.M)
        assert said.stderr.count("\n") == len(words)


def test_the_sandbox_says_how_it_is_reached_and_ends_when_asked(tmp_path: Path) -> None:
    process = start_etl("sandbox", "--calls", "5", cwd=tmp_path, given={})
    assert process.stdout
    printed = [process.stdout.readline() for _ in range(9)]
    assert all(re.match(r"export [A-Z_]+=\S+\n", line) for line in printed)
    code, _, err = stop_etl(process)
    assert (code, "Traceback" in err) == (0, False)


def test_quarantine_lists_shows_and_tries_again(tmp_path: Path, database_url: str) -> None:
    with Sandbox(World(3, calls=10, days=2, now=NOW), [parse_fault("V01")]) as broken:
        given = unhurried(broken, tmp_path, database_url)
        assert run_etl("sync", "ringg", cwd=tmp_path, given=given).returncode == 0
        rows = json.loads(run_etl("quarantine", "list", "--json", cwd=tmp_path, given=given).stdout)
        assert rows
        number = str(rows[0]["quarantine_id"])
        assert rows[0]["reason"] in run_etl("quarantine", "list", "ringg", cwd=tmp_path, given=given).stdout
        shown = run_etl("quarantine", "show", number, cwd=tmp_path, given=given)
        assert json.loads(shown.stdout)
        assert run_etl("quarantine", "retry", cwd=tmp_path, given=given).returncode == 0
        assert run_etl("quarantine", "list", "nobody", cwd=tmp_path, given=given).returncode == 2
        unknown = run_etl("quarantine", "show", "4711", cwd=tmp_path, given=given)
        assert (unknown.returncode, "there is no record 4711" in unknown.stderr) == (2, True)


# -- the embedded server


def test_the_embedded_server_needs_no_right_configuration(tmp_path: Path) -> None:
    (tmp_path / "etl.toml").write_text("[broken")
    (tmp_path / ".env").write_text("ETL_NONSENSE=1\n")
    said = run_etl("db", "url", cwd=tmp_path)
    assert (said.returncode, said.stdout) == (78, "")
    assert "run `etl db start`" in said.stderr
    assert run_etl("db", "stop", cwd=tmp_path).stdout == f"none was running in {tmp_path / 'etl'}\n"
    (tmp_path / "file").write_text("")
    for home, problem in (
        ("file", "is a file"),
        ("a" * 300, "is not a path that can be used"),
        ("~nobody-here", "path"),
    ):
        said = run_etl("db", "start", cwd=tmp_path, given={"ETL_HOME": home})
        assert (said.returncode, problem in said.stderr) == (78, True), said.stderr


@pytest.mark.parametrize("words", [
    ("status",), ("check",), ("why", "x"), ("verify",), ("quarantine", "list"), ("quarantine", "show", "1"),
    ("replay", "--dry-run"), ("backfill", "--from", "2026-01-01", "--plan"), ("db", "url"), ("db", "psql"),
])  # fmt: skip
def test_a_question_starts_no_server_creates_nothing_and_says_where_it_looked(
    tmp_path: Path, sandbox: Sandbox, words: tuple[str, ...]
) -> None:
    said = run_etl(*words, cwd=tmp_path, given=sandbox.environment())
    assert said.returncode == 78
    home = tmp_path / "etl"
    assert f"no embedded PostgreSQL is running in {home}" in said.stdout + said.stderr
    assert list(tmp_path.iterdir()) == []


def test_psql_is_opened_on_the_server_of_etl_home(tmp_path: Path, server: Server) -> None:
    home = next(parent for parent in tmp_path.parents if (parent / "postgres").exists()) / "postgres" / "home"
    assert embedded.running(home) == server
    assert run_etl("db", "url", "demo", cwd=tmp_path, given={"ETL_HOME": str(home)}).stdout == f"{server.url('demo')}\n"
    said = run_etl("db", "psql", "postgres", cwd=tmp_path, given={"ETL_HOME": str(home)})
    assert said.returncode == 0, said.stderr


def test_of_three_sources_at_once_one_may_fail_alone(db: Engine) -> None:
    harness = make_harness(db, World(6, calls=60, now=NOW), "H09:first=1,provider=autocalls", clock=FakeClock(NOW))
    names = ("vaani", "autocalls", "ringg")
    reports = run_all(harness.dependencies(), [harness.sources[name] for name in names], "sync", pipeline.sync)
    assert [report.source for report in reports] == list(names)
    assert [report.status for report in reports] == ["succeeded", "failed", "succeeded"]
    assert "refuses the key" in (reports[1].error or "")
    assert differences(harness, "vaani") == differences(harness, "ringg") == []
    assert harness.stored_ids("autocalls") == set()
    assert len(requests_of(harness, "autocalls")) == 1
    paused = harness.rows("SELECT source FROM ops.sources WHERE paused_until IS NOT NULL")
    assert paused == [{"source": "autocalls"}]
