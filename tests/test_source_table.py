"""The sources of the database: `etl sources`, what commands read of them, and where their keys are not."""

import json
import logging
import os
import subprocess
import termios
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st
from sqlalchemy import Engine

from etl.db.connections import open_engine
from etl.embedded import Server
from etl.runtime.secret import Secret
from etl.sandbox.socket_server import Sandbox
from etl.sandbox.world import World
from etl.settings import ConfigurationError, Settings, encryption, load
from etl.settings.source_entries import Entry, read_csv, value_of, write_csv
from etl.settings.source_tables import KEYS
from etl.state import registry, source_table
from etl.state.live_sources import LiveSources
from tests.commands import ETL, environment, run_etl
from tests.fakes import wait_until
from tests.harness import NOW

KEY = "CANARY-KEY-7f3a-of-an-account"
SECRET_KEY, OLD_KEY = "ab" * 32, "cd" * 32


class Command:
    """`etl` on one database, in one directory and environment."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.given = {"DATABASE_URL": f"{url}?sslmode=disable", "ETL_SECRET_KEY": SECRET_KEY, "ACME_KEY": KEY}

    def __call__(self, *words: str, stdin: str | bytes = "", status: int = 0, **changed: str) -> str:
        """The output of a command that ends with this status: of stdout, else of stderr."""
        said = run_etl(*words, cwd=self.folder, given={**self.given, **changed}, stdin=stdin)
        assert said.returncode == status, (words, said.stdout, said.stderr)
        assert "Traceback" not in said.stderr
        assert KEY not in said.stdout + said.stderr
        return (said.stdout or said.stderr) if status == 0 else said.stderr

    def listed(self) -> dict[str, dict[str, Any]]:
        """What `etl sources list` says, by name."""
        return {each["source"]: each for each in json.loads(self("sources", "list", "--json"))}

    def settings(self, **changed: str) -> Settings:
        """The configuration that these commands have."""
        return load({**self.given, **changed}, self.folder)


@pytest.fixture
def etl(tmp_path: Path, database_url: str) -> Command:
    return Command(tmp_path, database_url)


def loaded(db: Engine, settings: Settings) -> source_table.AllSources:
    with db.connect() as connection:
        return source_table.load(connection, settings)


# -- add, set, unset, remove, list


def test_a_source_is_added_changed_and_removed(etl: Command, db: Engine) -> None:
    words = ("--set", "timezone=Asia/Kolkata", "--set", "requests_per_minute=30")
    assert "acme: added" in etl("sources", "add", "acme", "--provider", "ringg", "--key", "env:ACME_KEY", *words)
    (source,) = loaded(db, etl.settings()).valid().sources
    assert (source.name, source.provider, source.api_key.reveal()) == ("acme", "ringg", KEY)
    assert (source.timezone.key, source.requests_per_minute, source.schedule) == ("Asia/Kolkata", 30, "every 5m")

    assert "acme: changed" in etl("sources", "set", "acme", "schedule=every 15m", "requests_per_minute=6")
    assert "acme: nothing changed" in etl("sources", "set", "acme", "schedule=every 15m")
    assert "acme: changed" in etl("sources", "unset", "acme", "timezone")
    assert etl.listed()["acme"] == {
        "source": "acme",
        "provider": "ringg",
        "configured_in": "database",
        "key": "env:ACME_KEY",
        "settings": {"requests_per_minute": 6, "schedule": "every 15m"},
    }
    assert "its 0 calls stay" in etl("sources", "remove", "acme")
    assert etl.listed() == {}
    assert "no sources" in etl("sources", "list")


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (("add", "acme", "--provider", "ringg", "--key", KEY), 2, "never the key itself"),
        (("add", "acme", "--provider", "ringg"), 2, "no terminal to ask on"),
        (("add", "acme", "--provider", "ringg", "--key", "stdin"), 2, "stdin is empty"),
        (("add", "acme", "--provider", "rings", "--key", "env:ACME_KEY"), 78, "did you mean ringg?"),
        (("add", "ac me", "--provider", "ringg", "--key", "env:ACME_KEY"), 78, "a name starts with a letter"),
        (("add", "acme", "--provider", "ravan", "--key", "env:ACME_KEY"), 78, "source acme: phones is not set"),
        (("add", "acme", "--provider", "ringg", "--key", "env:NO_SUCH_KEY"), 78, "NO_SUCH_KEY, which is not set"),
        (("add", "acme", "--provider", "ringg", "--key", "env:ETL_SECRET_KEY"), 78, "a setting of Callhouse itself"),
        (("add", "acme", "--provider", "ringg", "--key", "env:DATABASE_URL"), 78, "a setting of Callhouse itself"),
        (("add", "acme", "--provider", "ringg", "--key", "file:none"), 78, "a file that cannot be read"),
        (("add", "acme", "--provider", "ringg", "--key", "env:ACME_KEY", "--set", f"api_key={KEY}"), 2, "--key"),
        (("add", "acme", "--provider", "ringg", "--key", "env:ACME_KEY", "--set", "shedule=x"), 2, "mean schedule?"),
        (("add", "acme", "--provider", "ringg", "--key", "env:ACME_KEY", "--set", "x"), 2, "write SETTING=VALUE"),
        (("add", "acme", "--provider", "ringg", "--key", "env:ACME_KEY", "--set", "region=XX"), 78, "is not a country"),
        (("add", "old", "--provider", "ringg", "--key", "env:ACME_KEY"), 2, "`etl sources set old` changes it"),
        (("set", "odl", "schedule=every 5m"), 2, "did you mean old?"),
        (("set", "old"), 2, "nothing to change"),
        (("set", "old", "provider=vaani"), 2, "keeps its provider"),
        (("set", "old", "schedule=often"), 78, "source old: schedule is not a schedule"),
        (("set", "old", "base_url=https://elsewhere.example"), 78, "give the key again, with --key"),
        (("unset", "old", "provider"), 2, "keeps its provider"),
        (("unset", "old", "shedule"), 2, "did you mean schedule?"),
        (("remove", "odl"), 2, "did you mean old?"),
        (("import", "none.csv"), 2, "cannot be read"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_changes_nothing(
    etl: Command, words: tuple[str, ...], status: int, expected: str
) -> None:
    etl("sources", "add", "old", "--provider", "ringg", "--key", "env:ACME_KEY")
    before = etl.listed()
    said = etl("sources", *words, status=status)
    assert expected in said
    assert len([line for line in said.splitlines() if line.startswith(("etl: ", "Error: "))]) == 1
    assert etl.listed() == before


def test_a_name_stands_in_one_place(etl: Command) -> None:
    etl("sources", "add", "acme", "--provider", "ringg", "--key", "env:ACME_KEY")
    (etl.folder / "etl.toml").write_text('[sources.acme]\nprovider = "ringg"\napi_key = "env:ACME_KEY"\n')
    assert "acme is configured twice" in etl("status", status=78)
    assert [each["configured_in"] for each in json.loads(etl("sources", "list", "--json"))] == ["etl.toml", "database"]
    etl("sources", "remove", "acme")
    etl("status")
    words = ("--provider", "ringg", "--key", "env:ACME_KEY")
    assert "acme: is configured in etl.toml" in etl("sources", "add", "acme", *words, status=78)
    assert "acme is configured in etl.toml" in etl("sources", "set", "acme", "schedule=every 9m", status=2)


def test_the_sources_of_the_file_and_of_the_database_are_read_together(etl: Command, db: Engine) -> None:
    (etl.folder / "etl.toml").write_text(
        'report_timezone = "Asia/Kolkata"\n[sources.one]\nprovider = "ringg"\napi_key = "env:ONE_KEY"\n'
    )
    etl.given["ONE_KEY"] = "the-key-of-one"
    etl("sources", "add", "two", "--provider", "vaani", "--key", "env:ACME_KEY")
    found = loaded(db, etl.settings()).valid().sources
    assert [(each.name, each.provider, each.reporting.timezone.key) for each in found] == [
        ("one", "ringg", "Asia/Kolkata"),
        ("two", "vaani", "Asia/Kolkata"),
    ]
    assert "unknown source 'tow'; did you mean two?" in etl("sync", "tow", status=2)


def test_a_variable_of_dotenv_that_a_source_of_the_database_refers_to_is_not_misspelt(etl: Command) -> None:
    (etl.folder / ".env").write_text("RINGG_ACME_KEY=the-key-of-acme\n")
    (etl.folder / ".env").chmod(0o600)
    assert "RINGG_ACME_KEY is not a known variable" in etl("status", status=78)
    etl("sources", "add", "acme", "--provider", "ringg", "--key", "env:RINGG_ACME_KEY")
    etl("status")


# -- keys


def test_a_key_is_encrypted_for_one_source_and_one_host(etl: Command, db: Engine) -> None:
    etl("sources", "add", "acme", "--provider", "ringg", "--key", "stdin", stdin=f"{KEY}\n")
    etl("sources", "add", "other", "--provider", "ringg", "--key", "stdin", stdin="another-key")
    acme, other = loaded(db, etl.settings()).valid().sources
    assert (acme.api_key.reveal(), other.api_key.reveal()) == (KEY, "another-key")
    assert etl.listed()["acme"]["key"] == "encrypted"
    for change in (
        "UPDATE ops.source_settings SET api_key = (SELECT api_key FROM ops.source_settings WHERE source = 'acme')",
        """UPDATE ops.source_settings SET settings = settings || '{"base_url": "https://elsewhere.example"}'""",
        "UPDATE ops.source_settings SET api_key = left(api_key, -4) || 'AAAA'",
        "UPDATE ops.source_settings SET api_key = 'encrypted:' || source",
    ):
        with db.connect() as connection:
            connection.exec_driver_sql(f"{change} WHERE source = 'other'")
            found = source_table.load(connection, etl.settings())
        assert [each.name for each in found.sources] == ["acme"]
        (problem,) = found.problems
        assert problem.startswith("source other: api_key cannot be decrypted")
        assert "`etl sources set other --key prompt`" in problem


def test_a_key_that_is_typed_is_not_echoed(etl: Command, db: Engine) -> None:
    here, there = os.openpty()
    words = ("sources", "add", "acme", "--provider", "ringg")
    process = subprocess.Popen(
        [*ETL, *words], cwd=etl.folder, env=environment(etl.folder, etl.given), stdin=there, stdout=there, stderr=there
    )
    wait_until(lambda: not termios.tcgetattr(there)[3] & termios.ECHO)
    os.write(here, f"{KEY}\n".encode())
    assert process.wait(60) == 0
    shown = os.read(here, 10_000).decode()
    assert "API key of acme: " in shown
    assert KEY not in shown
    os.close(here)
    os.close(there)
    (source,) = loaded(db, etl.settings()).valid().sources
    assert source.api_key.reveal() == KEY


def test_another_address_needs_the_key_again(etl: Command, db: Engine) -> None:
    etl("sources", "add", "acme", "--provider", "autocalls", "--key", "stdin", stdin=KEY)
    reseller = ("sources", "set", "acme", "base_url=https://reseller.example/api")
    assert "give the key again" in etl(*reseller, status=78)
    etl(*reseller, "--key", "stdin", stdin=KEY)
    (source,) = loaded(db, etl.settings()).valid().sources
    assert (source.base_url, source.api_key.reveal()) == ("https://reseller.example/api", KEY)
    # and where the environment would change it
    etl("sources", "add", "other", "--provider", "ringg", "--key", "stdin", stdin=KEY)
    said = etl("status", status=78, RINGG_BASE_URL="https://elsewhere.example")
    assert "source other: api_key cannot be decrypted" in said


def test_commands_that_ask_no_provider_need_no_keys(etl: Command, tmp_path: Path) -> None:
    for name, key, stdin in (("acme", "stdin", KEY), ("open", "env:ACME_KEY", "")):
        etl("sources", "add", name, "--provider", "ringg", "--key", key, stdin=stdin)
    (tmp_path / "etl.toml").write_text('[sources.local]\nprovider = "vaani"\napi_key = "env:LOCAL_KEY"\n')
    etl.given |= {"ETL_SECRET_KEY": "", "ACME_KEY": ""}
    assert "LOCAL_KEY, which is not set" in etl("status", status=78)
    etl("rates", "set", "open", "ringg_credits", "EUR", "0.1", "--from", "2026-01-01")
    assert "1 ringg_credits = 0.1 EUR" in etl("rates", "list")
    etl("rates", "unset", "open", "ringg_credits", "EUR", "--from", "2026-01-01")
    etl("export", "agents", "--out", "agents.csv")
    etl("erase", "--phone", "+14155550199", "--dry-run")
    (tmp_path / "etl.toml").write_text('[sources.local]\nprovider = "vaani"\napi_keys = "env:LOCAL_KEY"\n')
    assert "[sources.local] has no setting" in etl("rates", "list", status=78)


def test_without_its_secret_key_nothing_is_stored_and_nothing_is_read(etl: Command, db: Engine) -> None:
    words = ("sources", "add", "acme", "--provider", "ringg", "--key", "stdin")
    assert "ETL_SECRET_KEY is not set" in etl(*words, stdin=KEY, status=78, ETL_SECRET_KEY="")
    assert "ETL_SECRET_KEY is not 64 hexadecimal digits" in etl(*words, stdin=KEY, status=78, ETL_SECRET_KEY=KEY)
    etl(*words, stdin=KEY)
    etl("sources", "add", "open", "--provider", "ringg", "--key", "env:ACME_KEY")
    said = etl("status", status=78, ETL_SECRET_KEY="")
    assert "ETL_SECRET_KEY is not set, and the keys of 1 source (acme) are encrypted" in said
    assert "source acme: api_key cannot be decrypted" in etl("status", status=78, ETL_SECRET_KEY=OLD_KEY)
    assert [each.name for each in loaded(db, etl.settings(ETL_SECRET_KEY="")).sources] == ["open"]
    etl("sources", "list", ETL_SECRET_KEY="")
    etl("sources", "set", "acme", "--key", "stdin", stdin=KEY, ETL_SECRET_KEY=OLD_KEY)  # the way out
    etl("status", ETL_SECRET_KEY=OLD_KEY)


def test_the_secret_key_is_rotated(etl: Command, db: Engine) -> None:
    etl("sources", "add", "acme", "--provider", "ringg", "--key", "stdin", stdin=KEY, ETL_SECRET_KEY=OLD_KEY)
    etl("sources", "add", "open", "--provider", "ringg", "--key", "env:ACME_KEY")
    both = f"{SECRET_KEY}, {OLD_KEY}"
    etl("status", ETL_SECRET_KEY=both)
    assert "api_key cannot be decrypted" in etl("sources", "rotate-key", status=78)
    assert "1 key encrypted" in etl("sources", "rotate-key", ETL_SECRET_KEY=both)
    assert [each.api_key.reveal() for each in loaded(db, etl.settings()).valid().sources] == [KEY, KEY]
    assert "cannot be decrypted" in etl("status", status=78, ETL_SECRET_KEY=OLD_KEY)


@given_any(st.text(min_size=1), st.text(alphabet="abc-", min_size=1), st.text(alphabet="abc-", min_size=1))
def test_what_is_encrypted_for_one_name_is_of_no_use_to_another(key: str, name: str, other: str) -> None:
    keys = encryption.secret_keys(f"{SECRET_KEY},{OLD_KEY}")
    stored = encryption.encrypt(keys, Secret(key), name, "https://api.example")
    assert encryption.decrypt(keys[:1], stored, name, "https://api.example/path").reveal() == key
    for wrong in ((keys[1:], name, "https://api.example"), (keys, name, "https://api.example:8443")):
        with pytest.raises(ValueError, match="cannot be decrypted"):
            encryption.decrypt(wrong[0], stored, *wrong[1:])
    if other != name:
        with pytest.raises(ValueError, match="cannot be decrypted"):
            encryption.decrypt(keys, stored, other, "https://api.example")


# -- import

CSV = """\
source,provider,api_key,schedule,phones,requests_per_minute
one,ringg,env:ACME_KEY,every 15m,,30
two,ravan,CANARY-KEY-7f3a-of-an-account,,"+919876543210, +918037565218",
"""


def test_a_file_of_sources_is_imported_whole_and_again_changes_nothing(etl: Command, db: Engine) -> None:
    (etl.folder / "accounts.csv").write_text(CSV)
    said = etl("sources", "import", "accounts.csv", "--dry-run")
    assert "2 would be added, 0 would be changed, 0 unchanged" in said
    assert etl.listed() == {}
    assert "2 added, 0 changed, 0 unchanged" in etl("sources", "import", "accounts.csv")
    one, two = loaded(db, etl.settings()).valid().sources
    assert (one.schedule, one.requests_per_minute, two.api_key.reveal()) == ("every 15m", 30, KEY)
    assert two.partitions == ("+919876543210", "+918037565218")
    with db.connect() as connection:
        before = source_table.version(connection)
        assert "0 added, 0 changed, 2 unchanged" in etl("sources", "import", "-", stdin=CSV)
        assert source_table.version(connection) == before

    # as a spreadsheet in Europe saves it; a blank key is the one that is stored
    again = "\ufeffsource;provider;api_key;schedule\r\ntwo;ravan;;every 1h\r\n".encode()
    assert "two: phones is not set" in etl("sources", "import", "-", stdin=again, status=78)
    again = "\ufeffsource;provider;api_key;phones\r\ntwo;ravan;;+919876543210\r\n\r\n".encode()
    assert "two: changed" in etl("sources", "import", "-", stdin=again)
    one, two = loaded(db, etl.settings()).valid().sources
    assert (two.partitions, two.api_key.reveal()) == (("+919876543210",), KEY)


def test_every_problem_of_a_file_is_listed_with_its_line_and_nothing_is_imported(etl: Command) -> None:
    etl("sources", "add", "old", "--provider", "vaani", "--key", "env:ACME_KEY")
    lines = [
        "source,provider,api_key,schedule",
        "one,ringg,env:ACME_KEY,often",
        "two,ringg,,",
        f"three,rings,{KEY},",
        "one,ringg,env:ACME_KEY,",
        "old,ringg,env:ACME_KEY,",
        "good,ringg,env:ACME_KEY,",
        ",ringg,env:ACME_KEY,",
        "four,ringg,env:ACME_KEY,,,",
    ]
    said = etl("sources", "import", "-", stdin="\n".join(lines), status=78)
    expected = {
        "line 2, one: schedule is not a schedule",
        "line 3, two: api_key does not name the key",
        'line 4, three: provider "rings" is not known; did you mean ringg?',
        'line 5: the source "one" stands above already',
        "line 6, old: is a source of vaani",
        'line 8, "": a name starts with a letter',
        "line 9 has 6 cells",
    }
    for problem in expected:
        assert f"etl: stdin: {problem}" in said
    assert len(said.splitlines()) == len(expected)
    assert list(etl.listed()) == ["old"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "line 1 has no column source"),
        ("name,provider\n", "line 1 has no column source"),
        ("source,provider,key\n", 'line 1: no setting is named "key"'),
        ("source,provider,source\n", "line 1 names source twice"),
        ('source,provider\n"one,ringg\n', "is not CSV"),
        (f"source,provider\n{'x' * 200_000},ringg\n", "is not CSV: field larger than field limit"),
        (b"source,provider\n\xff\xfe,ringg\n", "is not UTF-8"),
    ],
)
def test_what_is_no_list_of_sources_is_said(etl: Command, text: str | bytes, expected: str) -> None:
    assert expected in etl("sources", "import", "-", stdin=text, status=2 if isinstance(text, bytes) else 78)


SETTINGS = {
    "schedule": st.sampled_from(["every 15m", "*/10 8-20 * * 1-5"]),
    "requests_per_minute": st.integers(1, 600_000),
    "phones": st.lists(st.sampled_from(["+919876543210", "+918037565218"]), min_size=1, unique=True),
    "lookbacks": st.just([["6h", "1h"], ["7d", "1d"]]),
    "since": st.dates().map(str),
    "cost_unit": st.sampled_from(["USD", "ringg_credits"]),
    "base_url": st.just("https://reseller.example/a,b;c"),
}
ROWS = st.dictionaries(
    st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,8}", fullmatch=True),
    st.tuples(st.fixed_dictionaries({"provider": st.just("ravan")}, optional=SETTINGS), st.just("env:ACME_KEY")),
    min_size=1,
)


@given_any(ROWS)
def test_what_is_listed_is_what_was_imported(rows: dict[str, tuple[dict[str, object], str]]) -> None:
    entries, problems = read_csv(write_csv((name, settings, key) for name, (settings, key) in rows.items()))
    assert problems == []
    assert {entry.name: (dict(entry.settings), entry.key) for entry in entries} == rows


@given_any(st.text() | st.lists(st.sampled_from(["source", "provider", ",", ";", '"', "\n", "x", "\0"])).map("".join))
def test_any_text_is_entries_or_problems(text: str) -> None:
    entries, problems = read_csv(text)
    assert all(isinstance(entry, Entry) for entry in entries)
    assert all(isinstance(problem, str) for problem in problems)


@given_any(st.sampled_from(KEYS), st.text())
def test_any_word_is_a_value_that_the_parser_can_judge(setting: str, text: str) -> None:
    json.dumps(value_of(setting, text))


def test_the_list_as_csv_is_imported_into_another_database(etl: Command, db: Engine) -> None:
    etl("sources", "import", "-", stdin=CSV)
    written = etl("sources", "list", "--csv")
    assert "0 added, 0 changed, 2 unchanged" in etl("sources", "import", "-", stdin=written)
    etl("sources", "remove", "one")
    etl("sources", "remove", "two")
    assert "two: api_key does not name the key" in etl("sources", "import", "-", stdin=written, status=78)


# -- many, and at once


def test_thousands_of_sources_are_imported_and_read(etl: Command, db: Engine) -> None:
    lines = [f"account{number},ringg,key-of-account-{number}" for number in range(2_000)]
    said = etl("sources", "import", "-", stdin="\n".join(["source,provider,api_key", *lines]))
    assert "2000 added" in said
    found = loaded(db, etl.settings()).valid()
    assert len(found.sources) == 2_000
    assert {each.api_key.reveal() for each in found.sources} == {f"key-of-account-{number}" for number in range(2_000)}
    assert len(json.loads(etl("sources", "list", "--json"))) == 2_000


def test_of_two_that_add_one_name_one_succeeds(etl: Command, db: Engine) -> None:
    settings, outcomes = etl.settings(), list[list[str]]()
    entry = Entry("acme", {"provider": "ringg"}, "env:ACME_KEY")

    def add() -> None:
        with db.begin() as connection:
            outcomes.append(source_table.save(connection, settings, [entry]).added)

    with db.begin() as connection:  # whoever comes second waits, and then sees the first
        source_table.rows(connection, locked=True)
        threads = [threading.Thread(target=add) for _ in range(2)]
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [[], ["acme"]]


def test_after_any_change_the_version_is_another(etl: Command, db: Engine) -> None:
    settings, seen = etl.settings(), dict[source_table.TableVersion, dict[str, Any]]()
    for name, rate in (
        ("a", 1),
        ("b", 1),
        ("a", 2),
        ("b", 0),
        ("b", 1),
        ("a", 0),
        ("b", 0),
        ("c", 1),
        ("c", 0),
        ("d", 1),
    ):
        with db.begin() as connection:
            if rate:
                values = {"provider": "ringg", "requests_per_minute": rate}
                source_table.save(connection, settings, [Entry(name, values, "env:ACME_KEY")])
            else:
                assert source_table.remove(connection, name)
            stored = {row.source: row.settings for row in source_table.rows(connection)}
            found = source_table.version(connection)
        assert seen.setdefault(found, stored) == stored
        assert loaded(db, settings).version == found


# -- where keys are not


def test_a_key_stands_nowhere_in_the_clear(etl: Command, db: Engine) -> None:
    etl("sources", "add", "acme", "--provider", "ringg", "--key", "stdin", stdin=KEY)
    etl("sources", "import", "-", stdin=CSV)
    etl("sources", "set", "acme", "--key", "stdin", stdin=KEY)
    with db.connect() as connection:
        rows = connection.exec_driver_sql("SELECT s::text FROM ops.source_settings s").scalars().all()
    assert len(rows) == 3
    assert not any(KEY in row or KEY.encode().hex() in row for row in rows)
    found = loaded(db, etl.settings())
    assert KEY not in f"{found} {etl.settings()!r} {found!r}"
    for reader in ("bi_reader", "bi_pii"):
        with db.connect() as connection:
            may = "SELECT has_table_privilege(%s, 'ops.source_settings', 'SELECT, INSERT, UPDATE, DELETE')"
            assert connection.exec_driver_sql(may, (reader,)).scalar_one() is False


def test_a_key_is_in_no_log_and_in_no_dump(etl: Command, db: Engine, server: Server, database_url: str) -> None:
    with Sandbox(World(3, calls=5, days=2, now=datetime.now(UTC))) as sandbox:
        hosts = {name: value for name, value in sandbox.environment().items() if name.endswith("_BASE_URL")}
        key = sandbox.environment()["RINGG_API_KEY"]
        words = ("add", "acme", "--provider", "ringg", "--key", "stdin", "--set", "requests_per_minute=6000")
        etl.given |= hosts
        said = [etl("--debug", "sources", *words, stdin=key)]
        for command in (("check",), ("sync",), ("status", "--json"), ("sources", "list", "--json"), ("verify",)):
            done = run_etl("--debug", *command, cwd=etl.folder, given=etl.given)
            assert done.returncode == 0, (command, done.stdout, done.stderr)
            said += [done.stdout, done.stderr]
    program = [str(server.bin_dir / "pg_dump"), f"--dbname={database_url}"]
    dump = subprocess.run(
        program, capture_output=True, check=True, timeout=60, env={**os.environ, "PGSSLMODE": "disable"}
    ).stdout.decode()
    assert "encrypted:" in dump
    assert "COPY warehouse.calls" in dump
    assert not [text for text in (*said, dump) if key in text]


def test_a_name_that_was_another_account_is_refused(etl: Command, db: Engine) -> None:
    etl("sources", "add", "acme", "--provider", "ringg", "--key", "env:ACME_KEY")
    (source,) = loaded(db, etl.settings()).valid().sources
    with db.begin() as connection:
        registry.register(connection, source, NOW)
    etl("sources", "remove", "acme")
    words = ("sources", "add", "acme", "--key", "env:ACME_KEY", "--provider")
    assert "the database has ringg at" in etl(*words, "vaani", status=78)
    assert "the database has ringg at" in etl(*words, "ringg", "--set", "base_url=https://x.example", status=78)
    etl(*words, "ringg")
    with pytest.raises(ConfigurationError, match="is a source of ringg"), db.begin() as connection:
        source_table.save(connection, etl.settings(), [Entry("acme", {"provider": "vaani"}, "env:ACME_KEY")])


# -- in a process that runs for long


def save(db: Engine, settings: Settings, *entries: Entry) -> None:
    with db.begin() as connection:
        source_table.save(connection, settings, entries)


def ringg(name: str, **settings: object) -> Entry:
    return Entry(name, {"provider": "ringg", **settings}, "env:ACME_KEY")


def test_a_process_takes_up_what_is_added_changed_and_removed(etl: Command, db: Engine) -> None:
    settings = etl.settings(RINGG_API_KEY="the-key-of-ringg")
    save(db, settings, ringg("one"), ringg("two"))
    live = LiveSources(settings, loaded(db, settings).valid())
    save(db, settings, ringg("two", requests_per_minute=6), ringg("three"))
    with db.begin() as connection:
        source_table.remove(connection, "one")
    assert [each.name for each in live] == ["ringg", "one", "two"]
    live.refresh(db)
    assert [(each.name, each.requests_per_minute) for each in live] == [("ringg", 60), ("three", 60), ("two", 6)]
    assert (len(live), live[0].name, [each.name for each in live[1:]]) == (3, "ringg", ["three", "two"])


def test_a_source_that_becomes_invalid_stays_as_it_was_and_the_others_go_on(
    etl: Command, db: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    settings = etl.settings()
    save(db, settings, ringg("one"))
    live = LiveSources(settings, loaded(db, settings).valid())
    elsewhere = etl.settings(FAR_KEY="a-key-that-is-set-on-another-machine")
    save(db, elsewhere, Entry("one", {"provider": "ringg", "requests_per_minute": 6}, "env:FAR_KEY"))
    save(db, elsewhere, Entry("two", {"provider": "ringg"}, "env:FAR_KEY"), ringg("three"))
    with caplog.at_level(logging.ERROR):
        live.refresh(db)
        live.refresh(db)
    assert sorted((each.name, each.requests_per_minute) for each in live) == [("one", 60), ("three", 60)]
    problems = [record.event_fields["problem"] for record in caplog.records]  # type: ignore[attr-defined]
    assert [problem.partition(":")[0] for problem in problems] == ["source one", "source two"]


def test_a_database_that_is_down_changes_no_source(etl: Command, db: Engine) -> None:
    settings = etl.settings()
    save(db, settings, ringg("one"))
    live = LiveSources(settings, loaded(db, settings).valid())
    live.refresh(open_engine("postgresql://127.0.0.1:1/x"))
    assert [each.name for each in live] == ["one"]
