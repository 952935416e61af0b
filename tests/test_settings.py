"""What can be configured, and what each mistake says about itself."""

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.extractors import providers
from etl.model import Lookback, Source
from etl.runtime import urls
from etl.settings import NO_SOURCES, ConfigurationError, Settings, load, schedule, variables
from etl.settings.source_tables import LOOKBACKS

KEY = "CANARY-KEY-7f3a"
PROVIDER = 'provider = "ringg"\n'
PHONE = "+919876543210"
ROOT = Path(__file__).parent.parent


def toml(folder: Path, text: str) -> None:
    (folder / "etl.toml").write_text(text, "utf-8")


def source(folder: Path, settings: str, provider: str = "ringg") -> Source:
    toml(folder, f'[sources.acme]\nprovider = "{provider}"\napi_key = "env:ACME_KEY"\n{settings}\n')
    (found,) = load({"ACME_KEY": KEY}, folder).local_sources
    return found


def problems(folder: Path, environment: Mapping[str, str]) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load(environment, folder)
    text = str(caught.value)
    assert not any(secret in text for secret in (KEY, PHONE, PHONE[1:], "hunter2"))
    assert text == "\n".join(caught.value.problems)
    return caught.value.problems


def problem(folder: Path, environment: Mapping[str, str]) -> str:
    (found,) = problems(folder, environment)
    return found


def setting_problem(folder: Path, setting: str, provider: str = "ringg") -> str:
    toml(folder, f'[sources.acme]\nprovider = "{provider}"\napi_key = "env:ACME_KEY"\n{setting}\n')
    return problem(folder, {"ACME_KEY": KEY})


# ------------------------------------------------------------------ the environment


def defaults(directory: Path) -> Settings:
    listen = urls.Listen("127.0.0.1", 8787)
    return Settings(None, directory / ".etl", (), listen, None, erasures=directory / "erasures.txt")


def test_nothing_configured_is_no_source_and_the_embedded_postgres(tmp_path: Path) -> None:
    settings = load({"PATH": "/bin", "HOME": "/root"}, tmp_path)
    assert settings == defaults(tmp_path)
    assert all(f"{name.upper()}_API_KEY" in NO_SOURCES for name in providers())


def test_workers_run_the_jobs_only_where_the_queue_is_asked_for(tmp_path: Path) -> None:
    assert [load({"ETL_WORKERS": value}, tmp_path).has_workers for value in ("", "queue")] == [False, True]
    assert problem(tmp_path, {"ETL_WORKERS": "4"}) == (
        "ETL_WORKERS is not queue; write ETL_WORKERS=queue where `etl worker` runs the jobs, or leave it unset"
    )


def test_a_key_switches_its_source_on(tmp_path: Path) -> None:
    environment = {f"{name.upper()}_API_KEY": f"{KEY}-{name}" for name in providers()} | {"RAVAN_PHONES": PHONE}
    settings = load(environment, tmp_path)
    assert {found.name for found in settings.local_sources} == set(providers())
    for found in settings.local_sources:
        provider = providers()[found.name]
        assert found.provider == found.name
        assert found.api_key.reveal() == f"{KEY}-{found.name}"
        assert found.base_url == provider.base_url
        assert found.cost_unit == provider.cost_unit
        assert found.partitions == ((PHONE,) if provider.is_partitioned else ())
        assert (found.requests_per_minute, found.schedule, found.lookbacks) == (60, "every 5m", LOOKBACKS)
    assert set(settings.secrets) == {found.api_key for found in settings.local_sources}


def test_a_blank_variable_is_not_set(tmp_path: Path) -> None:
    blank = dict.fromkeys(variables(providers()), "") | {"VAANI_API_KEY": " "}
    assert load(blank, tmp_path) == load({}, tmp_path)


def test_no_representation_shows_a_secret(tmp_path: Path) -> None:
    environment = {
        "RINGG_API_KEY": KEY,
        "DATABASE_URL": "postgresql://u:hunter2@db/x",
        "ETL_TOKEN": "hunter2-token-of-length",
    }
    settings = load(environment, tmp_path)
    assert "hunter2" not in f"{settings!r} {settings}"
    assert KEY not in f"{settings!r} {settings}"
    assert {secret.reveal() for secret in settings.secrets} >= {KEY, "hunter2", "hunter2-token-of-length"}


def test_the_example_lists_every_variable_with_a_comment() -> None:
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    named = {line.partition("=")[0]: before for before, line in pairwise(lines) if "=" in line[:24]}
    assert set(named) == {*variables(providers()), "POSTGRES_PASSWORD"}  # that one is read by compose.yaml alone
    assert all(comment.startswith("# ") for comment in named.values())


def test_the_example_copied_as_it_is_configures_nothing(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes((ROOT / ".env.example").read_bytes())
    path.chmod(0o600)
    assert load({}, tmp_path) == defaults(tmp_path)


def test_dotenv_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"export RINGG_API_KEY='{KEY}'\nVAANI_API_KEY=from-file # mine\nETL_HOME=$HOME/x\n")
    (tmp_path / ".env").chmod(0o600)
    settings = load({"VAANI_API_KEY": "from-environment"}, tmp_path)
    assert {found.name: found.api_key.reveal() for found in settings.local_sources} == {
        "ringg": KEY,
        "vaani": "from-environment",
    }
    assert settings.home == tmp_path / "$HOME/x"
    assert settings.warnings == ()


def test_a_dotenv_that_others_can_read_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"RINGG_API_KEY={KEY}\n")
    (tmp_path / ".env").chmod(0o644)
    settings = load({}, tmp_path)
    assert len(settings.local_sources) == 1
    assert "chmod 600" in settings.warnings[0]


def test_a_dotenv_line_that_is_none_is_named_by_its_number(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f'RINGG_API_KEY=x\nmy key {KEY}\nVAANI_API_KEY="{KEY}\n')
    (tmp_path / ".env").chmod(0o600)
    assert [re.findall(r"line (\d)", found) for found in problems(tmp_path, {})] == [["2"], ["3"]]
    for line in ("RINGG_API_KEY", "export X", "X: 1", "=1", "set X=1", "X Y=1", "X='1", "<<<<<<< HEAD", "\0", "X\n"):
        (tmp_path / ".env").write_text(f"A_B=x\n\n \t\r\n# a comment\n\n{line}\nC_D=x\n")
        assert [found.partition(" is not NAME=value")[0] for found in problems(tmp_path, {})] == [".env line 6"]


def test_a_dotenv_that_is_no_text_is_said(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"RINGG_API_KEY=\xff\xfe\n")
    (tmp_path / ".env").chmod(0o600)
    assert ".env cannot be read" in problem(tmp_path, {})


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("RINGG_APIKEY", "RINGG_API_KEY"),
        ("RAVAN_PHONE", "RAVAN_PHONES"),
        ("AUTOCALLS_URL", "AUTOCALLS_BASE_URL"),
        ("vaani_api_key", "VAANI_API_KEY"),
        ("ETL_LISTENS", "ETL_LISTEN"),
    ],
)
def test_a_misspelt_variable_gets_the_nearest_name(tmp_path: Path, wrong: str, right: str) -> None:
    found = problem(tmp_path, {wrong: KEY})
    assert found.startswith(wrong)
    assert f"did you mean {right}?" in found


@pytest.mark.parametrize("name", ["ETL_PIPELINE_OWNER", "RINGG_MASTER", "VAANI_TEAM", "DATABASE_URLS", "ETL_ENV"])
def test_a_variable_of_another_tool_is_left_alone_where_it_is_not_in_dotenv(tmp_path: Path, name: str) -> None:
    assert load({name: "x", "RINGG_API_KEY": KEY}, tmp_path).local_sources
    (tmp_path / ".env").write_text(f"{name}=x\n")
    assert name in problem(tmp_path, {"RINGG_API_KEY": KEY})


@pytest.mark.parametrize(("wrong", "right"), [("RING_API_KEY", "RINGG_API_KEY"), ("DATABASE_URI", "DATABASE_URL")])
def test_a_misspelt_prefix_is_noticed_in_dotenv_alone(tmp_path: Path, wrong: str, right: str) -> None:
    load({wrong: KEY}, tmp_path)
    (tmp_path / ".env").write_text(f"{wrong}={KEY}\nPOSTGRES_PASSWORD=hunter2\n")
    (tmp_path / ".env").chmod(0o600)
    assert f"did you mean {right}?" in problem(tmp_path, {})


@pytest.mark.parametrize(
    "key", [f"{KEY} ", f" {KEY}", f"Bearer {KEY}", f"{KEY}\n", f'"{KEY}"', f"'{KEY}'", f"{KEY}é", "\u200b" + KEY]
)
def test_a_key_that_cannot_stand_in_a_header_is_refused(tmp_path: Path, key: str) -> None:
    assert problem(tmp_path, {"RINGG_API_KEY": key}).startswith("RINGG_API_KEY contains ")


def test_ravan_without_phones_is_refused(tmp_path: Path) -> None:
    assert problem(tmp_path, {"RAVAN_API_KEY": KEY}).startswith("RAVAN_PHONES is not set")
    assert "[sources.acme] phones is not set" in setting_problem(tmp_path, "", "ravan")


def test_phones_without_a_key_are_a_warning(tmp_path: Path) -> None:
    assert "RAVAN_API_KEY" in load({"RAVAN_PHONES": PHONE}, tmp_path).warnings[0]


def test_phones_become_e164_each_once(tmp_path: Path) -> None:
    environment = {"RAVAN_API_KEY": KEY, "RAVAN_PHONES": "+91 98765 43210, +1 (650) 253-0000,+919876543210,"}
    assert load(environment, tmp_path).local_sources[0].partitions == (PHONE, "+16502530000")


@pytest.mark.parametrize("number", ["919876543210", "call me", "+91", "+1 650 253 0000 12345678"])
def test_a_phone_that_is_none_is_named_by_its_place(tmp_path: Path, number: str) -> None:
    found = problem(tmp_path, {"RAVAN_API_KEY": KEY, "RAVAN_PHONES": f"{PHONE},{number}"})
    assert found.startswith("RAVAN_PHONES has an invalid phone number at position 2")
    assert number not in found


def test_every_problem_is_listed_at_once(tmp_path: Path) -> None:
    toml(
        tmp_path, 'sorces = 1\n[sources.a]\nprovider = "rings"\napi_key = "env:NOPE"\n[sources.b]\nprovider = "vaani"\n'
    )
    environment = {"DATABASE_URL": "mysql://x", "ETL_LISTEN": "x", "ETL_HOM": "y", "ETL_TOKEN": "a b"}
    found = problems(tmp_path, environment)
    starts = (
        "the configuration",
        "[sources.a] prov",
        "[sources.a] api",
        "[sources.b] api",
        "ETL_HOM ",
        "ETL_LI",
        "ETL_T",
        "DATA",
    )
    assert [text for start in starts for text in found if text.startswith(start)] == list(found)
    assert len(found) == len(starts)


# ------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("https://api.example.com", "https://api.example.com"),
        ("HTTPS://API.Example.com:443/a/b/", "https://api.example.com/a/b"),
        ("https://api.example.com:8443/", "https://api.example.com:8443"),
        ("http://127.0.0.1:8080/ringg", "http://127.0.0.1:8080/ringg"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("https://93.184.216.34/x", "https://93.184.216.34/x"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
    ],
)
def test_a_base_url_has_one_form(url: str, canonical: str) -> None:
    assert urls.base_url(url) == canonical
    assert urls.base_url(canonical) == canonical


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com",
        "ftp://api.example.com",
        "api.example.com",
        "//api.example.com",
        "https://",
        "https:///x",
        "https://user:hunter2@api.example.com",
        "https://api.example.com@evil.example",
        "https://@evil.example",
        r"https://api.example.com\@evil.example",
        "https://api.example.com?x=1",
        "https://api.example.com/#x",
        "https://api.example.com/?",
        "https://api.example.com:x",
        "https://api.example.com:99999",
        "https://api.example.com/../x",
        "https://api.example.com/%2e%2e/x",
        "https://api.example.com//x",
        "https://api example.com",
        "https://api.exam\nple.com/",
        "https://10.0.0.1",
        "https://192.168.1.1",
        "https://172.16.0.1",
        "https://169.254.169.254",
        "https://100.64.0.1",
        "https://0.0.0.0",
        "https://[fd00::1]",
        "https://[::ffff:10.0.0.1]",
        "https://[fe80::1]",
        "https://2130706433",
        "https://0x7f000001",
        "https://127.1",
        "https://0177.0.0.1",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "https://bücher.example",
        "https://a_b.example",
        "https://-x.example",
        "https://[::1",
        "https://%31%30.0.0.1",
    ],
)
def test_a_base_url_that_could_carry_the_key_elsewhere_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ValueError):
        urls.base_url(url)
    assert problem(tmp_path, {"RINGG_API_KEY": KEY, "RINGG_BASE_URL": url}).startswith("RINGG_BASE_URL ")


@given(st.text(alphabet="hunter2:/@?#[]%.", max_size=30), st.sampled_from(["", "https://", "postgresql://"]))
def test_any_text_is_an_address_or_a_value_error_without_it(text: str, scheme: str) -> None:
    for read in (urls.base_url, urls.listen, urls.database_url):
        said = ""
        try:
            read(f"{scheme}{text}hunter2")
        except ValueError as error:
            said = str(error)
        assert "hunter2" not in said


@pytest.mark.parametrize(
    ("hours", "minutes"),
    [
        ("Mon 09:00-19:00", "{[540,1140)}"),
        ("mon-tue 9:30 - 24:00", "{[570,1440),[2010,2880)}"),
        ("Sat-Mon 00:00-01:00", "{[7200,7260),[8640,8700),[0,60)}"),
        ("Mon,Wed 08:00-09:00; Sun 10:00-10:01", "{[480,540),[3360,3420),[9240,9241)}"),
    ],
)
def test_reports_have_a_time_zone_a_currency_and_business_hours(tmp_path: Path, hours: str, minutes: str) -> None:
    toml(tmp_path, f'''
        report_timezone = "Asia/Kolkata"
        report_currency = "EUR"
        business_hours = "{hours}"
        [sources.one]
        provider = "ringg"
        api_key = "env:ONE_KEY"
        [sources.two]
        provider = "ringg"
        api_key = "env:ONE_KEY"
        report_timezone = "Europe/Berlin"
    ''')  # fmt: skip
    one, two = (source.reporting for source in load({"ONE_KEY": KEY}, tmp_path).local_sources)
    assert (one.timezone.key, one.currency, one.business_hours) == ("Asia/Kolkata", "EUR", minutes)
    assert two == replace(one, timezone=ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('report_timezone = "IST"', "report_timezone is not a time zone"),
        ('report_timezone = "localtime"', "report_timezone is not a time zone"),
        ('report_currency = "usd"', "report_currency is no currency"),
        ("report_currency = 7", "report_currency"),
        ('business_hours = "9-5"', "business_hours is not understood; write Mon-Fri 09:00-19:00"),
        ('business_hours = "Mon 19:00-09:00"', "business_hours end before they begin; hours over midnight are two: "),
        ('business_hours = "Mon 09:00-24:01"', "business_hours is not understood"),
        ('business_hours = "Mon 09:61-19:00"', "business_hours is not understood"),
        ('business_hours = "Mon 09:00-19:00;"', "business_hours is not understood"),
        ('report_timezones = "UTC"', "did you mean report_timezone?"),
    ],
)
def test_an_invalid_setting_of_reports_is_named(tmp_path: Path, line: str, expected: str) -> None:
    toml(tmp_path, line)
    assert expected in problem(tmp_path, {"RINGG_API_KEY": KEY})


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("postgresql://u:p@host:5432/db", "postgresql+psycopg://u:p@host:5432/db"),
        ("postgres://u:p%40ss@host/db?sslmode=require", "postgresql+psycopg://u:p%40ss@host/db?sslmode=require"),
        ("postgresql+psycopg://host/db", "postgresql+psycopg://host/db"),
        ("postgresql:///db?host=/var/run/postgresql", "postgresql+psycopg:///db?host=/var/run/postgresql"),
        ("postgresql://u:p@[::1]:5432/db", "postgresql+psycopg://u:p@[::1]:5432/db"),
    ],
)
def test_a_database_url_is_as_sqlalchemy_takes_it(tmp_path: Path, url: str, ours: str) -> None:
    found = load({"DATABASE_URL": url}, tmp_path).database_url
    assert found is not None
    assert found.reveal() == ours


@pytest.mark.parametrize(
    "url",
    [
        "hunter2",
        "mysql://u:hunter2@h/d",
        "postgresql+asyncpg://u:hunter2@h/d",
        "postgresql:u:hunter2@h/d",
        "sqlite:///hunter2",
        "postgresql://u:p@hunter2@h/d",
        "postgresql://u:p/hunter2@h/d",
        "postgresql://u:p#hunter2@h/d",
        "postgresql://u:p?hunter2@h/d",
        "postgresql://u:p:hunter2@h/d",
        "postgresql://u:hunter2@h:port/d",
        "postgresql://u:hunter2@h",
        "postgresql://u:hunter2@h/",
        "postgresql://u:hunter2@[::1/d",
    ],
)
def test_a_database_url_that_is_wrong_shows_nothing_of_itself(tmp_path: Path, url: str) -> None:
    assert problem(tmp_path, {"DATABASE_URL": url}).startswith("DATABASE_URL ")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("off", None),
        ("OFF", None),
        ("127.0.0.1:8787", ("127.0.0.1", 8787)),
        ("localhost:80", ("localhost", 80)),
        ("[::1]:8787", ("::1", 8787)),
        ("[::ffff:127.0.0.1]:80", ("::ffff:127.0.0.1", 80)),
        ("127.0.0.1:0", ("127.0.0.1", 0)),
    ],
)
def test_where_to_listen(tmp_path: Path, text: str, found: tuple[str, int] | None) -> None:
    assert load({"ETL_LISTEN": text}, tmp_path).listen == found


@pytest.mark.parametrize(
    "text", ["8787", ":8787", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999", "127.0.0.1:-1", "a b:1", "http://x:1"]
)
def test_where_not_to_listen(tmp_path: Path, text: str) -> None:
    assert problem(tmp_path, {"ETL_LISTEN": text}).startswith("ETL_LISTEN ")


@pytest.mark.parametrize("text", ["0.0.0.0:8787", "[::]:8787", "192.168.1.5:80", "example.com:80"])
def test_listening_to_others_needs_a_token(tmp_path: Path, text: str) -> None:
    assert "ETL_TOKEN" in problem(tmp_path, {"ETL_LISTEN": text})
    settings = load({"ETL_LISTEN": text, "ETL_TOKEN": f"{KEY}-"}, tmp_path)
    assert settings.token is not None
    assert settings.token.reveal() == f"{KEY}-"


def test_a_token_that_could_be_guessed_is_refused(tmp_path: Path) -> None:
    said = problem(tmp_path, {"ETL_TOKEN": "fifteen-letters"})
    assert said.startswith("ETL_TOKEN is shorter than 16 characters")
    assert "fifteen" not in said


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert problem(tmp_path, {"ETL_HOME": "file"}).startswith("ETL_HOME is a file")


# ------------------------------------------------------------------ the TOML file


def test_a_source_has_every_setting(tmp_path: Path) -> None:
    found = source(
        tmp_path,
        """
        base_url = "https://calls.example.com/api/"
        phones = ["098765 43210"]
        requests_per_minute = 100
        schedule = "*/10 * * * *"
        timezone = "Asia/Kolkata"
        region = "in"
        since = 2025-01-31
        cost_unit = "INR"
        lookbacks = [["1h", "10m"], ["30d", "1d"]]
        """,
        "autocalls",
    )
    assert (found.name, found.provider) == ("acme", "autocalls")
    assert found.api_key.reveal() == KEY
    assert found.base_url == "https://calls.example.com/api"
    assert found.partitions == (PHONE,)
    assert found.requests_per_minute == 100
    assert found.schedule == "*/10 * * * *"
    assert found.timezone.key == "Asia/Kolkata"
    assert found.region == "IN"
    assert found.since == datetime(2025, 1, 30, 18, 30, tzinfo=UTC)
    assert found.cost_unit == "INR"
    assert found.lookbacks == (
        Lookback(timedelta(hours=1), timedelta(minutes=10)),
        Lookback(timedelta(days=30), timedelta(days=1)),
    )


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-01-31T10:00:00Z", datetime(2025, 1, 31, 10, tzinfo=UTC)),
        ("2025-01-31T10:00:00", datetime(2025, 1, 31, 10, tzinfo=UTC)),
        ('"2025-01-31"', datetime(2025, 1, 31, tzinfo=UTC)),
        ('"2025-01-31T10:00:00+05:30"', datetime(2025, 1, 31, 4, 30, tzinfo=UTC)),
    ],
)
def test_since_is_a_day_or_a_moment(tmp_path: Path, text: str, moment: datetime) -> None:
    assert source(tmp_path, f"since = {text}").since == moment


def test_where_the_file_names_sources_they_are_the_sources(tmp_path: Path) -> None:
    toml(tmp_path, '[sources.india]\nprovider = "vaani"\napi_key = "env:RINGG_API_KEY"\n')
    settings = load({"RINGG_API_KEY": KEY, "AUTOCALLS_API_KEY": "other"}, tmp_path)
    assert [(found.name, found.api_key.reveal()) for found in settings.local_sources] == [("india", KEY)]


def test_a_file_without_sources_leaves_the_keys_in_force(tmp_path: Path) -> None:
    toml(tmp_path, "# nothing yet\n")
    assert [found.name for found in load({"RINGG_API_KEY": KEY}, tmp_path).local_sources] == ["ringg"]


def test_a_source_without_base_url_lies_where_the_environment_says(tmp_path: Path) -> None:
    toml(tmp_path, '[sources.a]\nprovider = "autocalls"\napi_key = "env:ACME_KEY"\n')
    settings = load({"ACME_KEY": KEY, "AUTOCALLS_BASE_URL": "https://reseller.example/api"}, tmp_path)
    assert settings.local_sources[0].base_url == "https://reseller.example/api"


def test_a_variable_that_the_file_refers_to_is_not_misspelt(tmp_path: Path) -> None:
    toml(tmp_path, '[sources.a]\nprovider = "ringg"\napi_key = "env:RINGG_INDIA_KEY"\n')
    assert load({"RINGG_INDIA_KEY": KEY}, tmp_path).local_sources[0].api_key.reveal() == KEY


def test_a_key_may_lie_in_a_file_beside_the_configuration(tmp_path: Path) -> None:
    folder = tmp_path / "conf"
    folder.mkdir()
    (folder / "acme.key").write_text(f"{KEY}\r\n")
    (folder / "calls.toml").write_text('[sources.a]\nprovider = "ringg"\napi_key = "file:acme.key"\n')
    for mode, is_open in ((0o600, False), (0o400, False), (0o640, True), (0o604, True), (0o602, True)):
        (folder / "acme.key").chmod(mode)
        settings = load({"ETL_CONFIG": "conf/calls.toml"}, tmp_path)
        assert settings.local_sources[0].api_key.reveal() == KEY
        assert ["readable by other users" in warning for warning in settings.warnings] == [True] * is_open


@pytest.mark.parametrize("text", [KEY, f"env:{KEY}", f"file:{KEY}", "env:ACME_MISSING_KEY", "file:", "env:", ""])
def test_a_key_that_cannot_be_found_is_never_shown(tmp_path: Path, text: str) -> None:
    toml(tmp_path, f'[sources.acme]\nprovider = "ringg"\napi_key = "{text}"\n')
    found = problem(tmp_path, {})
    assert found.startswith("[sources.acme] api_key ")
    assert ("ACME_MISSING_KEY" in found) == ("ACME_MISSING_KEY" in text)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ('shedule = "every 5m"', "did you mean schedule?"),
        ('base_url = "http://example.com"', "base_url is http"),
        ("base_url = 5", "base_url is not a text"),
        ("phones = []", "phones is not a list"),
        (f'phones = "{PHONE}"', "phones is not a list"),
        ('phones = ["0987"]', "position 1"),
        ("requests_per_minute = 0", "requests_per_minute is not a rate"),
        ("requests_per_minute = 600001", "requests_per_minute is not a rate"),
        ("requests_per_minute = 1.5", "requests_per_minute is not a rate"),
        ("requests_per_minute = true", "requests_per_minute is not a rate"),
        ('schedule = "every 5 minutes"', "schedule is not a duration"),
        ('schedule = "hourly"', "schedule is not a schedule"),
        ('schedule = "61 * * * *"', "schedule is not a cron expression"),
        ('schedule = "0 0 31 2 *"', "schedule names a day that does not exist"),
        ('timezone = "Asia/Calcuta"', "write Asia/Calcutta"),
        ('timezone = "../../etc/passwd"', "timezone is not a time zone"),
        ('region = "India"', "region is not a country"),
        ("since = 12", "since is not a date"),
        ('since = "yesterday"', "since is not a date"),
        ('cost_unit = "12"', "cost_unit is no unit of cost"),
        ('cost_unit = "credits"', "cost_unit is no unit of cost"),
        ('cost_unit = "usd"', "cost_unit is no unit of cost"),
        ("lookbacks = []", "lookbacks is not a list"),
        ('lookbacks = ["6h"]', "lookbacks is not a list"),
        ('lookbacks = [["6h", "soon"]]', "lookbacks is not a duration"),
        ('lookbacks = [["7d", "1d"], ["6h", "1h"]]', "lookbacks is not in order"),
        ('lookbacks = [["1h", "6h"]]', "lookbacks is not in order"),
    ],
)
def test_each_wrong_setting_says_where_it_stands(tmp_path: Path, setting: str, said: str) -> None:
    found = setting_problem(tmp_path, setting)
    assert found.startswith("[sources.acme] ")
    assert said in found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[sources.acme\n", "etl.toml is not valid TOML: Expected ']' at the end of a table declaration (at line 1"),
        ("a = 1\na = 2\n", "etl.toml is not valid TOML"),
        ("sources = 3\n", "sources is not a table"),
        ("[sources]\nacme = 3\n", "sources.acme is not a table"),
        (f'[sources."{PHONE}"]\nprovider = "ringg"\n', "a name starts with a letter"),
        ("[source.acme]\n", "did you mean sources?"),
        (f"a = {'[' * 1000}{']' * 1000}\n", "nested too deeply"),
        (f"a = {'{b=' * 1000}1{'}' * 1000}\n", "nested too deeply"),
        (f"{'.'.join('a' * 5000)} = 1\n", "a key of 20 parts"),
        (f"['a' . {'b.' * 30}c]\n", "a key of 20 parts"),
        (f"x = {{ {'b . ' * 30}c = 1 }}\n", "a key of 20 parts"),
        (f"# {'x' * 300_000}\n", "more than 262,144 characters"),
        (f"a = {'1' * 5000}\n", "etl.toml is not valid TOML"),
        ('[sources.a]\nprovider = "Ring"\napi_key = "env:ACME_KEY"\n', "did you mean ringg?"),
        ('[sources.a]\napi_key = "env:ACME_KEY"\n', "provider is not set; write one of autocalls, ravan, ringg, vaani"),
    ],
)
def test_each_wrong_file_says_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    toml(tmp_path, text)
    assert said in problem(tmp_path, {"ACME_KEY": KEY})


def test_a_file_that_was_named_has_to_exist(tmp_path: Path) -> None:
    for name in ("mine.toml", "a" * 300, "~nobody-here/x.toml", "x\0.toml", str(tmp_path)):
        assert f"ETL_CONFIG: the file {Path(name).name} cannot be read" in problem(tmp_path, {"ETL_CONFIG": name})


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("", "", "sources a and b are the same account"),
        ('base_url = "https://reseller.test"', "", None),
        ('provider = "ravan"\nphones = ["+918040000001"]', 'provider = "ravan"\nphones = ["+918040000002"]', None),
        ('provider = "ravan"\nphones = ["+918040000001", "+918040000002"]',
         'provider = "ravan"\nphones = ["+918040000002"]', "sources a and b are the same account"),
        ('since = "2026-05-01T12:00:01Z"\nbase_url = "https://x.test"', "", "source a: its since is in the future"),
        ('since = "2026-05-01T12:00:00Z"\nbase_url = "https://x.test"', "", None),
        ('schedule = "every 9s"\nbase_url = "https://x.test"', "", "source a: its schedule is shorter than ten"),
        ('schedule = "every 10s"\nbase_url = "https://x.test"', 'schedule = "* * * * *"', None),
    ],
)  # fmt: skip
def test_what_can_hardly_be_meant_is_a_warning(tmp_path: Path, first: str, second: str, said: str | None) -> None:
    tables = [
        f'[sources.{name}]\napi_key = "env:ACME_KEY"\n{"" if "provider" in given else PROVIDER}{given}\n'
        for name, given in (("a", first), ("b", second))
    ]
    toml(tmp_path, "".join(tables))
    warnings = load({"ACME_KEY": KEY}, tmp_path, datetime(2026, 5, 1, 12, tzinfo=UTC)).warnings
    assert [said in warning for warning in warnings] == [True] if said else warnings == ()


# ------------------------------------------------------------------ schedules


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("every 90s", schedule.Every(timedelta(seconds=90))),
        ("every 5m", schedule.Every(timedelta(minutes=5))),
        ("every 2 h", schedule.Every(timedelta(hours=2))),
        ("every 1d", schedule.Every(timedelta(days=1))),
        ("*/5 * * * *", schedule.Cron("*/5 * * * *")),
        ("0 9 * * 1-5", schedule.Cron("0 9 * * mon,tue,wed,thu,fri")),
        ("0 9 * * 0", schedule.Cron("0 9 * * sun")),
        ("0 9 * * 7,6", schedule.Cron("0 9 * * sun,sat")),
        ("0 9 * * 5-7", schedule.Cron("0 9 * * fri,sat,sun")),
        ("0 9 * * mon-fri", schedule.Cron("0 9 * * mon,tue,wed,thu,fri")),
        ("0 9 * * SUN-tue", schedule.Cron("0 9 * * sun,mon,tue")),
        ("0 9 * * sat-sun", schedule.Cron("0 9 * * sat,sun")),
        ("0 9 * * */2", schedule.Cron("0 9 * * sun,tue,thu,sat")),
        ("0 9 * * 1-5/2,sat", schedule.Cron("0 9 * * mon,wed,fri,sat")),
        # both day fields: either is enough, unless one begins with a star
        ("0 9 13 * 5", schedule.Cron("0 9 13 * *", "0 9 * * fri")),
        ("0 9 30 2 1", schedule.Cron("0 9 30 2 *", "0 9 * 2 mon")),
        ("0 9 */2 * 1", schedule.Cron("0 9 */2 * mon")),
        ("0 9 13 * */2", schedule.Cron("0 9 13 * sun,tue,thu,sat")),
    ],
)
def test_a_schedule_is_read_as_cron_reads_it(text: str, found: schedule.Every | schedule.Cron) -> None:
    assert schedule.parse(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "every",
        "every 0m",
        "every -5m",
        "every 5",
        "every 5w",
        "* * * *",
        "* * * * * *",
        "a b c d e",
        "* * * * 5-1",
        "* * * * 8",
        "* * * * 1-8",
        "* * * * */0",
        "* * 30 2 *",
    ],
)
def test_what_is_no_schedule_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        schedule.parse(text)


def test_loading_the_settings_imports_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from etl.settings import load\n"
        "load({'RINGG_API_KEY': 'x' * 9}, Path(sys.argv[1]))\n"
        "print({'httpx', 'sqlalchemy', 'apscheduler', 'alembic'} & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "set()"
