"""The embedded PostgreSQL, against the real programs."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from etl import embedded
from etl.embedded import EmbeddedError, Server
from tests import postgres
from tests.commands import run_etl

PROJECT = Path(__file__).resolve().parents[1]
FALLBACK_DIR = Path("/var/lib/callhouse")
IS_ROOT = os.geteuid() == 0
START = "import sys, pathlib; from etl import embedded; s = embedded.start(pathlib.Path(sys.argv[1])); print(s.port)"
as_root = pytest.mark.skipif(not IS_ROOT, reason="only root becomes another user")
DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


@pytest.fixture(scope="module")
def yard() -> Iterator[Path]:
    """A directory that every user may pass through, unlike pytest's own; nothing is left of it or of its servers."""
    path = postgres.in_memory() or Path(tempfile.mkdtemp(prefix="callhouse-test-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def made(yard: Path) -> Path:
    """A home with a stopped server and one committed row, to be copied."""
    home = yard / "made"
    server = embedded.start(home)
    execute(server, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (42)")
    embedded.stop(home)
    return home


@pytest.fixture
def home(made: Path, yard: Path) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(dir=yard)) / "home"
    path.parent.chmod(0o711)
    subprocess.run(["cp", "-a", made, path], check=True)
    yield path
    forget(path)


def forget(home: Path) -> None:
    """Stops the server of `home` and removes its data, wherever they are."""
    server = embedded.running(home)
    embedded.stop(home)
    shutil.rmtree(server.data_dir.parent if server else home)


def execute(server: Server, *statements: str) -> None:
    with psycopg.connect(server.url()) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def value(server: Server, query: str) -> object:
    with psycopg.connect(server.url()) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None


def postmaster(server: Server) -> int:
    return int((server.data_dir / "postmaster.pid").read_text().splitlines()[0])


def bystander(server_data: Path) -> subprocess.Popen[bytes]:
    """A process of the server's own user that has nothing to do with it."""
    owner = server_data.stat().st_uid
    return subprocess.Popen(["sleep", "600"], user=owner if IS_ROOT else None, cwd="/")


def start_as(uid: int, gid: int, home: Path, bin_dir: Path) -> str:
    """What another user gets from `start`: the port, or the error. In a fork, for it may not read this interpreter."""
    out, into = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
            os.environ["PGBINDIR"] = str(bin_dir)
            said = str(embedded.start(home).port)
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(into, said.encode())
        os._exit(0)
    os.close(into)
    os.waitpid(child, 0)
    with os.fdopen(out) as answer:
        return answer.read()


@pytest.fixture(scope="module")
def long_home(yard: Path) -> Iterator[Path]:
    home = yard / 'a home\'s "name" $HOME' / ("long " * 40).strip() / ".etl"
    yield home
    forget(home)


@pytest.fixture(scope="module")
def server(long_home: Path) -> Server:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RINGG_API_KEY", "of-no-use-to-a-server")
        return embedded.start(long_home)


class TestServer:
    """What a fresh one is, below a path with spaces that is longer than a socket's name may be."""

    def test_it_lives_below_the_home(self, server: Server, long_home: Path) -> None:
        assert server.data_dir.is_relative_to(long_home)
        assert len(str(server.data_dir)) > 200

    def test_starting_again_finds_it(self, server: Server, long_home: Path) -> None:
        before = postmaster(server)
        assert embedded.start(long_home) == embedded.running(long_home) == server
        assert postmaster(server) == before

    def test_the_password_is_private(self, server: Server, long_home: Path) -> None:
        kept = long_home / "postgres" / "password"
        assert kept.stat().st_mode & 0o777 == 0o600
        assert kept.read_text().strip() == server.password
        assert server.password not in repr(server)
        assert not list(long_home.rglob("password.new"))

    def test_a_wrong_password_is_refused(self, server: Server) -> None:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.url().replace(server.password, "wrong"))

    def test_it_is_durable_and_on_loopback_only(self, server: Server) -> None:
        names = ("fsync", "full_page_writes", "listen_addresses", "unix_socket_directories", "timezone", "jit")
        assert [value(server, f"SHOW {name}") for name in names] == ["on", "on", "127.0.0.1", "", "UTC", "off"]
        assert (
            value(server, "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'callhouse'") == "UTF8"
        )

    def test_the_log_holds_no_value_of_a_row(self, server: Server) -> None:
        execute(server, "CREATE TABLE people (phone text PRIMARY KEY)", "INSERT INTO people VALUES ('+15550100')")
        for bad in ("INSERT INTO people VALUES ('+15550100')", "SELECT '+15550100'::date", "SELEKT '+15550100'"):
            with pytest.raises(psycopg.Error):
                execute(server, bad)
        log = (server.data_dir.parent / "server.log").read_text()
        assert "ready to accept connections" in log
        assert "15550100" not in log

    def test_the_server_is_given_no_key_of_the_callers(self, server: Server) -> None:
        try:
            environ = Path(f"/proc/{postmaster(server)}/environ").read_bytes()
        except (FileNotFoundError, PermissionError):
            pytest.skip("this system does not show a process's environment")
        assert b"PGDATA=" in environ
        assert b"RINGG_API_KEY" not in environ

    def test_a_database_is_made_once_however_many_ask(self, server: Server) -> None:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: embedded.ensure_database(server, 'odd "name"'), range(4)))
        assert value(server, "SELECT count(*) FROM pg_database WHERE datname = 'odd \"name\"'") == 1
        with psycopg.connect(server.url('odd "name"')) as connection:
            assert connection.info.dbname == 'odd "name"'

    def test_psql_connects_without_the_password_on_its_command_line(self, server: Server) -> None:
        argv, env = embedded.psql_command(server, "callhouse")
        assert server.password not in " ".join(argv)
        done = subprocess.run([*argv, "-Atc", "SELECT 6 * 7"], env=env, capture_output=True, text=True, check=True)
        assert done.stdout == "42\n"

    def test_psql_is_taken_from_path_where_the_server_has_none(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bare = Server("127.0.0.1", 1, "u", "p", tmp_path, tmp_path)
        monkeypatch.setenv("PATH", str(server.bin_dir))
        assert embedded.psql_command(bare, "x")[0][0] == str(server.bin_dir / "psql")
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(EmbeddedError, match="install postgresql-client"):
            embedded.psql_command(bare, "x")


class TestLife:
    """Starts, stops and accidents."""

    def test_nothing_runs_where_nothing_was_started(self, tmp_path: Path) -> None:
        assert embedded.running(tmp_path / "no") is None
        assert embedded.stop(tmp_path / "no") is False
        assert not (tmp_path / "no").exists()

    def test_a_moved_home_keeps_its_data_and_stop_is_true_once(self, home: Path) -> None:
        server = embedded.start(home)
        assert value(server, "SELECT n FROM kept") == 42
        assert embedded.stop(home) is True
        assert embedded.running(home) is None
        assert embedded.stop(home) is False

    def test_the_port_is_kept_while_it_is_free(self, home: Path) -> None:
        first = embedded.start(home)
        embedded.stop(home)
        again = embedded.start(home)
        embedded.stop(home)
        with socket.create_server(("127.0.0.1", first.port)):
            other = embedded.start(home)
        assert again.port == first.port != other.port
        assert value(other, "SELECT n FROM kept") == 42

    def test_settings_of_a_start_apply(self, home: Path) -> None:
        server = embedded.start(home, {"search_path": "it's, public"})
        assert value(server, "SHOW search_path") == "it's, public"

    def test_it_outlives_a_killed_owner(self, home: Path) -> None:
        code = START + "; import os, signal; sys.stdout.flush(); os.kill(os.getpid(), signal.SIGKILL)"
        owner = subprocess.run(
            [sys.executable, "-c", code, str(home)], cwd=PROJECT, capture_output=True, text=True, check=False
        )
        assert owner.returncode == -signal.SIGKILL, owner.stderr
        server = embedded.running(home)
        assert server is not None
        assert server.port == int(owner.stdout)
        assert embedded.start(home) == server

    def test_a_killed_server_comes_back_with_what_was_committed(self, home: Path) -> None:
        server = embedded.start(home)
        execute(server, "INSERT INTO kept VALUES (43)")
        before = postmaster(server)
        os.kill(before, signal.SIGKILL)
        again = embedded.start(home)
        assert postmaster(again) != before
        assert value(again, "SELECT sum(n) FROM kept") == 85

    def test_a_stale_pid_file_of_another_program_harms_nobody(self, home: Path) -> None:
        pid_file = home / "postgres" / "data" / "postmaster.pid"
        innocent = bystander(pid_file.parent)
        try:
            pid_file.write_text(f"{innocent.pid}\n{pid_file.parent}\n1700000000\n5432\n\n127.0.0.1\n1 1\nready\n")
            shutil.copystat(pid_file.parent / "PG_VERSION", pid_file)
            shutil.chown(pid_file, pid_file.parent.stat().st_uid)
            assert embedded.running(home) is None
            assert embedded.stop(home) is False
            assert value(embedded.start(home), "SELECT n FROM kept") == 42
            assert embedded.stop(home) is True
            assert innocent.poll() is None
        finally:
            innocent.kill()
            innocent.wait()

    @pytest.mark.parametrize(
        "rest", ["", "\n", "12", "-1\n", "not a number\nat all\n", "99999999999999999999\n", "\0\0"]
    )
    def test_a_damaged_pid_file_is_no_obstacle(self, home: Path, rest: str) -> None:
        (home / "postgres" / "data" / "postmaster.pid").write_text(rest)
        assert embedded.running(home) is None
        assert value(embedded.start(home), "SELECT n FROM kept") == 42

    def test_a_lost_note_is_written_anew(self, home: Path) -> None:
        server = embedded.start(home)
        (home / "postgres" / "cluster.json").write_text("{")
        assert embedded.running(home) == server
        assert embedded.stop(home) is True
        assert value(embedded.start(home), "SELECT n FROM kept") == 42

    def test_commands_at_the_same_time_make_one_server_though_an_initdb_was_killed(self, yard: Path) -> None:
        home = yard / "race"
        (home / "postgres" / "data.new" / "base").mkdir(parents=True)
        (home / "postgres" / "password.new").write_text("of the attempt before")
        home.chmod(0o711)
        command = [sys.executable, "-c", START, str(home)]
        racers = [subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        ports = {racer.communicate()[0] for racer in racers}
        server = embedded.running(home)
        assert server is not None
        assert ports == {f"{server.port}\n"}
        assert not (home / "postgres" / "password.new").exists()
        assert not (home / "postgres" / "data.new").exists()
        forget(home)


class TestErrors:
    def test_pgbindir_without_programs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PGBINDIR", str(tmp_path))
        with pytest.raises(EmbeddedError, match=r"PGBINDIR is .* does not contain all of postgres, initdb, pg_ctl"):
            embedded.start(tmp_path / "home")

    def test_data_of_another_release(self, home: Path) -> None:
        (home / "postgres" / "data" / "PG_VERSION").write_text("12\n")
        with pytest.raises(EmbeddedError, match=r"data is of version 12.*set PGBINDIR"):
            embedded.start(home)

    def test_a_setting_that_the_server_refuses(self, home: Path) -> None:
        with pytest.raises(EmbeddedError, match=r"does not start \(.*contains errors.*server.log"):
            embedded.start(home, {"max_connections": "many"})

    def test_a_port_that_others_hold(self, home: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = str(other.getsockname()[1])
            with pytest.raises(EmbeddedError, match="found no TCP port that stayed free"):
                embedded.start(home, {"port": taken})
        assert embedded.running(home) is None

    def test_a_file_in_place_of_the_home(self, tmp_path: Path) -> None:
        (tmp_path / "home").touch()
        with pytest.raises(EmbeddedError, match="set ETL_HOME"):
            embedded.start(tmp_path / "home")

    def test_a_home_that_leads_nowhere(self, tmp_path: Path) -> None:
        (tmp_path / "loop").symlink_to(tmp_path / "loop")
        for home in (tmp_path / "loop", Path("~nobody-has-this-name/home")):
            with pytest.raises(EmbeddedError, match="leads nowhere"):
                embedded.running(home)

    def test_a_lost_password(self, home: Path) -> None:
        (home / "postgres" / "password").unlink()
        with pytest.raises(EmbeddedError, match="password is missing"):
            embedded.start(home)
        assert embedded.stop(home) is True  # which needs none

    @as_root
    def test_a_server_of_another_user(self, home: Path, server: Server) -> None:
        home.chmod(0o777)
        daemon = pwd.getpwnam("daemon")
        said = start_as(daemon.pw_uid, daemon.pw_gid, home, server.bin_dir)
        assert said.startswith("EmbeddedError: The embedded PostgreSQL")
        assert "set ETL_HOME" in said


class TestUsers:
    @as_root
    @pytest.mark.parametrize("has_name", [True, False], ids=["nobody", "a number without a name"])
    def test_an_unprivileged_user(self, yard: Path, server: Server, has_name: bool) -> None:
        nobody = pwd.getpwnam("nobody")
        uid, gid = (nobody.pw_uid, nobody.pw_gid) if has_name else (61234, 61234)
        directory = yard / f"of-{uid}"
        directory.mkdir(mode=0o700)
        os.chown(directory, uid, gid)
        home = directory / "home"
        said = start_as(uid, gid, home, server.bin_dir)
        if not has_name and "EmbeddedError: initdb" in said:
            pytest.skip("this kernel gives users no namespaces, without which initdb wants a name")
        found = embedded.running(home)  # as root: the same server, of the same user
        assert found is not None, said
        assert said == str(found.port)
        assert found.data_dir.stat().st_uid == uid
        embedded.stop(home)
        embedded.start(home)  # by root, who must not lock the owner out
        assert start_as(uid, gid, home, server.bin_dir) == said
        forget(home)

    @as_root
    @pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv takes the capability away")
    def test_root_of_a_container_who_may_not_look_into_processes(self, home: Path) -> None:
        code = (
            "import sys, pathlib; from etl import embedded\n"
            "home = pathlib.Path(sys.argv[1]); s = embedded.start(home)\n"
            "print(embedded.start(home) == s == embedded.running(home), embedded.stop(home), embedded.running(home))"
        )
        command = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-all", sys.executable, "-c", code, str(home)]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
        assert done.stdout == "True True None\n", done.stderr

    @as_root
    def test_root_below_a_private_directory(self, yard: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        private = yard / "private"
        private.mkdir(mode=0o700)
        install = private / "venv" / server.bin_dir.parent.parent.name / server.bin_dir.parent.name
        shutil.copytree(server.bin_dir.parent, install, ignore=shutil.ignore_patterns("include"))
        libraries = server.bin_dir.parents[2] / f"{server.bin_dir.parents[1].name}.libs"
        if libraries.exists():
            shutil.copytree(libraries, private / "venv" / libraries.name)
        monkeypatch.setenv("PGBINDIR", str(install / "bin"))
        copies = set(FALLBACK_DIR.glob("postgres-*"))
        modes = {path: path.stat().st_mode for path in (private, *private.rglob("*"), *yard.resolve().parents)}
        home = private / "clone" / ".etl"
        first = embedded.start(home)
        try:
            assert not first.data_dir.is_relative_to(private)
            assert not first.bin_dir.is_relative_to(private)
            assert (home / "postgres" / "password").stat().st_mode & 0o777 == 0o600
            assert first.data_dir.stat().st_uid != 0
            assert {path: path.stat().st_mode for path in modes} == modes
            execute(first, "CREATE TABLE kept AS SELECT 42 AS n")
            embedded.stop(home)
            shutil.rmtree(home)  # the home lost, the data not: they are found by its name, password and all
            again = embedded.start(home)
            assert value(again, "SELECT n FROM kept") == 42
            assert again.data_dir == first.data_dir
        finally:
            forget(home)
            for copy in set(FALLBACK_DIR.glob("postgres-*")) - copies:
                shutil.rmtree(copy)

    @pytest.mark.skipif(not DEBIAN, reason="no PostgreSQL of the system's")
    def test_an_older_release(self, yard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PGBINDIR", str(DEBIAN[0].parent))
        server = embedded.start(yard / "older")
        assert server.bin_dir == DEBIAN[0].parent
        assert value(server, "SHOW server_encoding") == "UTF8"
        forget(yard / "older")


class TestCluster:
    """The server that the rest of the suite shares."""

    def test_the_last_user_stops_it_and_a_crashed_one_does_not_count(self, yard: Path) -> None:
        root = yard / "session"
        code = (
            "import sys, os, pathlib; from cluster import cluster\n"
            "with cluster(pathlib.Path(sys.argv[1])) as s: print(s.port, flush=True); sys.stdin.read()"
        )
        command = [sys.executable, "-c", code, str(root)]
        pipe, env = subprocess.PIPE, {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
        with (
            subprocess.Popen(command, cwd=PROJECT, env=env, stdin=pipe, stdout=pipe, text=True) as polite,
            subprocess.Popen(command, cwd=PROJECT, env=env, stdin=pipe, stdout=pipe, text=True) as crashing,
        ):
            assert polite.stdout is not None
            assert crashing.stdout is not None
            assert polite.stdout.readline() == crashing.stdout.readline()
            with postgres.shared_server(root) as server:
                crashing.kill()
                crashing.wait()
                polite.communicate("")
                assert embedded.running(root / "home") == server
            assert embedded.running(root / "home") is None

    def test_a_clone_waits_for_the_template_and_a_drop_for_nobody(self, home: Path) -> None:
        server = embedded.start(home)
        embedded.ensure_database(server, "template")
        with ThreadPoolExecutor(3) as pool:
            urls = list(pool.map(lambda n: postgres.clone(server, "template", f"copy{n}"), range(3)))
        with psycopg.connect(urls[0]):
            embedded.drop_database(server, "copy0")
        assert value(server, "SELECT count(*) FROM pg_database WHERE datname LIKE 'copy%'") == 2


def test_variables_of_libpq_are_meant_for_another_server(yard: Path) -> None:
    place = Path(tempfile.mkdtemp(dir=yard))
    place.chmod(0o711)
    wrong = {
        "PGHOSTADDR": "127.0.0.9", "PGSERVICE": "nowhere", "PGSSLMODE": "verify-full", "PGCHANNELBINDING": "require",
        "PGOPTIONS": "-c nothing=1", "PGTZ": "Nowhere", "PGDATESTYLE": "Never", "PGGEQO": "maybe",
        "PGCLIENTENCODING": "EBCDIC", "PGTARGETSESSIONATTRS": "standby", "PGREQUIREAUTH": "none", "PGUSER": "x",
    }  # fmt: skip
    try:
        for words in (["migrate"], ["status"], ["db", "url"]):
            said = run_etl(*words, cwd=place, given=wrong)
            assert (said.returncode, said.stderr) == (0, "")
    finally:
        run_etl("db", "stop", cwd=place)
