"""Contender and case → a run on a fresh database: its cost, and how its result differs from the expected one."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.contenders import Contender, copy_bytes, etl_toml, target_config
from benchmarks.environments import ENVS, ROOT
from benchmarks.measure import Cost, measured
from etl import embedded
from etl.db import revisions
from etl.db.connections import open_engine
from etl.embedded import Server

WORK = Path(__file__).resolve().parent / ".work"
DATABASE = "bench"
SOURCES = ("ringg", "ravan", "autocalls", "vaani")
CASES = {"backfill": SOURCES, "nothing": SOURCES, "again": SOURCES, "apart": ("apart",)}


@dataclass(frozen=True, slots=True)
class Run:
    """One contender's run of one case; ``wrong`` lists differences from the expected result."""

    case: str
    contender: str
    cost: Cost
    requests: int
    received: int  # records, as far as the contender counts them
    disk: dict[str, int]
    wrong: list[str]


class Simulator:
    """The simulator's process, as the runner sees it."""

    def __init__(self, calls: int) -> None:
        command = [sys.executable, "-m", "benchmarks.simulator", str(calls)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        self.info: dict[str, Any] = json.loads(self._process.stdout.readline())

    def requests(self) -> int:
        """The number of requests since the last call."""
        return self.ask("_requests")

    def ask(self, what: str) -> int:
        """The integer that it returns for one of its control paths."""
        with urllib.request.urlopen(f"{self.info['origin']}/{what}") as answer:  # noqa: S310 - loopback
            return int(answer.read())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@contextmanager
def bench(calls: int) -> "Iterator[tuple[Bench, Simulator]]":
    """A PostgreSQL and a simulator with ``calls`` per provider, stopped at the end."""
    WORK.mkdir(exist_ok=True)
    server, simulator = embedded.start(WORK / "postgres"), Simulator(calls)
    try:
        yield Bench(server, simulator), simulator
    finally:
        simulator.close()
        embedded.stop(WORK / "postgres")


class Bench:
    """A server, a simulator and the rounds over them."""

    def __init__(self, server: Server, simulator: Simulator) -> None:
        self._server, self._simulator = server, simulator
        self.postmaster = int((server.data_dir / "postmaster.pid").read_text().split()[0])
        self.log = server.data_dir.parent / "server.log"

    def run(self, case: str, contender: Contender) -> Run:
        """One contender on a fresh database; where a case reads what is stored, after a run that loaded everything."""
        sources = CASES[case]
        self.renew(contender.needs_warehouse)
        shutil.rmtree(WORK / contender.name, ignore_errors=True)
        if case in ("nothing", "again"):
            self.measure(contender, sources)
        cost, requests = self.measure(contender, sources, again=case == "again")
        received = self._received() if contender.name == "callhouse" else 0
        done = Run(case, contender.name, cost, requests, received, self._disk(), self._wrong(contender, sources))
        if contender.name == "callhouse" and case == "backfill":
            copy_bytes.keep(self.url, WORK / "bytes")
        return done

    def release(self) -> str:
        """PostgreSQL's version."""
        with self._connected() as connection:
            return str(connection.info.parameter_status("server_version"))

    def measure(self, contender: Contender, sources: Sequence[str], *, again: bool = False) -> tuple[Cost, int]:
        """Run the contender on the current database; its cost and the number of its requests."""
        folder = WORK / contender.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "target.json").write_text(target_config(self.url))
        (folder / "etl.toml").write_text(
            etl_toml(self._simulator.info["origin"], sources, self._simulator.info["phones"])
        )
        argv = contender.argv(ENVS / contender.lock, folder, again=again)
        with self._connected() as connection:
            connection.execute("CHECKPOINT")
        self._simulator.requests()
        cost = measured(argv, self._environment(folder, sources), self.postmaster, folder / "log")
        return cost, self._simulator.requests()

    def _environment(self, folder: Path, sources: Sequence[str]) -> dict[str, str]:
        info = self._simulator.info
        return {
            **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
            **{f"{name.upper()}_API_KEY": key for name, key in info["keys"].items()},
            "DATABASE_URL": self.url,
            "ETL_CONFIG": str(folder / "etl.toml"),
            "ETL_HOME": str(folder),
            "BENCH_SIMULATOR": json.dumps({name: info[name] for name in ("origin", "keys", "phones")}),
            "BENCH_SOURCES": ",".join(sources),
            "BENCH_FOLDER": str(folder),
            "PYTHONDONTWRITEBYTECODE": "",
        }

    @property
    def url(self) -> str:
        """The URL of the benchmark database."""
        return self._server.url(DATABASE)

    def renew(self, migrated: bool) -> None:
        """Recreate the database, empty or migrated."""
        embedded.drop_database(self._server, DATABASE)
        embedded.ensure_database(self._server, DATABASE)
        if migrated:
            engine = open_engine(self.url)
            revisions.migrate(engine)
            engine.dispose()

    @contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            yield connection

    def _received(self) -> int:
        """The records that the newest run of each source received."""
        query = "SELECT DISTINCT ON (source) received FROM ops.runs ORDER BY source, run_id DESC"
        with self._connected() as connection:
            return sum(count for (count,) in connection.execute(query))

    def _disk(self) -> dict[str, int]:
        """Bytes by part: each table's heap (with what is stored beside it), and all indexes."""
        query = """
            SELECT n.nspname || '.' || c.relname, pg_table_size(c.oid), pg_indexes_size(c.oid)
              FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
             WHERE relkind = 'r' AND nspname !~ '^(pg_|information_schema)'
        """
        with self._connected() as connection:
            rows = connection.execute(query).fetchall()
        tables = {name: size for name, size, _ in rows}
        return {**tables, "indexes": sum(size for *_, size in rows), "all": sum(a + b for _, a, b in rows)}

    def _wrong(self, contender: Contender, sources: Sequence[str]) -> list[str]:
        """Where the result differs from the expected, one line for each source and measure."""
        found = []
        for source in sources:
            expected = self._simulator.info["expected"][source]
            name = "vaani" if source == "apart" and contender.name != "callhouse" else source
            with self._connected() as connection:
                has = stored(connection, contender, name)
            found += [
                f"{source}: {key} {has[key]} instead of {expected[key]}" for key in has if has[key] != expected[key]
            ]
        return found


def stored(connection: psycopg.Connection[Any], contender: Contender, source: str) -> dict[str, Any]:
    """What a contender has of a source, as :class:`~benchmarks.history.Digest` names it, as far as it keeps it."""
    line = "id || ':' || row_number() OVER (PARTITION BY id ORDER BY turn_index) - 1 || ':' || text"
    sums = "concat_ws(':', day, calls, answered, trim_scale(seconds), trim_scale(cost))"
    queries = {
        ("calls", "ids", "cost"): (
            "SELECT count(*), coalesce(md5(string_agg(id, E'\\n' ORDER BY id COLLATE \"C\")), ''),"  # noqa: S608
            f" trim_scale(coalesce(sum(cost::numeric), 0))::text FROM ({contender.calls}) x WHERE source = %s"
        ),
        ("turns", "words"): contender.turns and (
            "SELECT count(*), md5(string_agg(line, E'\\n' ORDER BY line COLLATE \"C\"))"  # noqa: S608
            f" FROM (SELECT {line} AS line FROM ({contender.turns}) x WHERE source = %s) y"
        ),
        ("days",): contender.days and (
            f"SELECT md5(string_agg({sums}, E'\\n' ORDER BY day)) FROM ({contender.days}) x WHERE source = %s"  # noqa: S608
        ),
    }  # fmt: skip
    found: dict[str, Any] = {}
    for names, query in queries.items():
        if query:
            found |= dict(zip(names, connection.execute(query, [source]).fetchone() or (), strict=True))
    return found
