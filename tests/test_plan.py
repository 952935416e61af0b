"""A record of a call that is not stored → its row as COPY takes it, column by column."""

import hashlib
import pickle
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, SafeUUID

from hypothesis import given
from hypothesis import strategies as st

from etl.extractors import providers
from etl.loader.batch import ReceivedRecord, WriteContext, call_key, read_received
from etl.loader.plan import COLUMNS, Insert, insert, plan, seqs_of
from etl.model import Call, Turn
from etl.testing.recordings import make_source
from etl.transformer import DEFAULTS
from tests.stub_provider import ringg_record

NOW = datetime(2026, 6, 1, tzinfo=UTC)
CTX = WriteContext("ringg", "ringg", 1, NOW, b"key", 3)
RINGG = providers()["ringg"]


def received(seq: int, **columns: Any) -> ReceivedRecord:
    return read_received(RINGG, make_source(RINGG), ringg_record("a", **columns), seq)


def test_each_value_of_a_new_row_stands_in_its_column() -> None:
    columns: dict[str, Any] = {name: f"the {name}" for name in DEFAULTS}
    turns = (Turn("agent", "Hi."), Turn("customer", "Yes."))
    record = ReceivedRecord("call", b"digest", 7, b"{}", "a", call_key("ringg", "a"), seal=5)
    row = insert(CTX, Call("a", columns, turns), record).row
    assert list(row) == list(COLUMNS)
    assert {name: row[name] for name in DEFAULTS} == columns
    assert {name: row[name] for name in COLUMNS if name not in DEFAULTS and name != "transcript_hash"} == {
        "call_key": record.key, "source": "ringg", "provider": "ringg", "provider_call_id": "a",
        "turn_count": 2, "has_transcript": True, "first_seen_at": NOW, "changed_at": NOW, "delisted_at": None,
        "latest_request_seq": 7, "settings_id": 3, "payload_seqs": None, "content_hash": b"digest",
        "previous_content_hashes": None, "customer_id": None, "first_seal": 5,
    }  # fmt: skip
    assert len(row["transcript_hash"]) == 16


def test_a_call_that_comes_twice_in_a_batch_is_one_new_row_of_both() -> None:
    batch = [received(1, name="Asha", transcript="bot: Hi."), received(2, call_cost=2)]
    [change] = plan(CTX, RINGG, batch, {}).changes
    assert isinstance(change, Insert)
    assert (change.row["customer_name"], change.row["cost"], change.row["turn_count"]) == ("Asha", 2, 1)
    assert (list(seqs_of(change.row)), change.row["latest_request_seq"]) == ([1, 2], 2)
    assert change.turns is not None
    assert list(change.records) == batch


@given(st.text(max_size=9), st.text(max_size=40))
def test_a_key_is_a_uuid_of_version_5(source: str, call_id: str) -> None:
    name = f"{source}\x1f{call_id}".encode()
    digest = hashlib.sha1(UUID("6f2b8c1e-6a57-5d0e-9d0c-1f1d3e0b7a42").bytes + name, usedforsecurity=False).digest()
    key = call_key(source, call_id)
    assert key == UUID(bytes=digest[:16], version=5)
    assert (key.version, key.is_safe, pickle.loads(pickle.dumps(key))) == (5, SafeUUID.unknown, key)  # noqa: S301
