"""Connections that behave, and errors of a database that show none of its data."""

from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, bindparam, make_url, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError

from etl.db.engine import DatabaseProblem, as_json, describe, open_engine, reachable, sqlalchemy_url, uuid_array
from etl.db.statements import Statements
from etl.state.session import StateSession

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
        ("INSERT INTO people VALUES (1, NULL, 3)", "NotNullViolation, SQLSTATE 23502, table people, column said"),
        ("INSERT INTO people VALUES (1, :said), (1, :said)", "UniqueViolation, SQLSTATE 23505, table people, "),
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
        ("postgresql://u:hunter2@127.0.0.1/calls?colour=red", "a parameter that PostgreSQL does not know"),
    ],
)
def test_the_reason_a_database_is_unreachable_is_shown_without_the_password(url: str, said: str) -> None:
    made = open_engine(url)
    with pytest.raises(DatabaseProblem, match=said) as raised, reachable(made):
        pass
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("url", ["mysql://u:hunter2@h/d", "hunter2", "postgresql//u:hunter2@h/d"])
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
