"""One table of calls, or parts of it by month or by key → what each costs the database, in processor time.

``python -m benchmarks.partitions [CALLS]``, 1,500 per provider where none are named. The calls are of a year. Each
layout is made of the migrated, empty database; the loader is the same. Layouts take turns, round by round.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from statistics import median
from typing import NamedTuple
from uuid import UUID

import psycopg
from sqlalchemy import Connection, Engine, text

from benchmarks import history
from benchmarks.bi_scale import timed
from benchmarks.measure import server_seconds
from benchmarks.rounds import Bench, Simulator, bench
from benchmarks.stages import sources
from bi import questions
from etl import pipeline
from etl.cli.app import tune_gc
from etl.db import objects
from etl.db.connections import open_engine
from etl.db.engine import uuid_array
from etl.db.statements import execute, fetch_all
from etl.loader import raw, writer
from etl.loader.plan import COLUMNS
from etl.model import Window
from etl.runtime.clock import SystemClock
from etl.state import removed_calls
from etl.sync.replay import replay
from etl.sync.run import RunDependencies, RunFunction, run_source

ROUNDS, BATCH, FETCHES = 3, 500, 40
START = history.END - timedelta(days=history.DAYS + 5)


class Layout(NamedTuple):
    """How many parts, by what, and whether a table of keys keeps a key unique over all of them."""

    name: str
    by: str = ""
    parts: int = 1
    has_keys: bool = False


LAYOUTS = (
    Layout("one table"),
    Layout("12 by month", "RANGE (created_at)", 12),
    Layout("120 by month", "RANGE (created_at)", 120),
    Layout("12 by month, and a table of keys", "RANGE (created_at)", 12, has_keys=True),
    Layout("32 by hash of the key", "HASH (call_key)", 32),
    Layout("32 by hash of the source", "HASH (source)", 32),
)
INDEXES = (
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'warehouse' AND tablename = 'calls' AND indexname !~ '^pk_'"
)
# A key of two months is found by the table of keys alone; PostgreSQL wants the time in a key of months.
KEYS = """
    CREATE TABLE warehouse.call_keys (call_key uuid PRIMARY KEY, created_at timestamptz NOT NULL);
    CREATE FUNCTION warehouse.keep_keys() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO warehouse.call_keys SELECT call_key, created_at FROM new_calls;
        RETURN NULL;
    END $$;
    CREATE TRIGGER keep_keys AFTER INSERT ON warehouse.calls REFERENCING NEW TABLE AS new_calls
        FOR EACH STATEMENT EXECUTE FUNCTION warehouse.keep_keys();
"""
FOREIGN_KEYS = """
    ALTER TABLE warehouse.transcripts ADD FOREIGN KEY (call_key) REFERENCES warehouse.{0} ON DELETE CASCADE;
    ALTER TABLE warehouse.changes ADD FOREIGN KEY (call_key) REFERENCES warehouse.{0} ON DELETE CASCADE;
"""
OLDEST = "SELECT call_key FROM warehouse.calls WHERE created_at < :end ORDER BY created_at"
ANY = "SELECT call_key FROM warehouse.calls WHERE source = 'ringg' ORDER BY call_key LIMIT :count"
OF_SOURCE = f"SELECT {', '.join(COLUMNS)} FROM warehouse.calls WHERE source = 'ringg'"  # noqa: S608
KEYS_GIVEN = "call_key = ANY(CAST(:keys AS uuid[]))"
DELETE = f"DELETE FROM warehouse.{{}} WHERE {KEYS_GIVEN}"  # noqa: S608


def lay_out(engine: Engine, layout: Layout) -> None:
    """Replace the empty table of calls by parts, with the same columns, indexes, checks, triggers and views."""
    if not layout.by:
        return
    with engine.begin() as connection:
        indexes = [row.indexdef for row in connection.execute(text(INDEXES))]
        run = connection.exec_driver_sql
        run("CREATE TABLE warehouse.model (LIKE warehouse.calls INCLUDING ALL EXCLUDING INDEXES)")
        run("DROP TABLE warehouse.calls CASCADE")
        key = ", ".join(dict.fromkeys(("call_key", layout.by.partition("(")[2].rstrip(")"))))
        run(
            "CREATE TABLE warehouse.calls (LIKE warehouse.model INCLUDING ALL,"
            f" CONSTRAINT pk_calls PRIMARY KEY ({key})) PARTITION BY {layout.by}"
        )
        run("DROP TABLE warehouse.model")
        for n, bounds in enumerate(_bounds(layout)):
            run(f"CREATE TABLE warehouse.calls_{n} PARTITION OF warehouse.calls {bounds}")
        for index in indexes:
            run(index.replace(" ON ONLY ", " ON "))
        objects.create_functions(connection)
        objects.create_views(connection)
        if layout.has_keys or key == "call_key":
            owner = "call_keys" if layout.has_keys else "calls"
            run((KEYS if layout.has_keys else "") + FOREIGN_KEYS.format(owner), execution_options=objects.VERBATIM)


def _bounds(layout: Layout) -> Iterator[str]:
    if "HASH" in layout.by:
        for n in range(layout.parts):
            yield f"FOR VALUES WITH (MODULUS {layout.parts}, REMAINDER {n})"
        return
    length = (history.END + timedelta(days=5) - START) / layout.parts
    for n in range(layout.parts):
        yield f"FOR VALUES FROM ('{START + n * length}') TO ('{START + (n + 1) * length}')"


class Database:
    """A layout's database, and what is measured in it: processor time of the server, in µs per call."""

    def __init__(self, measuring: Bench, simulator: Simulator, layout: Layout) -> None:
        measuring.renew(migrated=True)
        self.layout, self._postmaster, self.engine = layout, measuring.postmaster, open_engine(measuring.url)
        self._sources = sources(simulator)
        lay_out(self.engine, layout)

    @contextmanager
    def spent(self, into: list[float], per: int) -> Iterator[None]:
        """Add what the server spends until the end of the block; sessions that have ended are counted at once."""
        before = server_seconds(self._postmaster)
        yield
        self.engine.dispose()
        time.sleep(0.3)
        into.append((server_seconds(self._postmaster) - before) / per * 1e6)

    def run(self, kind: str, work: RunFunction) -> None:
        """Run all sources, one after the other."""
        for source in self._sources:
            done = run_source(RunDependencies(self.engine, SystemClock()), source, kind, work, is_manual=True)
            if done.status != "succeeded":
                raise RuntimeError(f"{self.layout.name}: {source.name}: {done.error}")

    def fetch(self, keys: list[UUID]) -> None:
        """Look up whole rows by their keys, a batch at a time; in parts by source by the source as well."""
        for _ in range(FETCHES):
            with self.engine.connect() as connection:
                if "source" in self.layout.by:
                    found = len(
                        connection.execute(text(f"{OF_SOURCE} AND {KEYS_GIVEN}"), {"keys": uuid_array(keys)}).all()
                    )
                else:
                    found = len(writer.fetch_rows(connection, keys))
            if found != len(keys):
                raise RuntimeError(f"{self.layout.name}: calls are missing")

    def expire(self, months: int) -> int:
        """Remove the calls of the oldest twelfths of the year: by deletion, or each by dropping its part."""
        end = START + months * (history.END + timedelta(days=5) - START) / 12
        with self.engine.connect() as connection:
            found = connection.execute(text(OLDEST), {"end": end}).scalars().all()
        if not self.layout.name.startswith("12 by month"):
            for n in range(0, len(found), BATCH):
                with self.engine.begin() as connection:
                    removed_calls.remove(connection, found[n : n + BATCH], "expired", history.END)
            return len(found)
        with self.engine.begin() as connection:
            self._forget(connection, list(found))
            for n in range(months):
                connection.execute(text(f"DROP TABLE warehouse.calls_{n}"))
            for rollup in ("call_rollup", "stream_rollup_daily"):
                connection.execute(text(f"DELETE FROM warehouse.{rollup} WHERE day < :end"), {"end": end})  # noqa: S608
        return len(found)

    def _forget(self, connection: Connection, keys: list[UUID]) -> None:
        """What the removal of a call takes beside its row: proofs, payloads, quarantine and transcripts."""
        values = {"keys": uuid_array(keys), "reason": "expired", "now": history.END}
        seqs = [row.seq for row in fetch_all(connection, removed_calls.SQL.seqs_of, values)]
        for statement in (removed_calls.SQL.remember, removed_calls.SQL.delete_rejects_of):
            execute(connection, statement, values)
        raw.remove(connection, seqs, frozenset(keys))
        for table in ("call_keys",) if self.layout.has_keys else ("transcripts", "changes"):
            connection.execute(text(DELETE.format(table)), values)


Spent = dict[str, list[float]]
WORK = ("load", "read again", "replay", "look up by key", "expire three months")


def measure(database: Database, calls: int, spent: Spent) -> None:
    """One round of a layout."""
    everything = Window(START, history.END)
    with database.spent(spent["load"], calls):
        database.run("sync", pipeline.sync)
    with database.spent(spent["read again"], calls):
        database.run("backfill", lambda run: pipeline.backfill(run, everything, again=True))
    with database.spent(spent["replay"], calls):
        database.run("replay", lambda run: replay(run, lambda changes: None))
    with database.engine.begin() as connection:
        connection.execute(text("ANALYZE"))
        keys = list(connection.execute(text(ANY), {"count": 2 * BATCH}).scalars())
    database.fetch(keys)
    with database.spent(spent["look up by key"], FETCHES * len(keys)):
        database.fetch(keys)


def asked(measuring: Bench) -> dict[str, float]:
    """The processor time of the twenty questions, in milliseconds, and of one call by its key."""
    with psycopg.connect(measuring.url, autocommit=True) as connection:
        (key,) = connection.execute("SELECT call_key FROM warehouse.calls LIMIT 1").fetchone() or ()
        connection.execute("SET max_parallel_workers_per_gather = 0")
        one = f"SELECT * FROM bi.calls WHERE call_key = '{key}'"  # noqa: S608
        queries = {"one call of bi.calls": one} | {
            question.title: question.on(history.END.date()).rstrip().rstrip(";") for question in questions.read()
        }
        lines = {title: timed(connection, title, query) for title, query in queries.items()}
    return {title: float(line.split("|")[2].replace(",", "")) for title, line in lines.items()}


def main() -> None:
    """The tables, on the terminal."""
    each = int(sys.argv[1]) if len(sys.argv) > 1 else 1_500
    spent: dict[str, Spent] = {layout.name: {work: [] for work in WORK} for layout in LAYOUTS}
    answers: dict[str, dict[str, float]] = {}
    tune_gc()
    with bench(each) as (measuring, simulator):
        for _ in range(ROUNDS):
            for layout in LAYOUTS:
                database = Database(measuring, simulator, layout)
                measure(database, 4 * each, spent[layout.name])
                answers[layout.name] = asked(measuring)
                with database.spent(spent[layout.name]["expire three months"], each):
                    database.expire(3)
                sys.stderr.write(f"{layout.name}: {spent[layout.name]}\n")
    sys.stdout.write("\n".join([*_table(spent), "", *_questions(answers), ""]))


def _table(spent: dict[str, Spent]) -> list[str]:
    lines = [f"| µs per call | {' | '.join(WORK)} |", f"|---|{'--:|' * len(WORK)}"]
    for name, works in spent.items():
        cells = [f"{median(times):.0f} ({min(times):.0f}-{max(times):.0f})" for times in works.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _questions(answers: dict[str, dict[str, float]]) -> list[str]:
    first = next(iter(answers.values()))
    lines = [f"| processor ms | {' | '.join(answers)} |", f"|---|{'--:|' * len(answers)}"]
    lines += [f"| {title} | {' | '.join(f'{each[title]:,.0f}' for each in answers.values())} |" for title in first]
    return [*lines, f"| all | {' | '.join(f'{sum(each.values()):,.0f}' for each in answers.values())} |"]


if __name__ == "__main__":
    main()
