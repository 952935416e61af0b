"""A record's bytes → a call or a reject: what holds for every provider and for any bytes."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.db.tables import calls
from etl.extractors import providers
from etl.fields.vocabulary import FLAGS
from etl.model import Call, Reject, Turn
from etl.testing.recordings import make_source, transform
from etl.transformer import DEFAULTS, MAX_DRIFT

PROVIDERS = list(providers().values())
THE_LOADERS = {
    "call_key", "source", "provider", "provider_call_id", "turn_count", "has_transcript", "first_seen_at", "changed_at",
    "delisted_at", "latest_request_seq", "payload_seqs", "content_hash", "previous_content_hashes", "transcript_hash",
    "customer_id", "settings_id", "first_seal",
}  # fmt: skip
IDS = {"ringg": "id", "ravan": "id", "autocalls": "id", "vaani": "call_id"}
TIMES = {"ringg": "created_at", "ravan": "created_at", "autocalls": "created_at", "vaani": "Start_time"}


def result(name: str, record: Any) -> Call | Reject:
    """Transform a record, given as a value or as bytes."""
    payload = record if isinstance(record, bytes) else json.dumps(record).encode()
    provider = providers()[name]
    return transform(provider, make_source(provider, ("+919876543210",)), payload)


def least(name: str, **more: Any) -> dict[str, Any]:
    """The smallest record that is a call."""
    return {IDS[name]: "c-1", TIMES[name]: "2026-01-02T03:04:05Z", **more}


def call(name: str, **more: Any) -> Call:
    """Transform the smallest record with more fields."""
    found = result(name, least(name, **more))
    assert isinstance(found, Call)
    return found


def test_the_columns_are_those_of_the_table_that_the_loader_does_not_fill() -> None:
    assert set(DEFAULTS) == {column.name for column in calls.columns} - THE_LOADERS


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_every_mapped_column_is_a_column(provider: Any) -> None:
    assert set(provider.columns) <= set(DEFAULTS) - {"created_at", "extra", "quality_flags"}


@pytest.mark.parametrize("name", sorted(IDS))
def test_an_id_and_a_time_are_enough(name: str) -> None:
    found = call(name)
    assert found.provider_call_id == "c-1"
    assert found.columns["created_at"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (found.turns, found.drift, found.columns["extra"], found.columns["quality_flags"]) == ((), (), None, [])
    not_null = {column.name for column in calls.columns if not column.nullable} - THE_LOADERS
    assert all(found.columns[column] is not None for column in not_null)


@pytest.mark.parametrize("name", sorted(IDS))
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": None}, "the record has no usable id"),
        ({"id": " "}, "the record has no usable id"),
        ({"id": {"a": 1}}, "the record has no usable id"),
        ({"time": None}, "created_at is missing"),
        ({"time": ""}, "created_at is missing"),
        ({"time": "soon"}, "created_at is not a time"),
        ({"time": "1970-01-01T00:00:00Z"}, "created_at is not a time"),
        ({"time": "9999-12-31T23:59:59-12:00"}, "created_at is not a time"),
        ({"time": ["2026"]}, "created_at is not a time"),
    ],
)
def test_a_record_without_id_or_time_is_a_reject_with_its_reason(
    name: str, change: dict[str, Any], reason: str
) -> None:
    keys = {"id": IDS[name], "time": TIMES[name]}
    found = result(name, least(name, **{keys[key]: value for key, value in change.items()}))
    assert isinstance(found, Reject)
    assert found.reason == reason
    assert found.provider_call_id == (None if "id" in change else "c-1")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"[]", "the record is not an object"),
        (b"7", "the record is not an object"),
        (b'{"id": "a", "id": "b"}', "it has a duplicate key"),
        (b'{"id": "a"', "it is not JSON"),
        (b'{"id": ' + b"[" * 99 + b"]" * 99 + b"}", "it is nested deeper than 64 levels"),
    ],
)
def test_bytes_that_are_no_record_are_a_reject_with_their_reason(payload: bytes, reason: str) -> None:
    found = result("ringg", payload)
    assert isinstance(found, Reject)
    assert found.reason == reason


@settings(max_examples=200)
@given(st.sampled_from(sorted(IDS)), st.binary(max_size=80))
def test_no_bytes_make_it_fail(name: str, payload: bytes) -> None:
    assert isinstance(result(name, payload), Call | Reject)


def test_a_number_that_is_none_is_a_null_column_and_a_flag() -> None:
    found = result(
        "ringg", b'{"id": "a", "created_at": "2026-01-02T03:04:05Z", "call_cost": NaN, "call_duration": 1e400}'
    )
    assert isinstance(found, Call)
    assert (found.columns["cost"], found.columns["duration_seconds"]) == (None, None)
    assert found.columns["quality_flags"] == ["number_unreadable"]


def test_a_text_that_cannot_be_stored_is_repaired_and_said() -> None:
    found = result("ringg", b'{"id": "a", "created_at": "2026-01-02T03:04:05Z", "name": "x\\u0000y", "n\\ud800": 1}')
    assert isinstance(found, Call)
    assert found.columns["customer_name"] == "x\ufffdy"
    assert found.columns["extra"] == {"n\ufffd": 1}
    assert found.columns["quality_flags"] == ["text_repaired"]


def test_ids_that_cannot_be_stored_apart_are_no_ids() -> None:
    found = result("ringg", b'{"id": "a\\u0000", "created_at": "2026-01-02T03:04:05Z"}')
    assert isinstance(found, Reject)
    assert found.reason == "the record has no usable id"


def test_false_and_nought_are_kept_and_what_is_empty_is_not() -> None:
    kept = {"a": False, "b": 0, "c": "x", "d": [None]}
    found = call("vaani", **kept, e=None, f="", g=" ", h=[], i={}, callback_requested=False)
    assert found.columns["extra"] == {**kept, "callback_requested": False}


def test_what_is_left_of_a_partly_read_object_is_kept() -> None:
    agent = {"id": "a", "agent_name": "", "agent_version_id": "v3", "mood": 1, "none": None}
    found = call("ringg", agent=agent)
    assert [found.columns[name] for name in ("agent_id", "agent_name", "agent_version")] == ["a", None, "v3"]
    assert found.columns["extra"] == {"agent": {"mood": 1}}
    assert {drift.field for drift in found.drift} == {"agent.mood", "agent.none"}


def test_an_agent_that_is_a_text_is_kept_and_said() -> None:
    found = call("ringg", agent="Renewals")
    assert found.columns["agent_id"] is None
    assert found.columns["extra"] == {"agent": "Renewals"}
    assert [(drift.field, drift.detail) for drift in found.drift] == [("agent", "string")]


@pytest.mark.parametrize("value", [12, True, {"a": ["b"]}])
@pytest.mark.parametrize(
    ("name", "field"), [("ringg", "transcript"), ("ravan", "transcripts"), ("vaani", "chat_history")]
)
def test_what_is_no_transcript_is_kept_and_said(name: str, field: str, value: Any) -> None:
    found = call(name, **{field: value})
    assert found.turns == ()
    assert found.columns["extra"] == {field: value}
    assert found.columns["quality_flags"] == ["type_unexpected"]


def test_a_thousand_new_fields_are_kept_and_said_within_bounds() -> None:
    found = call("ringg", **{f"{n:04d}" * 40: n for n in range(1000)})
    assert len(found.columns["extra"]) == 1000
    assert len(found.drift) == MAX_DRIFT
    assert max(len(drift.field) for drift in found.drift) <= 80


def test_a_word_in_a_column_that_holds_it_is_not_kept_twice() -> None:
    found = call("ringg", status="teleported")
    assert found.columns["provider_status"] == "teleported"
    assert found.columns["extra"] is None
    assert [tuple(drift) for drift in found.drift] == [("status", "unknown_word", "teleported")]


def test_vaanis_free_text_is_never_drift() -> None:
    assert call("vaani", call_status="Mr. Rao asked for a call back on +91 98765 43210").drift == ()


def test_no_flag_is_without_its_sentence() -> None:
    odd = {
        "ringg": {"call_cost": "₹5", "call_duration": -1, "to_number": "5", "call_attempt_time": "x", "agent": 5},
        "ravan": {
            "cost_total": "-1",
            "twilio_cost": 1,
            "model_cost": 1,
            "started_at": "1999-01-01T00:00:00Z",
            "call_latency_ms": "slow",
            "transcripts": [{"message": {"role": "user", "content": "x"}, "timestamp_ms": 5}],
        },
        "vaani": {"End_time": "2026-01-01T00:00:00", "duration_ms": 99999},
    }
    for name, fields in odd.items():
        flags = call(name, **fields).columns["quality_flags"]
        assert flags
        assert set(flags) <= FLAGS.keys()


SPOKEN = [
    ("2026-01-02T03:04:04Z", None),  # before the call
    ("2026-01-02T03:04:06Z", datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)),
    (1767323050000, datetime(2026, 1, 2, 3, 4, 10, tzinfo=UTC)),
    ("1767323050", datetime(2026, 1, 2, 3, 4, 10, tzinfo=UTC)),
    (1767323051000, None),  # after its end
    ("later", None),
]


@pytest.mark.parametrize(("said", "spoken_at"), SPOKEN)
def test_a_turns_time_is_kept_where_it_falls_within_the_call(said: Any, spoken_at: datetime | None) -> None:
    found = call(
        "ravan",
        started_at="2026-01-02T03:04:06Z",
        ended_at="2026-01-02T03:04:10Z",
        transcripts=[{"role": "agent", "message": "Hi", "timestamp_ms": said}],
    )
    offset = None if spoken_at is None else (spoken_at - found.columns["started_at"]).total_seconds()
    assert found.turns == (Turn("agent", "Hi", spoken_at, offset),)
    assert ("turn_time_outside_call" in found.columns["quality_flags"]) is (spoken_at is None)


def test_an_earlier_start_than_the_record_opens_the_call() -> None:
    found = call(
        "ravan",
        started_at="2026-01-02T03:04:00Z",
        transcripts=[{"role": "agent", "message": "Hi", "created_at": "2026-01-02T03:04:01Z"}],
    )
    assert found.turns[0].offset_seconds == 1


@pytest.mark.parametrize(
    ("analysis", "sentiment"),
    [
        ({"sentiment": "positive"}, "positive"),
        ({"sentiment": {"type": "string", "value": "neutral"}}, "neutral"),
        ({"sentiment": 0.5}, "0.5"),
        ({"sentiment": True}, "true"),
        ({"sentiment": ["a"]}, None),
        ({"sentiment": {"value": {}}}, None),
        ({"mood": "positive"}, None),
        ([{"name": "Sentiment", "value": "bad"}], "bad"),
        ([{"name": "goal", "value": "x"}, 5, None], None),
        ("positive", None),
        ({"sentiments": "positive"}, "positive"),
        ({"sentiments": {"type": "string", "value": "negative"}}, "negative"),
        ({"Sentiments": {"overall": "mixed", "customer": "calm"}}, "mixed"),
        ({"call_sentiment": {"label": "neutral", "score": 0.9}}, "neutral"),
        ({"custom": {"user_sentiment": "positive"}}, "positive"),
        ({"sentiment": "", "sentiments": "positive"}, "positive"),
        ({"\u200bsentiment": "\u200bpositive"}, "positive"),
        ({"sentiment": "NaN"}, None),
        ({"sentiment": {"type": "string", "value": "None"}}, None),
        ([{"name": "Overall sentiment", "type": "string", "value": "bad"}], "bad"),
    ],
)
def test_the_sentiment_is_the_item_of_that_name(analysis: Any, sentiment: str | None) -> None:
    assert call("ravan", post_call_analysis_result=analysis).columns["sentiment"] == sentiment


def test_a_column_that_needs_one_read_after_it_is_an_error() -> None:
    ringg = providers()["ringg"]
    late = replace(ringg, columns=dict(list(ringg.columns.items())[::-1]))
    with pytest.raises(ValueError, match="ringg: column duration_basis needs duration_seconds, ended_at"):
        transform(late, make_source(late), b'{"id": "a", "created_at": "2026-06-01T00:00:00Z"}')


@pytest.mark.parametrize(
    ("stated", "analysis", "summary"),
    [
        ("Stated.", {"summary": "Inside."}, "Stated."),
        ("", {"summary": "Inside."}, "Inside."),
        (None, {"summary": {"type": "string", "value": "Inside."}}, "Inside."),
        ("None", {"Call Summary": "Inside."}, "Inside."),
        ("\ufeff", {"custom": {"call_summary": {"value": "Inside."}}}, "Inside."),
        ("", [{"name": "summary", "type": "string", "value": "Inside."}], "Inside."),
        ("", {"summary": {"type": "string", "value": ""}}, None),
        ("", {"summary": ["a"]}, None),
    ],
)
def test_a_summary_inside_the_analysis_is_taken_where_none_is_stated(
    stated: str | None, analysis: Any, summary: str | None
) -> None:
    assert call("ravan", summary=stated, post_call_analysis_result=analysis).columns["summary"] == summary
    if isinstance(analysis, dict):
        assert call("vaani", call_summary=stated, call_entity=analysis).columns["summary"] == summary
    if stated != "Stated.":
        assert call("autocalls", evaluation=analysis).columns["summary"] == summary


NO_TIMES = [
    "NaN",
    "None",
    "NA",
    "null",
    "-",
    "\u200bNaN",
    False,
    0,
    "0",
    "0001-01-01T00:00:00",
    "0000-00-00 00:00:00",
    [1],
]
ENDED = {"End_time": "2026-01-02T03:05:05", "user_picked_up_at": "2026-01-02T03:04:35"}
ENDED |= {"post_processing_status": "completed", "call_status": "User disconnected"}
DERIVED_OF_TIMES = {
    "is_live", "is_final", "is_answered", "outcome", "started_at", "answered_at", "ended_at", "updated_at",
    "duration_seconds", "duration_basis", "talk_seconds",
}  # fmt: skip


@pytest.mark.parametrize("value", NO_TIMES)
@pytest.mark.parametrize(
    ("name", "field", "record"),
    [
        ("vaani", "End_time", ENDED),
        ("vaani", "user_picked_up_at", ENDED),
        ("vaani", "call_dialing_at", ENDED),
        ("ravan", "ended_at", {"status": "completed", "started_at": "2026-01-02T03:04:05Z"}),
        ("ravan", "started_at", {"status": "completed", "ended_at": "2026-01-02T03:05:05Z"}),
        ("ringg", "call_attempt_time", {"status": "completed", "call_duration": 5}),
        ("autocalls", "updated_at", {"status": "completed"}),
    ],
)
def test_what_is_no_time_is_as_good_as_null_for_all_that_follows_from_it_and_is_flagged(
    value: Any, name: str, field: str, record: dict[str, Any]
) -> None:
    found, null = (call(name, **{**record, field: given}).columns for given in (value, None))
    assert {column: found[column] for column in DERIVED_OF_TIMES} == {
        column: null[column] for column in DERIVED_OF_TIMES
    }
    assert set(found["quality_flags"]) & {"time_unreadable", "time_implausible", "type_unexpected"}


def test_a_vaani_call_without_a_readable_time_never_ended_or_was_never_answered() -> None:
    live, unanswered = (call("vaani", **{**ENDED, key: "NaN"}).columns for key in ("End_time", "user_picked_up_at"))
    assert [live[name] for name in ("outcome", "is_live", "is_final", "is_answered")] == [
        "in_progress",
        True,
        False,
        True,
    ]
    assert [unanswered[name] for name in ("outcome", "is_live", "is_answered")] == ["no_answer", False, False]


@pytest.mark.parametrize("value", ["NaN", "None", "null", "NA", "\u200b", "undefined"])
def test_a_word_for_no_value_is_as_good_as_null(value: str) -> None:
    for name, changes in {
        "ringg": ("sub_status", "voicemail_detected", "credits_processed", "call_type"),
        "ravan": ("disconnect_reason", "channel"),
        "autocalls": ("answered_by", "type"),
        "vaani": ("post_processing_status", "direction", "call_type", "call_entity"),
    }.items():
        for field in changes:
            found, null = (call(name, status="completed", **{field: given}) for given in (value, None))
            hidden = {column: row.columns[column] for row in (found, null) for column in ("extra",)}
            assert {**found.columns, **hidden} == {**null.columns, **hidden}
            assert [drift for drift in found.drift if drift.kind == "unknown_word"] == []
    assert call("ringg", call_type="unheard", inbound_from=value, from_numbers=["+918035000001"]).columns["from_number"]


def test_one_customer_is_one_number_in_every_notation() -> None:
    written = [
        "+91 98765-43210",
        "whatsapp:+919876543210",
        "\u202a+919876543210\u202c",
        "+९१९८७६५४३२१०",
        "tel:+919876543210,12",
    ]
    numbers = {call("ringg", call_type="outbound", to_number=number).columns["customer_number"] for number in written}
    numbers |= {
        call("ringg", call_type="inbound", inbound_from=number).columns["customer_number"] for number in written
    }
    numbers |= {call("autocalls", client_phone_number=number).columns["customer_number"] for number in written}
    assert numbers == {"+919876543210"}


@pytest.mark.parametrize("mark", ["\u200f", "\ufeff", "\u200b", "\u2068"])
def test_an_invisible_character_is_visible_in_no_key(mark: str) -> None:
    plain = {
        **least("ringg"),
        "status": "completed",
        "agent": {"id": "a-1", "agent_name": "Maya"},
        "name": "Asha",
        "x": 1,
    }
    marked = {
        f"{mark}{key}": {f"{name}{mark}": f"{mark}{inner}" for name, inner in value.items()}
        if isinstance(value, dict)
        else f"{mark}{value}{mark}"
        if isinstance(value, str)
        else value
        for key, value in plain.items()
    }
    assert result("ringg", marked) == result("ringg", plain)
    assert result("ringg", json.dumps(marked, ensure_ascii=False).encode()) == result("ringg", plain)
    twice = result("ringg", {**plain, f"id{mark}": "c-2"})
    assert isinstance(twice, Reject)
    assert twice.reason == "it has a duplicate key"


AUTOCALLS = {"assistant_name": "Maya Rao", "duration": 42, "created_at": "2026-01-02T13:33:05Z"}


@pytest.mark.parametrize(
    ("stamp", "spoken_at", "offset"),
    [
        ("13:33:14", datetime(2026, 1, 2, 13, 33, 14, tzinfo=UTC), None),
        ("2026-01-02 13:33:14", datetime(2026, 1, 2, 13, 33, 14, tzinfo=UTC), None),
        ("01:33:14 PM", datetime(2026, 1, 2, 13, 33, 14, tzinfo=UTC), None),
        ("12:33:14 AM", None, None),
        ("00:00:12", None, Decimal(12)),
        ("00:00:12 - 00:00:15", None, Decimal(12)),
        ("00:42", None, Decimal(42)),
        ("00:43", None, None),
        ("23:59:59", None, None),
    ],
)
def test_a_time_beside_a_label_is_read_where_the_end_is_an_estimate(
    stamp: str, spoken_at: datetime | None, offset: Decimal | None
) -> None:
    for label in (f"[{stamp}] Assistent:", f"Assistent [{stamp}]:"):
        found = call("autocalls", **AUTOCALLS, transcript=f"{label} Guten Tag!\nKunde: Hallo.")
        assert found.turns == (Turn("agent", "Guten Tag!", spoken_at, offset), Turn("customer", "Hallo."))
        assert ("turn_time_outside_call" in found.columns["quality_flags"]) is (spoken_at is None and offset is None)


def test_a_turn_of_ringg_has_the_time_that_stands_beside_it() -> None:
    turns = [
        {"bot": "Hi", "message_id": "m-1", "timestamp": "2026-01-02T03:04:10.5+00:00"},
        {"user": "Yes", "timestamp": ""},
    ]
    attempt = {"call_attempt_time": "2026-01-02T03:04:06Z", "call_duration": 20, "status": "completed"}
    found = call("ringg", **attempt, transcript=json.dumps(turns))
    moment = datetime(2026, 1, 2, 3, 4, 10, 500_000, tzinfo=UTC)
    assert found.turns == (Turn("agent", "Hi", moment, Decimal("4.5")), Turn("customer", "Yes"))
