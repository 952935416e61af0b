"""Records of one call, repeated, changed, odd or enormous → the call once, at its newest version, and exact counts."""

import json
import uuid
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from etl.loader.batch import call_key
from tests.harness import FAST, VERSIONS, Harness, counts_add_up
from tests.stub_provider import StubProvider, make_stub_harness, ringg_record

REFUSE = """
    CREATE FUNCTION warehouse.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.provider_call_id = 'bad' THEN RAISE EXCEPTION 'no' USING ERRCODE = '23514'; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON warehouse.calls
        FOR EACH ROW EXECUTE FUNCTION warehouse.refuse();
"""
COUNTS = ("received", "inserted", "updated", "unchanged", "quarantined")


def counts(harness: Harness) -> tuple[int, ...]:
    """The counts of the newest run."""
    row = harness.rows("SELECT * FROM ops.runs ORDER BY run_id DESC LIMIT 1")[0]
    return tuple(row[name] for name in COUNTS)


def call(harness: Harness, call_id: str = "a") -> dict[str, Any]:
    return harness.rows("SELECT * FROM bi_pii.calls WHERE provider_call_id = :id", id=call_id)[0]


def texts(harness: Harness) -> list[str]:
    """The texts of the turns of call "a"."""
    query = (
        "SELECT t.text FROM bi_pii.transcript_turns t JOIN bi_pii.calls USING (call_key) WHERE provider_call_id = 'a'"
    )
    return [row["text"] for row in harness.rows(f"{query} ORDER BY turn_index")]


def synced(harness: Harness, shelf: StubProvider, *records: bytes) -> tuple[int, ...]:
    """The counts of a sync an hour later, when the list holds these records."""
    shelf.records = list(records)
    harness.clock.sleep(3600)
    harness.sync("ringg")
    assert counts_add_up(harness)
    return counts(harness)


# -- one call, several records


@pytest.mark.parametrize("size", [100, 2], ids=["one page", "two pages"])
@pytest.mark.parametrize("rate", [FAST, 6], ids=["one batch", "several batches"])
def test_the_same_record_twice_is_one_call(db: Engine, size: int, rate: int) -> None:
    page = [ringg_record("a"), ringg_record("b"), ringg_record("c"), ringg_record("a")]
    harness, _ = make_stub_harness(db, *page, size=size, requests_per_minute=rate)
    harness.sync("ringg")
    assert harness.stored_ids("ringg") == {"a", "b", "c"}
    assert counts(harness)[1:] == (3, 0, counts(harness)[0] - 3, 0)
    assert harness.scalar(VERSIONS) == 3


@pytest.mark.parametrize("size", [100, 2], ids=["one page", "two pages"])
def test_of_two_versions_the_last_received_is_stored(db: Engine, size: int) -> None:
    old, new = ringg_record("a", call_cost=1), ringg_record("a", call_cost=2)
    harness, _ = make_stub_harness(db, old, ringg_record("b"), ringg_record("c"), new, size=size)
    harness.sync("ringg")
    assert call(harness)["cost"] == 2
    assert counts(harness)[1:] == (3, 0, counts(harness)[0] - 3, 0)
    assert harness.versions_of("a") == [old, new]


def test_a_call_that_changes_and_changes_back_within_a_batch(db: Engine) -> None:
    a, b = ringg_record("a", call_cost=1), ringg_record("a", call_cost=2)
    harness, shelf = make_stub_harness(db, ringg_record("b"), ringg_record("c"), a, b, a)
    shelf.total = 3
    harness.sync("ringg")
    assert call(harness)["cost"] == 1
    assert counts(harness)[1:] == (3, 0, counts(harness)[0] - 3, 0)
    assert harness.versions_of("a") == [a, b, a]


def test_each_version_is_archived_once_in_order_of_arrival(db: Engine) -> None:
    a, b = ringg_record("a", call_cost=1), ringg_record("a", call_cost=2)
    harness, shelf = make_stub_harness(db, a)
    harness.sync("ringg")
    assert synced(harness, shelf, b) == (1, 0, 1, 0, 0)
    assert harness.versions_of("a") == [a, b]
    assert synced(harness, shelf, a) == (1, 0, 1, 0, 0)
    assert harness.versions_of("a") == [a, b]
    assert synced(harness, shelf, a) == (1, 0, 0, 1, 0)
    changed = harness.rows("SELECT field, old_value, new_value FROM bi_pii.call_changes ORDER BY changed_at")
    assert [tuple(row.values()) for row in changed] == [("cost", "1", "2"), ("cost", "2", "1")]


def test_the_order_of_keys_and_the_signature_of_a_link_do_not_change_the_content_hash(db: Engine) -> None:
    link = "https://r.example/1.mp3?X-Amz-Date={0}&X-Amz-Signature={0}"
    harness, shelf = make_stub_harness(db, ringg_record("a", audio_recording=link.format(1)), ringg_record("b"))
    harness.sync("ringg")
    before = harness.tuple_counts()
    turned = json.dumps(dict(reversed(json.loads(ringg_record("b")).items()))).encode()
    assert synced(harness, shelf, ringg_record("a", audio_recording=link.format(2)), turned) == (2, 0, 0, 2, 0)
    assert harness.scalar(VERSIONS) == 2
    assert harness.tuple_counts() == before


# -- transcripts


@pytest.mark.parametrize(
    ("now", "kept"),
    [
        ("user: hello", ["hello"]),
        ("user: hello\nbot: hi\nuser: bye\nbot: so long", ["hello", "hi", "bye", "so long"]),
        ("user: good evening\nbot: hi\nuser: bye", ["good evening", "hi", "bye"]),
        ("", ["hello", "hi", "bye"]),
        (None, ["hello", "hi", "bye"]),
    ],
)
def test_a_transcript_is_replaced_whole_and_never_by_none(db: Engine, now: str | None, kept: list[str]) -> None:
    harness, shelf = make_stub_harness(
        db, ringg_record("a", transcript="user: hello\nbot: hi\nuser: bye"), ringg_record("b")
    )
    harness.sync("ringg")
    assert texts(harness) == ["hello", "hi", "bye"]
    changed = int(bool(now))
    assert synced(harness, shelf, ringg_record("a", transcript=now), ringg_record("b")) == (
        2,
        0,
        changed,
        2 - changed,
        0,
    )
    assert texts(harness) == kept
    assert (call(harness)["turn_count"], call(harness)["has_transcript"]) == (len(kept), True)


def test_a_record_without_a_transcript_keeps_the_turns(db: Engine) -> None:
    said = [{"role": "user", "content": "hello"}, {"role": "agent", "content": "hi"}]
    record = {"id": "a", "created_at": "2025-04-30T10:00:00Z", "status": "completed", "summary": "short"}
    harness, shelf = make_stub_harness(db, json.dumps({**record, "transcripts": said}).encode())
    harness.sync("ravan")
    assert texts(harness) == ["hello", "hi"]
    shelf.records = [json.dumps({**record, "summary": "longer"}).encode()]
    harness.clock.sleep(3600)
    harness.sync("ravan")
    assert (texts(harness), call(harness)["summary"]) == (["hello", "hi"], "longer")


# -- values


def test_odd_and_enormous_values_are_stored_exactly(db: Engine) -> None:
    long = "word " * 2_000_000
    record = ringg_record("a", transcript=f"user: {long}", call_cost="COST").replace(
        b'"COST"', b"12.34000000000000000000001"
    )
    literal = b'"b":{"exact":0.1000000000000000055511151231257827,"huge":123456789012345678901234567890}'
    odd = ringg_record("b", name="nul \0 inside", error="lone \ud83d surrogate")
    harness, _ = make_stub_harness(db, record[:-1] + b"," + literal + b"}", odd)
    harness.sync("ringg")
    assert counts(harness) == (2, 2, 0, 0, 0)
    assert call(harness)["cost"] == Decimal("12.34000000000000000000001")
    assert texts(harness) == [long.strip()]
    kept = "SELECT extra->'b'->>'exact' AS exact, extra->'b'->>'huge' AS huge FROM bi_pii.calls WHERE extra ? 'b'"
    exact, huge = harness.rows(kept)[0].values()
    assert (exact, huge) == ("0.1000000000000000055511151231257827", "123456789012345678901234567890")
    assert call(harness, "b")["customer_name"] == "nul \ufffd inside"
    assert call(harness, "b")["extra"]["error"] == "lone \ufffd surrogate"
    assert harness.versions_of("b") == [odd]


IDS = st.tuples(st.sampled_from(["ringg", "ravan", "ringg-2"]), st.text(min_size=1, max_size=20))


@settings(max_examples=50, deadline=None)
@given(IDS, IDS)
def test_each_call_has_a_key_of_its_own(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (call_key(*one) == call_key(*other)) == (one == other)


def test_the_key_of_a_call_never_changes() -> None:
    assert call_key("ringg", "a") == uuid.UUID("98711b2c-62de-58d5-87c3-bf429b629385")


# -- what the database refuses


def test_a_batch_that_the_database_refuses_is_quarantined_record_by_record(db: Engine) -> None:
    harness, shelf = make_stub_harness(db, *(ringg_record(f"call-{n}") for n in range(20)))
    harness.execute("ALTER TABLE warehouse.calls ADD CONSTRAINT closed CHECK (false)")
    harness.sync("ringg")
    assert counts(harness) == (20, 0, 0, 0, 20)
    payloads = {bytes(row["payload"]) for row in harness.rows("SELECT payload FROM ops.quarantine")}
    assert payloads == set(shelf.records)
    assert "constraint closed" in harness.scalar("SELECT DISTINCT reason FROM ops.quarantine")


def test_a_change_that_the_database_refuses_leaves_the_call_as_it_was(db: Engine) -> None:
    harness, shelf = make_stub_harness(
        db, ringg_record("bad", call_cost=1, transcript="user: hello"), ringg_record("b")
    )
    harness.sync("ringg")
    before, turns = call(harness, "bad"), harness.rows("SELECT * FROM warehouse.transcripts")
    harness.execute(REFUSE)
    changed = ringg_record("bad", call_cost=2, transcript="user: hello\nbot: hi")
    assert synced(harness, shelf, changed, ringg_record("b", call_cost=5)) == (2, 0, 1, 0, 1)
    assert (call(harness, "bad"), harness.rows("SELECT * FROM warehouse.transcripts")) == (before, turns)
    assert call(harness, "b")["cost"] == 5
    assert harness.scalar(VERSIONS) == 3


def test_counts_of_a_run_match_the_tables_at_every_request(db: Engine) -> None:
    records = [ringg_record("bad" if n == 17 else f"call-{n}") for n in range(71)]
    harness, shelf = make_stub_harness(db, *records, size=5, requests_per_minute=12)
    harness.execute(REFUSE)
    seen = set()

    def look(number: int) -> None:
        run = harness.rows("SELECT * FROM ops.runs")[0]
        calls = harness.scalar("SELECT count(*) FROM warehouse.calls")
        waiting = harness.scalar("SELECT count(*) FROM ops.quarantine")
        assert (run["inserted"], run["quarantined"]) == (calls, waiting)
        assert run["received"] == calls + waiting + run["unchanged"]
        seen.add(calls)

    shelf.before = look
    harness.sync("ringg")
    assert harness.stored_ids("ringg") == {f"call-{n}" for n in range(71) if n != 17}
    assert len(seen) >= 4  # the number of commits that were checked


def test_a_list_whose_total_counts_a_call_twice_is_read_to_its_end(db: Engine) -> None:
    a, b = ringg_record("a", call_cost=1), ringg_record("a", call_cost=2)
    harness, _ = make_stub_harness(db, a, b, a, ringg_record("b"))
    harness.sync("ringg")
    assert harness.stored_ids("ringg") == {"a", "b"}
