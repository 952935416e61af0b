"""A customer's number → the token that stands for it, in Python, in SQL, and in rows that are loaded or replayed."""

import hmac
from uuid import UUID

import pytest
from sqlalchemy import Engine

from etl.fields.tokens import customer_id, customer_of
from etl.sync.replay import replay
from tests.harness import PROVIDERS, make_harness
from tests.stub_provider import make_stub_harness, ringg_record

IN_SQL = "SELECT warehouse.customer_id(:number, inner_key, outer_key) FROM ops.masking_key"


@pytest.mark.parametrize("number", ["+919876543210", "", "०९८७", "anonymous"])
def test_the_token_in_sql_is_that_of_python(db: Engine, number: str) -> None:
    harness = make_harness(db)
    for key in (harness.scalar("SELECT key FROM ops.masking_key"), b"\xff" * 32, bytes(32), b"short", b"k" * 64):
        harness.execute("UPDATE ops.masking_key SET key = :key", key=key)
        token = customer_id(number, key)
        assert token == UUID(bytes=hmac.digest(key, number.encode(), "sha256")[:16])
        assert harness.scalar(IN_SQL, number=number) == token


def test_the_key_is_long_and_random(db: Engine) -> None:
    key = make_harness(db).scalar("SELECT key FROM ops.masking_key")
    assert len(key) == 32
    assert len(set(key)) > 16


@pytest.mark.parametrize("number", [None, "", "anonymous", "Private Number"])
def test_a_word_in_place_of_a_number_is_no_customer(number: str | None) -> None:
    assert customer_of(number, b"key") is None


@pytest.mark.parametrize("number", ["+919876543210", "98765 43210", "०९८७"])
def test_a_number_as_sent_is_a_customer(number: str) -> None:
    assert customer_of(number, b"key") == customer_id(number, b"key")


def test_a_customer_has_one_token_over_all_sources_and_a_replay_restores_it(db: Engine) -> None:
    harness = make_harness(db)
    for name in PROVIDERS:
        harness.sync(name)
    customers = "SELECT DISTINCT customer_number, customer_id FROM warehouse.calls"
    before = {row["customer_number"]: row["customer_id"] for row in harness.rows(customers)}
    key = harness.scalar("SELECT key FROM ops.masking_key")
    assert before == {number: customer_of(number, key) for number in before}
    assert len(before) == harness.scalar(f"SELECT count(*) FROM ({customers}) AS found")
    harness.execute("UPDATE warehouse.calls SET customer_id = NULL")
    for name in PROVIDERS:
        assert harness.run(name, lambda run: replay(run, lambda changes: None), "replay").status == "succeeded"
    assert {row["customer_number"]: row["customer_id"] for row in harness.rows(customers)} == before


def test_the_token_follows_the_number(db: Engine) -> None:
    first = ringg_record("a", call_type="outbound", to_number="anonymous")
    harness, stub = make_stub_harness(db, first)
    harness.sync("ringg")
    assert harness.scalar("SELECT customer_id FROM warehouse.calls") is None
    stub.records = [ringg_record("a", call_type="outbound", to_number="+919876543210")]
    harness.sync("ringg")
    found: UUID = harness.scalar("SELECT customer_id FROM warehouse.calls")
    assert found == customer_id("+919876543210", harness.scalar("SELECT key FROM ops.masking_key"))
    assert harness.rows("SELECT field FROM warehouse.changes WHERE field = 'customer_id'") == []
