"""Records whose bytes come again → known without being read whole, and never for more than they are."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from etl import settings
from etl.extractors import providers
from etl.loader.batch import ReceivedRecord, read_received
from etl.loader.known_bytes import glimpse, seal
from etl.sync.load import receive
from tests.harness import PROVIDERS, Harness, differences, make_harness
from tests.stub_provider import make_stub_harness, ringg_record
from tests.test_batch import call, counts, synced

PROVIDER = providers()["ringg"]
SOURCE = settings.load({"RINGG_API_KEY": "sandbox-ringg-key"}, Path("/nonexistent")).local_sources[0]
RECORD = json.loads(ringg_record("a"))


def received(harness: Harness, *payloads: bytes) -> list[ReceivedRecord]:
    """What a run makes of a response."""
    found: list[ReceivedRecord] = []
    harness.run("ringg", lambda run: found.extend(receive(run, payloads, 1 << 40)))
    return found


@pytest.mark.parametrize("name", PROVIDERS)
def test_what_came_twice_is_known_the_third_time(db: Engine, name: str) -> None:
    harness = make_harness(db)
    for _ in range(3):
        harness.sync(name)
        harness.clock.sleep(3600)
    assert harness.scalar("SELECT count(*) FROM ops.call_last_seen WHERE seal IS NULL") == 0
    key = harness.scalar(
        "SELECT provider_call_id FROM warehouse.calls c JOIN ops.call_last_seen USING (call_key) LIMIT 1"
    )
    [payload] = harness.versions_of(key)
    found: list[ReceivedRecord] = []
    harness.run(name, lambda run: found.extend(receive(run, [payload, payload + b" "], 1 << 40)))
    assert [record.is_whole for record in found] == [False, True]
    known, whole = ((each.call_id, each.key, each.created_at, each.digest, each.seal is None) for each in found)
    assert known == whole
    assert found[0].digest == found[0].stored_digest
    assert differences(harness, name) == []


@pytest.mark.parametrize("name", PROVIDERS)
def test_what_came_once_is_known_the_second_time(db: Engine, name: str) -> None:
    harness = make_harness(db)
    harness.sync(name)
    ids = harness.stored_ids(name)
    payloads = [payload for call_id in ids for payload in harness.versions_of(call_id)[:1]]
    found: list[ReceivedRecord] = []
    harness.run(name, lambda run: found.extend(receive(run, payloads, 1 << 40)))
    assert {record.call_id for record in found if not record.is_whole} == ids


def test_other_bytes_of_the_same_content_are_unchanged_and_then_known(db: Engine) -> None:
    harness, shelf = make_stub_harness(db, ringg_record("a"))
    harness.sync("ringg")
    turned = json.dumps(dict(reversed(RECORD.items()))).encode()
    assert [synced(harness, shelf, each) for each in (ringg_record("a"), turned, turned)] == [(1, 0, 0, 1, 0)] * 3
    assert [each.is_whole for each in received(harness, turned, ringg_record("a"))] == [False, True]


def test_known_bytes_are_written_again_where_another_content_is_stored(db: Engine) -> None:
    harness, shelf = make_stub_harness(db, ringg_record("a", call_cost=1))
    harness.sync("ringg")
    same = ringg_record("a", call_cost=1)
    assert synced(harness, shelf, same) == (1, 0, 0, 1, 0)
    harness.execute("UPDATE warehouse.calls SET cost = 9, content_hash = sha256('other')")
    assert synced(harness, shelf, same) == (1, 0, 1, 0, 0)
    assert call(harness)["cost"] == 1


def test_known_bytes_beside_a_change_of_the_same_call_are_a_change_back(db: Engine) -> None:
    a, b = ringg_record("a", call_cost=1), ringg_record("a", call_cost=2)
    harness, shelf = make_stub_harness(db, a, ringg_record("b"))
    harness.sync("ringg")
    assert synced(harness, shelf, a, ringg_record("b")) == (2, 0, 0, 2, 0)
    shelf.total = 2
    synced(harness, shelf, a, b, a, ringg_record("b"))
    assert call(harness)["cost"] == 1
    assert counts(harness)[1:3] == (0, 0)
    synced(harness, shelf, a, b, ringg_record("b"))
    assert call(harness)["cost"] == 2


ODD: dict[str, Any] = {
    "an invisible character in a key": {"created\u200b_at": "2025-01-02T03:04:05Z"},
    "the same key twice": '{"id": "a", "created_at": "2025-01-02T03:04:05Z", "id": "b"}',
    "no time": {"id": "a"},
    "no id": {"created_at": "2025-01-02T03:04:05Z"},
    "a NUL in the id": {"id": "a\0", "created_at": "2025-01-02T03:04:05Z"},
    "a number as id": {"id": 12.0, "created_at": 1735787045.25},
    "an enormous number": '{"id": "a", "created_at": 1e999}',
    "no object": "[1]",
    "cut off": '{"id": "a"',
}


@pytest.mark.parametrize("odd", ODD)
def test_a_glimpse_is_taken_only_for_what_the_record_is(odd: str) -> None:
    record = ODD[odd]
    payload = (record if isinstance(record, str) else json.dumps(RECORD | record, ensure_ascii=False)).encode()
    assert_same(payload)


values = st.one_of(
    st.none(), st.text(max_size=4), st.integers(), st.floats(), st.sampled_from(["2025-01-02T03:04:05Z"])
)
keys = st.sampled_from(["id", "created_at", "created_at\u200b", "i\u200bd", "other"])


@given(pairs=st.lists(st.tuples(keys, values), max_size=5))
def test_any_glimpse_is_taken_only_for_what_the_record_is(pairs: list[tuple[str, Any]]) -> None:
    text = ", ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in pairs)
    assert_same(f"{{{text}}}".encode())


def assert_same(payload: bytes) -> None:
    """Whoever takes a glimpse for the record that was read whole, because their seals are equal, knows it."""
    whole, seen = read_received(PROVIDER, SOURCE, payload, 1), glimpse(PROVIDER, SOURCE, payload, 1)
    is_taken = seal(PROVIDER, whole, whole.digest) == seal(PROVIDER, seen, whole.digest)
    if is_taken and whole.key is not None and whole.key == seen.key:
        assert (whole.call_id, whole.created_at) == (seen.call_id, seen.created_at)
