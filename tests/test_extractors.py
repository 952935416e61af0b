"""What is peculiar to each of the four providers; what holds for every provider is in ``test_conformance.py``."""

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etl.db.engine import as_json
from etl.decode import decode
from etl.extractors import providers
from etl.model import Call, InvalidResponse, Page, PageRequest, RecordContext, TranscriptNotReady, Window
from etl.testing.conformance import survive
from etl.testing.recordings import WINDOW, Recording, make_source, recordings

FIXTURES = Path(__file__).parent / "fixtures"
PROVIDERS = list(providers().values())
RECORDINGS = [case for provider in PROVIDERS for case in recordings(provider, FIXTURES / f"{provider.name}.calls")]
PHONE = "+919876543210"


every_recording = pytest.mark.parametrize("recording", RECORDINGS, ids=lambda case: f"{case.provider.name}-{case.case}")


def test_the_folder_holds_the_four_and_each_has_recorded_pages() -> None:
    assert set(providers()) >= {"autocalls", "ravan", "ringg", "vaani"}
    assert {(each.provider.name, each.case) for each in RECORDINGS} >= {(name, "page") for name in providers()}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20)
    | st.text()
    | st.sampled_from(["completed", "ongoing", "2026-01-01T00:00:00Z", "12.5", PHONE, "[00:00:01] AGENT: a", "[]"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)


@every_recording
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_value_in_any_slot_makes_it_fail(recording: Recording, data: st.DataObject) -> None:
    record = json.loads(data.draw(st.sampled_from(list(recording.page().records))))
    for key in data.draw(st.lists(st.sampled_from(sorted(record)), min_size=1, max_size=4)):
        record[key] = data.draw(json_values)
    survive(recording, as_json(record).encode())


def ask(name: str, position: int = 1, **settings: Any) -> PageRequest:
    """A request for a page of 100 of the window of June 2026."""
    provider = providers()[name]
    return PageRequest(
        make_source(provider, (PHONE,), **settings), WINDOW, position, 100, PHONE if provider.is_partitioned else ""
    )


def read(name: str, envelope: Any, position: int = 1) -> Page:
    """What an answer becomes."""
    return providers()[name].read(ask(name, position), decode(json.dumps(envelope).encode()))


def test_ringg_is_asked_with_both_dates_beyond_the_window_in_whole_seconds() -> None:
    request = providers()["ringg"].ask(ask("ringg", 40))
    assert request.path == "/calling/history"
    assert request.query == {
        "start_date": "2026-06-01T00:00:00+00:00",
        "end_date": "2026-06-12T09:30:02+00:00",
        "limit": "100",
        "offset": "40",
    }


def test_ringg_asks_one_second_past_an_end_on_the_second() -> None:
    end = datetime(2026, 6, 2, tzinfo=UTC)
    wanted = PageRequest(ask("ringg").source, Window(end - timedelta(days=1), end), 0, 100)
    assert providers()["ringg"].ask(wanted).query["end_date"] == "2026-06-02T00:00:01+00:00"


def test_autocalls_is_asked_for_a_day_more_on_each_side_in_the_zone_of_the_account() -> None:
    utc = providers()["autocalls"].ask(ask("autocalls"))
    assert utc.path == "/user/calls"
    assert utc.query == {"date_from": "2026-05-31", "date_to": "2026-06-13", "per_page": "100", "page": "1"}
    west = providers()["autocalls"].ask(ask("autocalls", timezone=ZoneInfo("America/Los_Angeles")))
    assert (west.query["date_from"], west.query["date_to"]) == ("2026-05-30", "2026-06-13")


def test_ravan_is_asked_per_number_with_transcripts() -> None:
    request = providers()["ravan"].ask(ask("ravan", 3))
    assert request.path == "/api/v1/calling/phone-history"
    assert request.query == {"phone": PHONE, "page": "3", "page_size": "100", "include_transcripts": "true"}


def test_vaani_is_asked_by_page() -> None:
    request = providers()["vaani"].ask(ask("vaani", 2))
    assert (request.path, request.query) == ("/api/call-history", {"page": "2", "page_size": "100"})


@pytest.mark.parametrize(
    ("name", "base_url", "header", "page_size"),
    [
        ("ringg", "https://prod-api.ringg.ai/ca/api/v0", ("X-API-KEY", "k"), 100),
        ("ravan", "https://api.ravan.ai", ("X-Api-Key", "k"), 100),
        ("autocalls", "https://app.autocalls.ai/api", ("Authorization", "Bearer k"), 100),
        ("vaani", "https://api.vaanivoice.ai", ("X-API-KEY", "k"), 200),
    ],
)
def test_the_defaults_are_the_documented_ones(
    name: str, base_url: str, header: tuple[str, str], page_size: int
) -> None:
    provider = providers()[name]
    assert (provider.base_url, provider.credential("k"), provider.page_size) == (base_url, header, page_size)


FOREIGN = [
    ("ringg", {"calls": [], "offset": 100}),
    ("ravan", {"calls": [], "page": 2}),
    ("ravan", {"calls": [], "phone": "+14155550100"}),
    ("autocalls", {"data": [], "current_page": 2}),
    ("vaani", {"data": [], "pagination": {"page": 9}}),
]


@pytest.mark.parametrize(("name", "envelope"), FOREIGN)
def test_the_response_to_another_request_is_refused(name: str, envelope: Any) -> None:
    with pytest.raises(InvalidResponse, match="another request"):
        read(name, envelope)


BROKEN = [
    ("ringg", {"error": {"code": "x", "message": "secret text"}}),
    ("ringg", {"calls": None}),
    ("ravan", {"success": False, "message": "secret text", "calls": []}),
    ("ravan", {"success": True}),
    ("autocalls", {"message": "secret text"}),
    ("autocalls", {"data": {"id": 1}}),
    ("vaani", {"detail": "secret text"}),
    ("vaani", {"data": "secret text"}),
]


@pytest.mark.parametrize(("name", "envelope"), BROKEN)
def test_a_response_without_its_list_is_an_error_and_no_empty_page(name: str, envelope: Any) -> None:
    with pytest.raises(InvalidResponse) as caught:
        read(name, envelope)
    assert "secret text" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "envelope", "expected"),
    [
        ("ringg", {"calls": [{}], "total": "many", "limit": 50}, (None, 50, None)),
        ("ringg", {"calls": [], "total": 7}, (7, None, None)),
        ("ringg", {"calls": [], "total": "\u200e7\ufeff"}, (7, None, None)),
        ("ringg", {"calls": [], "total": -1, "limit": 0}, (None, None, None)),
        ("ravan", {"calls": [], "total_count": "12", "page_size": 20, "phone": "91 98765 43210"}, (12, 20, None)),
        ("autocalls", {"data": [], "total": True, "per_page": "15", "next_page_url": None}, (None, 15, True)),
        ("autocalls", {"data": [], "next_page_url": "https://x/?page=2"}, (None, None, False)),
        ("autocalls", {"data": []}, (None, None, None)),
        ("vaani", {"data": [], "pagination": {"has_next": False, "total_count": 3}}, (3, None, True)),
        (
            "vaani",
            {"da\u200bta": [], "\ufeffpagination": {"has_next\u2069": False, "\xadtotal_count": 3}},
            (3, None, True),
        ),
        ("vaani", {"data": [], "pagination": {"has_next": "no"}}, (None, None, None)),
        ("vaani", {"data": [], "pagination": []}, (None, None, None)),
    ],
)
def test_total_size_and_end_are_read_from_the_envelope(name: str, envelope: Any, expected: object) -> None:
    page = read(name, envelope, 0 if name == "ringg" else 1)
    assert (page.total, page.size, page.is_last) == expected


START = datetime(2026, 9, 4, 15, 49, 50, tzinfo=UTC)
ROW = {"agent_name": "Maya Support", "created_at": START, "started_at": START, "ended_at": START + timedelta(minutes=2)}
ROW |= {"duration_seconds": Decimal(120), "duration_basis": "timestamps"}
CALL = RecordContext(make_source(providers()["vaani"]), {}, "outbound-1", ROW)


def transcript(answer: Any) -> list[tuple[str, str]]:
    """What Vaani's second request becomes."""
    request = providers()["vaani"].transcript
    assert request
    return [(turn.speaker, turn.text) for turn in request.read(CALL, decode(json.dumps(answer).encode()))]


def test_vaanis_transcript_is_read_in_every_shape() -> None:
    spoken = [("agent", "Hello."), ("customer", "Hi.")]
    for shape in (
        "AGENT: Hello.\n\n USER: Hi.",
        "[00:00:01] AGENT: Hello.\n\n [00:00:03] USER: Hi.",
        [{"role": "agent", "content": "Hello."}, {"role": "user", "content": "Hi."}],
    ):
        assert transcript({"transcript": shape, "status_code": 200}) == spoken


@pytest.mark.parametrize(
    "answer",
    [
        {"transcript": "Transcript not found in Azure Blob Storage", "status_code": 404},
        {"transcript": "Transcript not found in Azure Blob Storage"},
        {"transcript": "AGENT: x", "status_code": "404"},
        {"status_code": 404},
        {"transcript": None, "status_code": 200},
        {"transcript": "  ", "status_code": 200},
        {"transcript": [], "status_code": 200},
    ],
)
def test_vaanis_transcript_that_is_not_ready_is_never_a_transcript(answer: Any) -> None:
    with pytest.raises(TranscriptNotReady):
        transcript(answer)


@pytest.mark.parametrize(
    "answer", [{"detail": "Not Found"}, {"transcript": "oops", "status_code": 500}, {"transcript": 5}]
)
def test_vaanis_response_without_a_transcript_is_invalid(answer: Any) -> None:
    with pytest.raises(InvalidResponse):
        transcript(answer)


@pytest.mark.parametrize(
    ("call_id", "path"),
    [
        ("outbound-1776774443-863aa698", "/api/transcript/outbound-1776774443-863aa698"),
        ("../../admin", "/api/transcript/..%2F..%2Fadmin"),
        ("x?y#z %2f", "/api/transcript/x%3Fy%23z%20%252f"),
        ("अ", "/api/transcript/%E0%A4%85"),
    ],
)
def test_an_id_stays_one_segment_of_the_transcripts_address(call_id: str, path: str) -> None:
    request = providers()["vaani"].transcript
    assert request
    assert request.ask(call_id).path == path


def columns(name: str, **changes: Any) -> dict[str, Any]:
    """The columns of the first record of a provider's page with some fields changed."""
    recording = next(each for each in RECORDINGS if each.provider.name == name and each.case == "page")
    record = {**json.loads(recording.page().records[0]), **changes}
    found = survive(recording, as_json(record).encode())
    assert isinstance(found, Call)
    return dict(found.columns)


RINGG: list[tuple[dict[str, Any], str, bool | None, bool | None]] = [
    ({"status": "registered"}, "in_progress", True, False),
    ({"status": "retry"}, "in_progress", True, False),
    ({"status": "retry", "sub_status": "NO_ANSWER"}, "no_answer", True, False),
    ({"status": "COMPLETED"}, "completed", False, True),
    ({"status": "completed", "credits_processed": False}, "completed", False, False),
    ({"status": "completed", "credits_processed": None}, "completed", False, True),
    ({"status": "forwarded"}, "transferred", False, True),
    ({"status": "forwarded", "sub_status": "no_answer"}, "transferred", False, True),
    ({"status": "forwarded", "voicemail_detected": True}, "voicemail", False, True),
    ({"status": "cancelled"}, "canceled", False, True),
    ({"status": "error"}, "failed", False, True),
    ({"status": "failed", "sub_status": "no-answer"}, "no_answer", False, True),
    ({"status": "failed", "sub_status": "ONGOING"}, "failed", False, True),
    ({"status": "failed", "sub_status": "BUSY", "voicemail_detected": True}, "voicemail", False, True),
    ({"status": "failed", "sub_status": "odd"}, "failed", False, True),
    ({"status": "odd", "sub_status": "busy"}, "busy", None, None),
    ({"status": "odd", "credits_processed": False}, "unknown", None, False),
    ({"status": None}, "unknown", None, None),
    ({"status": 7}, "unknown", None, None),
]


@pytest.mark.parametrize(("changes", "outcome", "is_live", "is_final"), RINGG)
def test_ringgs_outcome_is_voicemail_then_a_transfer_then_sub_status_then_status(
    changes: dict[str, Any], outcome: str, is_live: bool | None, is_final: bool | None
) -> None:
    found = columns("ringg", **changes)
    assert (found["outcome"], found["is_live"], found["is_final"]) == (outcome, is_live, is_final)
    assert found["is_answered"] is (outcome in ("completed", "transferred"))


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"call_status": "User disconnected"}, "completed"),
        ({"call_status": "User disconnected", "user_picked_up_at": None}, "no_answer"),
        ({"call_status": "User disconnected", "End_time": None}, "in_progress"),
        ({"call_status": "Call REJECTED by carrier"}, "busy"),
        ({"call_status": "user_busy"}, "busy"),
        ({"call_status": "Failure: error 480"}, "failed"),
        ({"call_status": "It was unfailing"}, "completed"),
        ({"call_status": "no-answer"}, "no_answer"),
        ({"call_status": "Canceled"}, "canceled"),
        ({"call_status": "Reached voice mail"}, "voicemail"),
        ({"call_status": "Call transferred to a human agent"}, "transferred"),
        ({"call_status": "Forwarded, agent disconnected"}, "transferred"),
        ({"call_status": "Call transferred to voicemail"}, "voicemail"),
        ({"call_status": "Ringing"}, "completed"),
        ({"call_status": "Ringing", "End_time": None}, "in_progress"),
        ({"call_status": None, "user_picked_up_at": ""}, "no_answer"),
    ],
)
def test_vaanis_outcome_is_what_the_text_says_then_what_the_times_say(changes: dict[str, Any], outcome: str) -> None:
    found = columns("vaani", **changes)
    assert found["outcome"] == outcome
    assert found["is_live"] is ("End_time" in changes)
    assert found["is_answered"] is ("user_picked_up_at" not in changes)


@pytest.mark.parametrize(
    ("status", "answered_by", "outcome"),
    [
        ("no-answer", "machine", "voicemail"),
        ("ended_by_assistant", "machine", "completed"),
        ("failed", "human", "failed"),
        ("Ended By Customer", None, "completed"),
        ("teleported", "machine", "voicemail"),
    ],
)
def test_autocalls_machine_is_a_voicemail_unless_there_was_a_talk(
    status: str, answered_by: str | None, outcome: str
) -> None:
    assert columns("autocalls", status=status, answered_by=answered_by)["outcome"] == outcome


@pytest.mark.parametrize(
    ("caller", "callee", "channel", "direction"),
    [
        (PHONE, "+14155550100", "inbound_call", "outbound"),
        ("+14155550100", "+91 98765 43210", "phone", "inbound"),
        (PHONE, PHONE, "phone", "unknown"),
        (PHONE, PHONE, "outbound_call", "outbound"),
        ("", "", "inbound_call", "inbound"),
        ("", "", "web", "web"),
        (None, None, None, "unknown"),
    ],
)
def test_ravans_direction_depends_on_which_number_is_ours(
    caller: str | None, callee: str | None, channel: str | None, direction: str
) -> None:
    found = columns("ravan", caller_number=caller, callee_number=callee, channel=channel)
    assert found["direction"] == direction


@pytest.mark.parametrize(
    ("reason", "who"),
    [
        ("user_hangup", "customer"),
        ("Customer Ended Call", "customer"),
        ("agent-hangup", "agent"),
        ("bot_goodbye", "agent"),
        ("max_duration_reached", "system"),
        ("silence_timeout", "system"),
        ("error", "system"),
        ("no_answer", "unknown"),
        ("battery", "unknown"),
        ("", "unknown"),
        (["user"], "unknown"),
    ],
)
def test_ravans_disconnect_reason_says_who_ended_it_and_is_kept(reason: Any, who: str) -> None:
    found = columns("ravan", disconnect_reason=reason)
    assert found["ended_by"] == who
    assert (found["extra"].get("disconnect_reason") or "") == reason


def test_ringgs_estimate_of_the_end_is_none_while_it_goes_on() -> None:
    assert columns("ringg", status="ongoing")["ended_at"] is None
    over = columns("ringg", status="completed", call_duration="30.25")
    assert over["ended_at"] - over["started_at"] == timedelta(seconds=30, milliseconds=250)
    assert over["duration_basis"] == "estimate"
    assert columns("ringg", call_attempt_time=None)["duration_basis"] == "provider"
    assert columns("ringg", call_duration=None)["duration_basis"] is None
    assert columns("ringg", call_duration=10**15)["ended_at"] is None


def test_a_vaani_call_that_ends_before_it_starts_has_no_duration() -> None:
    found = columns("vaani", End_time="2026-04-21T12:00:00")
    assert (found["duration_seconds"], found["duration_basis"], found["talk_seconds"]) == (None, None, None)
    assert "ends_before_start" in found["quality_flags"]


def test_several_numbers_of_a_ringg_account_are_kept_and_none_is_guessed() -> None:
    several = columns("ringg", call_type="outbound", inbound_from=None, from_numbers=["+918035000001", "+918035000002"])
    assert several["from_number"] is None
    assert several["extra"]["from_numbers"] == ["+918035000001", "+918035000002"]
    one = columns("ringg", call_type="outbound", inbound_from=None, from_numbers=["+918035000001"])
    assert one["from_number"] == one["agent_number"] == "+918035000001"
    assert "from_numbers" not in (one["extra"] or {})


def test_the_documents_name_every_field_that_is_read_and_every_word() -> None:
    said = (FIXTURES.parent.parent / "docs" / "providers.md").read_text()
    for provider in PROVIDERS:
        paths = {path for column in provider.columns.values() for path in column.paths}
        unnamed = {path for path in paths if f"`{path}`" not in said}
        assert unnamed == set()
        assert {column for column in provider.columns if not column.startswith(("is_", "outcome"))} <= set(
            re.findall(r"`(\w+)`", said)
        )
