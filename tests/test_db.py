"""Connections: their settings, the JSON they store, and database errors that show no data."""

import re
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, bindparam, make_url, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError

from etl.db.connections import open_engine, sqlalchemy_url
from etl.db.engine import DatabaseProblem, as_json, describe, reachable, uuid_array
from etl.db.statements import QUERIES, Statements, execute, fetch_all, fetch_one, fetch_value
from etl.state.session import StateSession
from tests.harness import NOW, InterceptingTransport, make_harness
from tests.scripted_server import stuck_proxy

ETL = Path(__file__).resolve().parent.parent / "etl"

PERSON = "Asha Rao +919876543210 said: my card is 4111"
json_numbers = st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**20), max_value=10**20)


@pytest.fixture
def loaded(db: Engine) -> Engine:
    with db.begin() as connection:
        connection.execute(text("CREATE TABLE public.people (id int PRIMARY KEY, said text NOT NULL, age int)"))
    return db


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "INSERT INTO public.people VALUES (1, NULL, 3)",
            "NotNullViolation, SQLSTATE 23502, table people, column said",
        ),
        ("INSERT INTO public.people VALUES (1, :said), (1, :said)", "UniqueViolation, SQLSTATE 23505, table people, "),
        ("SELECT CAST(CAST(:said AS text) AS int)", "InvalidTextRepresentation, SQLSTATE 22P02"),
        ("SELECT * FROM nobody WHERE said = :said", "UndefinedTable, SQLSTATE 42P01"),
    ],
)
def test_an_error_shows_its_kind_and_location_alone(loaded: Engine, statement: str, expected: str) -> None:
    with pytest.raises(DBAPIError) as raised, loaded.begin() as connection:
        connection.execute(text(statement), {"said": PERSON})
    said = describe(raised.value)
    assert said.startswith(f"database error: {expected}")
    assert not any(word in said for word in ("Asha", "9198", "4111"))


def test_a_server_that_falls_silent_ends_the_connection_and_its_run_and_the_next_one_works(database_url: str) -> None:
    url = make_url(database_url)
    with stuck_proxy(url.port or 0) as proxy:
        made = open_engine(url.set(port=proxy.port).render_as_string(hide_password=False), silence_seconds=0.5)
        with made.connect() as connection:
            assert fetch_value(connection, b"SELECT 1") == 1
            proxy.is_stuck.set()
            with pytest.raises(DBAPIError) as raised:
                fetch_value(connection, b"SELECT 1")
        lost = "database error: the connection was lost, or the server does not answer"
        assert describe(raised.value) == lost
        proxy.is_stuck.clear()
        harness = make_harness(made)
        harness.transport = InterceptingTransport(harness.transport, lambda number, request: proxy.is_stuck.set())
        report = harness.run("ringg")
        assert (report.status, report.error) == ("failed", lost)
        made.dispose()


def test_sessions_are_in_utc_and_do_not_hold_locks_for_ever(db: Engine) -> None:
    with db.connect() as connection:
        shown = {
            name: connection.scalar(text(f"SHOW {name}"))
            for name in ("timezone", "lock_timeout", "idle_in_transaction_session_timeout", "application_name")
        }
    assert shown == {
        "timezone": "UTC",
        "lock_timeout": "1min",
        "idle_in_transaction_session_timeout": "2min",
        "application_name": "callhouse",
    }


@given(json_numbers)
def test_numbers_of_json_stay_exact(number: Decimal) -> None:
    assert Decimal(as_json({"cost": number}).removeprefix('{"cost":').removesuffix("}")) == number


def test_json_numbers_round_trip(db: Engine) -> None:
    value = {"cost": Decimal("0.10000000000000000005"), "turns": 3, "name": "naïve \u2028 \U0001f600"}
    with db.connect() as connection:
        query = text("SELECT :value AS value").bindparams(bindparam("value", value, JSONB)).columns(value=JSONB)
        assert connection.execute(query).scalar_one() == value


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://u:hunter2@127.0.0.1:1/calls", "nothing listens there"),
        ("postgresql://u:hunter2@nowhere.invalid/calls", "its host name is unknown"),
        ("postgresql://u:hunter2@/calls?host=/nowhere", "nothing listens there"),
    ],
)
def test_the_reason_a_database_is_unreachable_is_shown_without_the_password(url: str, said: str) -> None:
    made = open_engine(url)
    with pytest.raises(DatabaseProblem, match=said) as raised, reachable(made):
        pass
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("url", [
    "mysql://u:hunter2@h/d", "hunter2", "postgresql//u:hunter2@h/d", "postgresql://u:hunter2@127.0.0.1/calls?colour=red",
    "postgresql://u:hunter2%2@h/d",
])  # fmt: skip
def test_an_invalid_database_url_is_reported_without_showing_it(url: str) -> None:
    with pytest.raises(DatabaseProblem, match="DATABASE_URL is not") as raised:
        sqlalchemy_url(url)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_spelling_of_the_scheme_selects_psycopg_3(scheme: str) -> None:
    assert sqlalchemy_url(f"{scheme}://u@h/d") == make_url("postgresql+psycopg://u@h/d")


def test_a_page_of_calls_is_found_by_key_though_the_table_was_empty_when_the_plan_was_made(db: Engine) -> None:
    page = uuid_array(UUID(int=number) for number in range(200))
    with StateSession(db) as session:
        rows = session.fetch_all(b"EXPLAIN " + Statements("calls").stored_versions, {"keys": page})
    plan = "\n".join(row[0] for row in rows)
    assert "pk_calls" in plan
    assert "Seq Scan" not in plan


def test_the_functions_in_conditions_are_inlined_so_that_indexes_serve(db: Engine) -> None:
    span = {"source": "ravan", "partition": "+911", "start": NOW, "end": NOW}
    due = {"source": "vaani", "run_began": NOW, "again_since": NOW, "kept_since": None, "batch": 50}
    with StateSession(db) as session:
        for statement, values in (
            (Statements("calls").calls_in_span, span),
            (Statements("transcripts").due_transcripts, due),
        ):
            plan = "\n".join(row[0] for row in session.fetch_all(b"EXPLAIN " + statement, values))
            assert "Index" in plan
            assert "Seq Scan on calls" not in plan
            assert not re.search(r"in_partition|is_final\(", plan)


def test_a_statement_takes_its_values_by_name_and_gives_rows_with_attributes(db: Engine) -> None:
    with db.begin() as connection:
        assert fetch_value(connection, Statements("server").version_table) == "ops.alembic_version"
        server = fetch_one(connection, Statements("server").server)
        assert (server.version >= 15, server.encoding) == (True, "UTF8")
        assert fetch_all(connection, Statements("sources").source_names) == []
        assert execute(connection, Statements("leases").release_lease, {"source": "x", "owner": "y"}) == 0
        with pytest.raises(DBAPIError, match="query parameter missing: key"):
            fetch_all(connection, Statements("page_calls").call, {})
    with pytest.raises(AttributeError, match="no_such_statement"):
        Statements("leases").no_such_statement  # noqa: B018


def test_every_statement_has_a_sentence_and_is_used() -> None:
    used: dict[str, set[str]] = defaultdict(set)
    for path in ETL.rglob("*.py"):
        source = path.read_text()
        for names, subjects in re.findall(r"^([A-Z_, ]+) = (.*Statements\(.*)$", source, re.MULTILINE):
            for name, subject in zip(names.split(", "), re.findall(r'"(\w+)"', subjects), strict=True):
                used[subject] |= set(re.findall(rf"\b{name}\.(\w+)", source))
    used["page_sources"] |= set(re.findall(r"\bSTATEMENTS\.(\w+)", (ETL / "web" / "views.py").read_text()))
    for path in sorted(QUERIES.glob("*.sql")):
        text = path.read_text()
        found = re.findall(r"^-- name: (\w+)\n(-- [A-Z`].*[a-z])?", text, re.MULTILINE)
        assert [name for name, sentence in found if not sentence] == []
        assert {name for name, _ in found} == used[path.stem], path.name
        assert len({name for name, _ in found}) == len(found)
