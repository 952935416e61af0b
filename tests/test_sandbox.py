"""The sandbox, over HTTP on loopback and in process: what its users may rely on."""

import json
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.sandbox import vaani
from etl.sandbox.catalogue import CATALOGUE
from etl.sandbox.expected import expected_rows
from etl.sandbox.faults import Fault, parse_fault
from etl.sandbox.in_process import SandboxTransport
from etl.sandbox.lifecycle import Stage
from etl.sandbox.socket_server import Sandbox
from etl.sandbox.vendor import Quirks
from etl.sandbox.world import World

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PROVIDERS = ("ringg", "ravan", "autocalls", "vaani")
PATHS = {
    "ringg": "/calling/history",
    "ravan": "/api/v1/calling/phone-history",
    "autocalls": "/user/calls",
    "vaani": "/api/call-history",
}
LISTS = {"ringg": "calls", "ravan": "calls", "autocalls": "data", "vaani": "data"}
IDS = {"ringg": "id", "ravan": "id", "autocalls": "id", "vaani": "call_id"}
Params = dict[str, str | int]


class Clock:
    """A clock that a test moves."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class Reader:
    """Asks one provider of a sandbox, with its key."""

    def __init__(self, client: httpx.Client, environment: dict[str, str], provider: str) -> None:
        self.client, self.provider = client, provider
        self.base = environment[f"{provider.upper()}_BASE_URL"]
        key = environment[f"{provider.upper()}_API_KEY"]
        self.headers = {"Accept": "application/json"} | (
            {"Authorization": f"Bearer {key}"} if provider == "autocalls" else {"X-API-KEY": key}
        )
        self.phones = environment["RAVAN_PHONES"].split(",")

    def get(
        self, params: Params | None = None, path: str = "", headers: dict[str, str] | None = None
    ) -> httpx.Response:
        url = self.base + (path or PATHS[self.provider])
        return self.client.get(url, params=params, headers=self.headers if headers is None else headers)

    def page(self, place: int, size: int, phone: str = "") -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = self.get(self.asking(place, size, phone)).json()[LISTS[self.provider]]
        return records

    def asking(self, place: int, size: int, phone: str = "") -> Params:
        if self.provider == "ringg":
            return {"limit": size, "offset": place * size}
        if self.provider == "autocalls":
            return {"page": place + 1, "per_page": size}
        more: Params = {"phone": phone or self.phones[0], "include_transcripts": "true"}
        return {"page": place + 1, "page_size": size} | (more if self.provider == "ravan" else {})

    def read_all(self, size: int = 20) -> list[dict[str, Any]]:
        """Every record, page by page to the empty one; Ravan's phones one after the other."""
        records = []
        for phone in self.phones if self.provider == "ravan" else [""]:
            place = 0
            while page := self.page(place, size, phone):
                records += page
                place += 1
        return records


def readers(world: World, *faults: Fault) -> Callable[[str], Reader]:
    transport = SandboxTransport(world, faults)
    client = httpx.Client(transport=transport, trust_env=False)
    return lambda provider: Reader(client, transport.environment(), provider)


@pytest.fixture(scope="module")
def served() -> Iterator[Callable[[str], Reader]]:
    """A world of a hundred calls per provider on a real socket."""
    with Sandbox(World(7, now=NOW)) as sandbox, httpx.Client(trust_env=False) as client:
        yield lambda provider: Reader(client, sandbox.environment(), provider)


# ---- determinism, over HTTP and in process


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_same_seed_gives_the_same_bytes_through_socket_and_transport(
    provider: str, served: Callable[[str], Reader]
) -> None:
    twin = readers(World(7, now=NOW))(provider)
    other = readers(World(8, now=NOW))(provider)
    asking = twin.asking(1, 20)
    answer = served(provider).get(asking)
    port = str(urlsplit(served(provider).base).port).encode()
    assert answer.content.replace(b":" + port, b":1") == twin.get(asking).content
    assert other.get(asking).content != twin.get(asking).content
    assert answer.headers["content-encoding"] == "gzip"


def test_environment_names_what_the_contract_names() -> None:
    with Sandbox(World(1, calls=1, now=NOW)) as sandbox:
        environment = sandbox.environment()
    assert environment["RINGG_API_KEY"] == "sandbox-ringg-key"
    assert environment["VAANI_BASE_URL"] == f"{sandbox.origin}/vaani"
    assert set(environment) == {
        *(f"{name.upper()}_{what}" for name in PROVIDERS for what in ("API_KEY", "BASE_URL")), "RAVAN_PHONES",
    }  # fmt: skip


def test_the_ledger_knows_what_was_asked_and_answered() -> None:
    with Sandbox(World(7, now=NOW)) as sandbox, httpx.Client(trust_env=False) as client:
        page = Reader(client, sandbox.environment(), "vaani").page(0, 3)
        line = sandbox.requests[-1]
        assert client.get(sandbox.origin + "/elsewhere").status_code == 404
    assert (line.provider, line.path, line.status, line.at) == ("vaani", "/api/call-history", 200, NOW)
    assert line.query == {"page": "1", "page_size": "3"}
    assert line.ids == tuple(record["call_id"] for record in page)


# ---- keys and parameters


def test_ringg_refuses_a_wrong_key_with_the_page_s_own_body(served: Callable[[str], Reader]) -> None:
    answer = served("ringg").get(headers={"X-API-KEY": "wrong"})
    assert answer.status_code == 401
    assert answer.json() == {"error": {"code": "401 Unauthorized", "message": "Invalid credentials"}}


def test_ravan_takes_a_key_or_a_bearer_token(served: Callable[[str], Reader]) -> None:
    reader = served("ravan")
    asking = reader.asking(0, 1)
    assert reader.get(asking, headers={}).status_code == 401
    assert reader.get(asking, headers={"Authorization": f"Bearer {reader.headers['X-API-KEY']}"}).status_code == 200


def test_autocalls_sends_who_did_not_ask_for_json_to_the_login_page(served: Callable[[str], Reader]) -> None:
    reader = served("autocalls")
    wrong = {"Authorization": "Bearer wrong"}
    page = reader.get(headers={**wrong, "Accept": "*/*"})
    assert page.status_code == 302
    assert page.headers["location"].endswith("/login")
    assert page.headers["content-type"].startswith("text/html")
    assert reader.get(headers={**wrong, "Accept": "application/json"}).status_code == 401


def test_vaani_refuses_a_missing_key_and_knows_no_other_path(served: Callable[[str], Reader]) -> None:
    assert served("vaani").get(headers={}).status_code == 401
    assert served("vaani").get(path="/api/other").status_code == 404


@pytest.mark.parametrize(
    ("provider", "params", "status", "said"),
    [
        ("ringg", {"limit": "0"}, 400, "Invalid value for limit."),
        ("ringg", {"offset": "-1"}, 400, "Invalid value for offset."),
        ("ringg", {"start_date": "yesterday"}, 400, "Invalid date format for start_date."),
        ("ringg", {"end_date": "2026-11-20T00:00:00 00:00"}, 400, "Invalid date format for end_date."),
        ("ravan", {"page": "1"}, 400, "phone is required"),
        ("autocalls", {"page": "x"}, 422, "The page field must be an integer."),
        ("autocalls", {"date_from": "20/11/2026"}, 422, "must match the format Y-m-d"),
        ("vaani", {"page": "x"}, 422, "value is not a valid integer"),
        ("vaani", {"page_size": "0"}, 422, "greater than or equal to 1"),
    ],
)
def test_a_wrong_parameter_is_answered_in_the_provider_s_manner(
    provider: str, params: Params, status: int, said: str, served: Callable[[str], Reader]
) -> None:
    answer = served(provider).get(params)
    assert answer.status_code == status
    assert said in answer.text


@pytest.mark.parametrize(
    ("provider", "default", "largest"),
    [("ringg", 10, 100), ("ravan", 20, 100), ("autocalls", 15, 100), ("vaani", 50, 200)],
)
def test_page_sizes_have_the_documented_default_and_maximum(provider: str, default: int, largest: int) -> None:
    reader = readers(World(7, calls=260, now=NOW, phones=["+918037565218"]))(provider)
    phone: Params = {"phone": reader.phones[0]} if provider == "ravan" else {}
    assert len(reader.get(phone).json()[LISTS[provider]]) == default
    assert len(reader.page(0, 1_000)) == largest


# ---- lists


@pytest.mark.parametrize("order", ["desc", "asc", "unsorted"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_pages_cover_every_call_exactly_once(provider: str, order: str) -> None:
    world = World(7, calls=95, order=order, now=NOW, phones=["+918037565218"])
    ids = [str(record[IDS[provider]]) for record in readers(world)(provider).read_all()]
    oldest_first = [call.call_id for call in world.calls(provider)]
    assert sorted(ids) == sorted(oldest_first)
    assert (ids == oldest_first, ids == oldest_first[::-1]) == (order == "asc", order == "desc")


def test_a_reshuffled_list_has_another_order_at_each_request() -> None:
    reader = readers(World(7, order="reshuffled", now=NOW))("ringg")
    first, second = ([record["id"] for record in reader.page(0, 100)] for _ in range(2))
    assert first != second
    assert sorted(first) == sorted(second)


@settings(max_examples=25, deadline=None)
@given(size=st.integers(1, 130), count=st.integers(0, 60), provider=st.sampled_from(("ringg", "autocalls", "vaani")))
def test_any_page_size_covers_any_number_of_calls(size: int, count: int, provider: str) -> None:
    world = World(3, calls={provider: count}, now=NOW)
    ids = [str(record[IDS[provider]]) for record in readers(world)(provider).read_all(size)]
    assert ids == [call.call_id for call in world.calls(provider)][::-1]


def test_ravan_shows_a_call_under_both_of_its_numbers_and_only_for_the_exact_key() -> None:
    world = World(7, calls=400, now=NOW)
    reader = readers(world)("ravan")
    internal = next(call for call in world.calls("ravan") if call.kind == "internal")
    for phone in (internal.caller, internal.callee):
        records = [record for place in range(5) for record in reader.page(place, 100, phone)]
        assert internal.call_id in {record["id"] for record in records}
        assert all(phone in (record["caller_number"], record["callee_number"]) for record in records)
    assert reader.page(0, 10, "+91 8037565218") == []
    assert {record["id"] for record in reader.read_all(100)} == {call.call_id for call in world.calls("ravan")}


def test_ravan_gives_transcripts_only_for_true_in_lower_case() -> None:
    reader = readers(World(7, now=NOW))("ravan")
    phone: Params = {"phone": reader.phones[0], "page_size": 100}
    assert all("transcripts" in record for record in reader.page(0, 100))
    for asked in ({}, {"include_transcripts": "True"}):
        assert not any("transcripts" in record for record in reader.get({**phone, **asked}).json()["calls"])


def test_ringg_filters_by_instants_and_both_bounds_belong_to_the_window() -> None:
    world = World(7, now=NOW)
    calls = world.calls("ringg")
    chosen = calls[20:41]
    window: Params = {"start_date": chosen[0].created_at.isoformat(), "end_date": chosen[-1].created_at.isoformat()}
    answer = readers(world)("ringg").get({**window, "limit": 50}).json()
    assert [record["id"] for record in answer["calls"]] == [call.call_id for call in reversed(chosen)]
    assert (answer["total"], answer["count"], answer["limit"], answer["offset"]) == (21, 21, 50, 0)


def test_ringg_may_tell_many_instead_of_a_total_and_answers_csv_when_asked() -> None:
    reader = readers(World(7, now=NOW, quirks=Quirks(ringg_total="many")))("ringg")
    assert reader.get().json()["total"] == "many"
    assert reader.get({"download": "true"}).headers["content-type"] == "text/csv"


@pytest.mark.parametrize(("zone", "hours"), [("UTC", 0), ("Asia/Kolkata", 5.5)])
def test_autocalls_filters_by_whole_days_of_its_zone(zone: str, hours: float) -> None:
    world = World(7, calls=300, now=NOW, quirks=Quirks(autocalls_zone=zone))
    answer = (
        readers(world)("autocalls").get({"date_from": "2026-11-10", "date_to": "2026-11-11", "per_page": 100}).json()
    )
    start = datetime(2026, 11, 10, tzinfo=UTC) - timedelta(hours=hours)
    inside = [c for c in world.calls("autocalls") if start <= c.created_at < start + timedelta(days=2)]
    assert [str(record["id"]) for record in answer["data"]] == [call.call_id for call in reversed(inside)]
    assert answer["total"] == len(inside) > 0


def test_autocalls_counts_pages_and_its_next_page_drops_the_filters(served: Callable[[str], Reader]) -> None:
    answer = served("autocalls").get({"type": "outbound", "per_page": 10}).json()
    assert answer["last_page"] == -(-answer["total"] // 10)
    assert urlsplit(answer["next_page_url"]).query == "page=2"
    assert {record["type"] for record in answer["data"]} == {"outbound"}


def test_vaani_says_whether_there_is_another_page(served: Callable[[str], Reader]) -> None:
    pages = [served("vaani").get({"page": page, "page_size": 40}).json()["pagination"] for page in (1, 3)]
    assert pages[0] == {"page": 1, "page_size": 40, "total_count": 100, "total_pages": 3, "has_next": True,
                        "has_previous": False}  # fmt: skip
    assert (pages[1]["has_next"], pages[1]["has_previous"]) == (False, True)


# ---- life


def _life(provider: str, hours: tuple[float, ...]) -> list[dict[str, Any]]:
    """One completed outbound call, shown that many hours after it was created."""
    clock = Clock()
    for seed in range(50):
        world = World(seed, calls=0, clock=clock, now=NOW, phones=["+918037565218"])
        call = world.add(provider)
        lifecycle = world.snapshot(call, NOW).lifecycle
        if (
            lifecycle.outcome == "completed"
            and not lifecycle.is_retried
            and (provider != "ringg" or call.shape("extras", 2))
        ):
            break
    else:
        raise AssertionError("no seed has such a call")
    reader, shown = readers(world)(provider), []
    for after in hours:
        clock.now = NOW + timedelta(hours=after)
        shown += reader.page(0, 10)
        clock.now = NOW
    return shown


def test_a_ringg_call_gets_status_then_credits_then_transcript() -> None:
    live, ended, priced, transcribed = _life("ringg", (0, 0.055, 0.3, 1))
    assert (live["status"], live["call_duration"], live["credits_processed"]) == ("registered", None, False)
    assert ended["status"] in ("completed", "forwarded")
    assert ended["call_cost"] is None
    assert priced["call_cost"] > 0
    assert priced["credits_processed"] is True
    assert not priced["transcript"]
    assert transcribed["transcript"]


def test_a_retried_ringg_call_is_dialled_again_under_the_same_id() -> None:
    clock = Clock()
    world = World(7, calls=0, clock=clock, now=NOW)
    retried = next(
        each for each in (world.add("ringg") for _ in range(200)) if world.snapshot(each, NOW).lifecycle.is_retried
    )
    reader, shown = readers(world)("ringg"), []
    for minutes in (0.2, 2, 30):
        clock.now = NOW + timedelta(minutes=minutes)
        records = [record for place in range(2) for record in reader.page(place, 100)]
        shown.append(next(record for record in records if record["id"] == retried.call_id))
    attempts = [record["call_attempt_time"] for record in shown]
    assert [record["status"] for record in shown][:2] == ["ongoing", "retry"]
    assert attempts[0] == attempts[1] < attempts[2]


def test_a_ravan_call_gets_cost_then_transcript_then_analysis() -> None:
    live, priced, transcribed, evaluated = _life("ravan", (0, 0.3, 1, 40))
    assert (live["status"], live["ended_at"], live["cost_total"]) == ("pending", None, None)
    assert [bool(each["cost_total"]) for each in (live, priced, transcribed, evaluated)] == [False, True, True, True]
    assert [bool(each["transcripts"]) for each in (live, priced, transcribed, evaluated)] == [False, False, True, True]
    assert [bool(each["post_call_analysis_result"]) for each in (priced, transcribed, evaluated)] == [
        False,
        False,
        True,
    ]


def test_an_autocalls_call_moves_its_updated_at_with_each_change() -> None:
    live, priced, transcribed, evaluated = _life("autocalls", (0, 0.3, 1, 40))
    assert (live["status"], live["duration"], live["transcript"]) == ("initiated", None, None)
    assert [bool(each["transcript"]) for each in (priced, transcribed)] == [False, True]
    assert [bool(each["evaluation"]) for each in (transcribed, evaluated)] == [False, True]
    assert live["updated_at"] < priced["updated_at"] < transcribed["updated_at"] < evaluated["updated_at"]


def test_a_vaani_call_is_processed_after_its_end_and_evaluated_a_day_later() -> None:
    shown = _life("vaani", (0, 0.3, 1, 40))
    states = [each["post_processing_status"] for each in shown]
    assert states == ["not_processed", "processing", "completed", "completed"]
    assert [bool(each["End_time"]) for each in shown] == [False, True, True, True]
    assert [bool(each["call_summary"]) for each in shown] == [False, False, True, True]
    assert [bool(each["call_eval_tag"]) for each in shown] == [False, False, False, True]


def test_a_vaani_transcript_is_not_found_until_it_is_ready() -> None:
    clock = Clock()
    world = World(2, calls=0, clock=clock, now=NOW)
    calls = [world.add("vaani") for _ in range(30)]
    calls = [call for call in calls if world.snapshot(call, NOW).lifecycle.turns]
    reader = readers(world)("vaani")
    early = [reader.get(path=f"/api/transcript/{quote(call.call_id, safe='')}") for call in calls]
    clock.now += timedelta(hours=2)
    late = [reader.get(path=f"/api/transcript/{call.call_id}").json()["transcript"] for call in calls]
    assert {answer.status_code for answer in early} == {200, 404}
    assert {answer.json()["transcript"] for answer in early} == {
        "Transcript not found in Azure Blob Storage", "Error retrieving transcript", "Processing"
    }  # fmt: skip
    assert {type(each) for each in late} == {str, list}
    assert any("AGENT: " in each for each in late if isinstance(each, str))
    assert {len(each.partition("]")[0]) for each in late if each[0] == "["} == {9, 20}
    assert reader.get(path="/api/transcript/nobody").status_code == 404


def test_calls_arrive_at_their_rate_and_the_past_can_be_shown_again() -> None:
    clock = Clock()
    world, twin = (World(7, calls=50, clock=clock, now=NOW, per_hour=30) for _ in range(2))
    before = [call.call_id for call in world.calls("ringg")]
    clock.now += timedelta(hours=4)
    after = world.calls("ringg")
    assert 60 < len(after) - len(before) < 180
    assert [call.call_id for call in world.calls("ringg", NOW)] == before
    assert all(call.created_at + timedelta(seconds=1) >= NOW for call in after[len(before) :])
    assert [call.call_id for call in twin.calls("ringg")] == [call.call_id for call in after]


def test_calls_can_be_added_changed_and_taken_away_by_hand() -> None:
    clock = Clock()
    world = World(7, calls=20, clock=clock, now=NOW)
    late = world.add("vaani", NOW - timedelta(days=5), cost=Decimal("9.99"))
    gone = world.calls("vaani")[0]
    clock.now += timedelta(hours=1)
    world.delete("vaani", gone.call_id)
    world.change("vaani", late.call_id, summary="Corrected by hand.")
    records = {record["call_id"]: record for record in readers(world)("vaani").read_all()}
    assert records[late.call_id]["call_cost"] == 9.99
    assert gone.call_id not in records
    assert len(records) == 20
    assert gone.call_id in {call.call_id for call in world.calls("vaani", NOW)}
    with pytest.raises(ValueError, match="has no 'colour'"):
        world.change("vaani", late.call_id, colour="red")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"order": "sideways"}, "unknown order 'sideways'"),
        ({"calls": {"bland": 3}}, "unknown provider 'bland'"),
        ({"calls": -1}, "no fewer than 0 calls"),
        ({"days": 0}, "more than 0 days"),
        ({"phones": []}, "at least one phone"),
    ],
)
def test_a_world_that_cannot_be_says_why(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        World(1, **wrong)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), provider=st.sampled_from(PROVIDERS), minutes=st.tuples(*[st.integers(0, 4000)] * 2))
def test_a_call_never_goes_back(seed: int, provider: str, minutes: tuple[int, int]) -> None:
    world = World(seed, calls={provider: 3}, now=NOW)
    for call in world.calls(provider):
        early, late = (world.snapshot(call, call.created_at + timedelta(minutes=m)).stage for m in sorted(minutes))
        assert Stage.DIALING <= early <= late <= Stage.EVALUATED


# ---- shapes and truth


def _records(provider: str) -> list[dict[str, Any]]:
    return readers(World(7, calls=400, now=NOW))(provider).read_all(100)


def _kinds(values: list[Any]) -> set[str]:
    return {type(value).__name__ for value in values}


def test_ringg_records_come_in_the_page_s_shape_and_in_those_that_were_seen() -> None:
    records = _records("ringg")
    assert {"credits_processed" in record for record in records} == {True, False}
    assert {record["created_at"][-1] == "Z" for record in records} == {True, False}
    texts = [record["transcript"] for record in records if record["transcript"]]
    assert {text.startswith('[{"') for text in texts} == {True, False}
    turns = [frozenset(turn) for text in texts if text[0] == "[" for turn in json.loads(text)]
    beside = {"message_id", "timestamp"}
    assert set(turns) == {
        frozenset({"bot"}), frozenset({"user"}), frozenset({"role", "content"}), frozenset({"bot", *beside}),
        frozenset({"user", *beside}),
    }  # fmt: skip
    assert {text.split(":")[0] for text in texts if text[0] != "["} == {"bot", "user"}
    assert _kinds([record["call_duration"] for record in records]) >= {"int", "float"}
    assert {"agent_version_id" in record["agent"] for record in records} == {True, False}
    assert {record["call_type"] for record in records} == {"inbound", "outbound", "webcall"}
    statuses = {record["status"] for record in records}
    assert statuses >= {"completed", "failed", "error", "cancelled", "forwarded"}


def test_ravan_records_come_in_the_page_s_shape_and_in_those_that_were_seen() -> None:
    records = _records("ravan")
    said = [record["transcripts"] for record in records if record["transcripts"]]
    assert _kinds(said) == {"str", "list"}
    assert _kinds([turn["message"] for turns in said if isinstance(turns, list) for turn in turns]) == {"str", "dict"}
    moods = [record["post_call_analysis_result"].get("sentiment") for record in records]
    assert _kinds(moods) == {"NoneType", "str", "dict"}
    assert {text.split(":")[0] for text in said if isinstance(text, str)} > {"Agent", "User", "", "Support"}
    assert {"sentiments" in record["post_call_analysis_result"] for record in records} == {True, False}
    roles = {turn["role"] for turns in said if isinstance(turns, list) for turn in turns if "role" in turn}
    assert roles == {"agent", "user", ""}
    assert {record["status"] for record in records} >= {"completed", "no_answer", "no-answer", "canceled", "cancelled"}
    assert {record["channel"] for record in records} >= {"phone", "voice", "sip", "inbound_call"}


def test_autocalls_records_come_in_the_page_s_shape_and_in_those_that_were_seen() -> None:
    records = _records("autocalls")
    assert _kinds([record["transcript"] for record in records]) == {"NoneType", "str", "list"}
    texts = [record["transcript"] for record in records if isinstance(record["transcript"], str)]
    assert {text.split(":")[0] for text in texts} == {"AI", "Customer", "Assistent", "Kunde"}
    assert _kinds([record["variables"] for record in records]) == {"list", "dict"}
    assert _kinds([record["evaluation"] for record in records]) == {"list", "dict"}
    assert {len(record["evaluation"]) > 0 for record in records if isinstance(record["evaluation"], list)} == {
        True,
        False,
    }
    assert _kinds([record["total_cost"] for record in records]) == {"NoneType", "str", "float"}
    assert {record["answered_by"] for record in records} == {None, "human", "machine", "unknown"}
    assert {"T" in record["created_at"] for record in records} == {True, False}
    events = [event["type"] for r in records if isinstance(r["transcript"], list) for event in r["transcript"]]
    assert set(events) == {"transcript", "tool_call"}


def test_vaani_records_hold_their_history_sometimes() -> None:
    records = _records("vaani")
    assert {bool(record["chat_history"]) for record in records} == {True, False}
    assert {record["direction"] for record in records} == {"Outbound", "Inbound", "Incoming"}
    assert {record["user_picked_up_at"] for record in records} > {None, "None", "NaN"}
    assert all("+" not in record["Start_time"] and "." in record["Start_time"] for record in records)
    assert all(int(r["call_id"].split("-")[1]) == int(_utc(r["Start_time"]).timestamp()) for r in records)


def _utc(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_truth_agrees_with_what_is_shown(provider: str) -> None:
    world = World(7, calls=200, now=NOW)
    facts = {str(fact["provider_call_id"]): fact for fact in expected_rows(world, provider)}
    records = {str(record[IDS[provider]]): record for record in readers(world)(provider).read_all(100)}
    assert records.keys() == facts.keys()
    cost = {"ringg": "call_cost", "ravan": "cost_total", "autocalls": "total_cost", "vaani": "call_cost"}[provider]
    created = "Start_time" if provider == "vaani" else "created_at"
    for call_id, record in records.items():
        fact = facts[call_id]
        shown = None if record[cost] is None else Decimal(str(record[cost]))
        assert (_utc(record[created]), shown) == (fact["created_at"], fact["cost"])
        printed = json.dumps(record, ensure_ascii=False).replace("\\\\", "\\")
        for _, text in fact["turns"] if provider != "vaani" else ():  # type: ignore[attr-defined]
            assert all(word in printed for word in text.replace('"', " ").split())


def test_the_truth_knows_how_long_calls_took_and_what_vaani_s_transcripts_say() -> None:
    world = World(7, calls=120, now=NOW)
    read = readers(world)
    for provider, key in (("ringg", "call_duration"), ("ravan", "duration_sec"), ("autocalls", "duration")):
        facts = {str(fact["provider_call_id"]): fact["duration_seconds"] for fact in expected_rows(world, provider)}
        shown = {str(record["id"]): record[key] for record in read(provider).read_all(100)}
        assert {i: None if s is None else Decimal(str(s)) for i, s in shown.items()} == facts
    for fact in expected_rows(world, "vaani"):
        said = read("vaani").get(path=f"/api/transcript/{fact['provider_call_id']}").json()["transcript"]
        turns: Any = fact["turns"]
        text = said if isinstance(said, str) else "\n".join(turn["content"] for turn in said)
        assert all(spoken in text for _, spoken in turns)
        assert bool(turns) == (text not in {each["transcript"] for each in vaani.NOT_READY})


def test_the_truth_moves_with_time_and_knows_the_outcomes() -> None:
    world = World(7, calls=400, now=NOW)
    for provider in PROVIDERS:
        outcomes = {str(fact["outcome"]) for fact in expected_rows(world, provider)}
        assert outcomes >= {"completed", "no_answer", "busy", "failed", "in_progress"}, provider
        later = expected_rows(world, provider, NOW + timedelta(days=3))
        assert "in_progress" not in {fact["outcome"] for fact in later}
        assert all(fact["is_final"] for fact in later)


# ---- faults

TWEAKS = {"G13": "cap=10", "H22": "size=2000000", "V07": "size=4000,in=3", "H16": "seconds=30", "H08": "at=15"}


def _trace(provider: str, *faults: Fault) -> list[object]:
    """What seven requests bring, the first three with a filter, one behind the end: status, headers, body or error."""
    world = World(5, calls={provider: 45}, now=NOW, phones=["+918037565218"])
    first, last = (world.calls(provider)[place].created_at for place in (10, 34))
    filters: dict[str, Params] = {
        "ringg": {"start_date": first.isoformat(), "end_date": last.isoformat()},
        "autocalls": {"date_from": f"{first:%Y-%m-%d}", "date_to": f"{last:%Y-%m-%d}"},
    }
    window, reader = filters.get(provider, {}), readers(world, *faults)(provider)
    return [_seen(reader, {**reader.asking(place % 6, 9), **(window if place < 3 else {})}) for place in range(7)]


def _seen(reader: Reader, params: Params) -> object:
    try:
        answer = reader.get(params)
        return answer.status_code, [pair for pair in answer.headers.raw if pair[0] != b"Content-Length"], answer.content
    except httpx.HTTPError as error:
        return type(error).__name__


@pytest.fixture(scope="module")
def faultless() -> dict[str, list[object]]:
    return {provider: _trace(provider) for provider in PROVIDERS}


def _spec(fault_id: str, variant: str) -> str:
    more = [f"variant={variant}", *filter(None, [TWEAKS.get(fault_id, "in=3" if fault_id[0] == "V" else "")])]
    return f"{fault_id}:{','.join(more)}"


@pytest.mark.parametrize("fault_id", [fault_id for fault_id in CATALOGUE if fault_id != "H29"])
def test_every_variant_of_a_fault_is_seen_at_the_wire(fault_id: str, faultless: dict[str, list[object]]) -> None:
    providers = CATALOGUE[fault_id].providers
    assert CATALOGUE[fault_id].sentence.endswith(".")
    for place, variant in enumerate(CATALOGUE[fault_id].variants):
        provider = providers[place % len(providers)]
        fault = parse_fault(_spec(fault_id, variant))
        spoilt = _trace(provider, fault)
        assert spoilt != faultless[provider], f"{variant} of {fault_id} leaves {provider} as it was"
    assert _trace(provider, fault) == spoilt, f"{fault_id} is not the same twice"


def test_a_fault_keeps_to_its_provider_and_to_its_turn() -> None:
    read = readers(World(5, now=NOW), parse_fault("H03:every=3,provider=ringg"))
    assert [read("ringg").get().status_code for _ in range(7)] == [200, 200, 429, 200, 200, 429, 200]
    assert {read("vaani").get().status_code for _ in range(7)} == {200}
    burst = readers(World(5, now=NOW), parse_fault("H06:first=2"))("vaani")
    assert [burst.get().status_code for _ in range(4)] == [500, 500, 200, 200]


def test_spoilt_records_are_one_in_k_the_same_each_time_and_leave_the_others_alone() -> None:
    clean = readers(World(5, now=NOW))("ringg").page(0, 100)
    reader = readers(World(5, now=NOW), parse_fault("V13:in=5,variant=unknown"))("ringg")
    spoilt, again = reader.page(0, 100), reader.page(0, 100)
    assert spoilt == again
    differ = [a["id"] for a, b in zip(clean, spoilt, strict=True) if a != b]
    assert 8 <= len(differ) <= 35
    assert {record["status"] for record in spoilt if record["id"] in differ} == {"teleported"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("H99", "unknown fault 'H99'"),
        ("H01:sometimes", "cannot read 'sometimes'"),
        ("H01:every=", "is no whole number"),
        ("H01:every=0", "counts from 1"),
        ("H01:size=3", "cannot read 'size=3'"),
        ("H02:after=soon", "is no whole number"),
        ("G09:rate=2", "cannot read 'rate=2'"),
        ("H11:provider=ringg", "one of ravan"),
        ("G12:variant=loud", "one of clamped, silent"),
    ],
)
def test_a_fault_that_cannot_be_read_says_why(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_fault(text)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("H16:every=1,seconds=30", httpx.ReadTimeout),
        ("H17:every=1,bytes_per_second=20", None),
        ("H18:every=1,variant=many", httpx.RemoteProtocolError),
        ("H18:every=1,variant=long", httpx.RemoteProtocolError),
        ("H19:every=1,variant=cut", httpx.RemoteProtocolError),
        ("H19:every=1,variant=reset", httpx.ReadError),
    ],
)
def test_faults_of_the_socket_break_a_real_connection(text: str, error: type[Exception] | None) -> None:
    with (
        Sandbox(World(5, now=NOW), [parse_fault(text)]) as sandbox,
        httpx.Client(trust_env=False, timeout=0.5 if error is httpx.ReadTimeout else 30) as client,
    ):
        reader = Reader(client, sandbox.environment(), "vaani")
        if error:
            with pytest.raises(error):
                reader.get()
            return
        with client.stream("GET", reader.base + PATHS["vaani"], headers=reader.headers) as answer:
            dripped = next(answer.iter_raw())
            assert 0 < len(dripped) < int(answer.headers["content-length"])


def test_a_cut_without_length_looks_like_a_whole_answer() -> None:
    with Sandbox(World(5, now=NOW), [parse_fault("H20:every=1")]) as sandbox, httpx.Client(trust_env=False) as client:
        answer = Reader(client, sandbox.environment(), "ringg").get(
            headers={"X-API-KEY": "sandbox-ringg-key", "Accept-Encoding": "identity"}
        )
    assert answer.status_code == 200
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        answer.json()


def test_a_connection_may_be_closed_after_an_answer_that_did_not_say_so() -> None:
    with Sandbox(World(5, now=NOW), [parse_fault("H29:every=1")]) as sandbox:
        host, port = sandbox.origin.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as raw:
            raw.sendall(b"GET /vaani/api/call-history HTTP/1.1\r\nHost: x\r\n\r\n")
            received = b""
            while chunk := raw.recv(4096):
                received += chunk
    assert received.startswith(b"HTTP/1.1 401")
    assert b"Content-Length" in received
    assert b"Connection: close" not in received


def test_headers_without_end_do_not_end() -> None:
    spec = parse_fault("H18:every=1,variant=endless")
    with Sandbox(World(5, now=NOW), [spec]) as sandbox:
        host, port = sandbox.origin.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as raw:
            raw.sendall(b"GET /vaani/api/call-history HTTP/1.1\r\nHost: x\r\n\r\n")
            received = b""
            while received.count(b"X-Pad") < 3:
                received += raw.recv(4096)
    assert b"\r\n\r\n" not in received


def test_lists_that_move_lose_nothing_that_was_not_taken_away() -> None:
    world = World(5, calls={"vaani": 60}, now=NOW)
    reader = readers(world, parse_fault("G02"), parse_fault("G03:count=1"))("vaani")
    reader.read_all(10)
    at_the_end = {call.call_id for call in world.calls("vaani")}
    assert len(at_the_end) == 60
    assert len(at_the_end & {call.call_id for call in World(5, calls={"vaani": 60}, now=NOW).calls("vaani")}) < 60
