"""The zone of times without an offset, by what the provider itself sent: right, wrong, or nothing says."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlalchemy import Engine

from etl.pipeline import backfill
from etl.reconcile import VerifyRequest, naive_times, verify
from etl.sandbox.socket_server import Sandbox
from etl.sandbox.world import World
from etl.sync import replay
from tests.commands import run_etl
from tests.harness import NOW, Harness, make_harness
from tests.stub_provider import PHONE, StubProvider, make_stub_harness

UTC_ZONE, KOLKATA, BERLIN = "UTC", "Asia/Kolkata", "Europe/Berlin"
Record = dict[str, Any]


def naive(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"


def autocalls(number: int, at: datetime, zone: str) -> Record:
    turns = [{"sender": "bot", "text": "Hello.", "type": "transcript", "timestamp": at.timestamp() + 5}]
    times = {"created_at": naive(at, zone), "updated_at": naive(at + timedelta(minutes=2), zone)}
    return {"id": number, "status": "completed", "type": "outbound", "duration": 60, "transcript": turns, **times}


def ringg(number: int, at: datetime, zone: str) -> Record:
    turns = json.dumps([{"bot": "Hello.", "timestamp": at.timestamp() + 5}])
    times = {"created_at": naive(at, zone), "call_attempt_time": naive(at, zone)}
    return {"id": str(number), "status": "completed", "call_duration": 60, "transcript": turns, **times}


def ravan(number: int, at: datetime, zone: str) -> Record:
    turns = [{"role": "agent", "message": {"content": "Hello."}, "timestamp_ms": int(at.timestamp() + 5) * 1000}]
    times = {"created_at": naive(at, zone), "started_at": naive(at, zone)}
    times["ended_at"] = naive(at + timedelta(minutes=1), zone)
    numbers = {"caller_number": PHONE, "callee_number": "+919876543210"}
    return {"id": str(number), "status": "completed", "duration_sec": 60, "transcripts": turns, **times, **numbers}


def vaani(number: int, at: datetime, zone: str) -> Record:
    times = {"Start_time": naive(at, zone), "user_picked_up_at": naive(at + timedelta(seconds=4), zone)}
    times["End_time"] = naive(at + timedelta(minutes=1), zone)
    turns = [{"role": "agent", "content": "Hello, how can I help?", "timestamp": at.timestamp() + 5},
             {"role": "user", "content": "With my order.", "timestamp": at.timestamp() + 9}]  # fmt: skip
    return {"call_id": str(number), "post_processing_status": "completed", "chat_history": turns, **times}


RECORDS: dict[str, Callable[[int, datetime, str], Record]] = {
    "autocalls": autocalls, "ringg": ringg, "ravan": ravan, "vaani": vaani,
}  # fmt: skip
SUMMER = [NOW - timedelta(days=n, hours=3) for n in range(12)]
YEAR = [NOW - timedelta(days=30 * n, hours=3) for n in range(11)]


def synced(db: Engine, name: str, account: str, configured: str, times: list[datetime]) -> Harness:
    """A source whose account writes times in one zone and is configured with another, once it is read."""
    records = [json.dumps(RECORDS[name](n, at, account)).encode() for n, at in enumerate(times)]
    harness, _ = make_stub_harness(db, *records)
    harness.sources[name] = replace(harness.sources[name], timezone=ZoneInfo(configured))
    harness.sync(name)
    return harness


def reasons(harness: Harness, name: str) -> set[str | None]:
    """What `etl verify` says of the days whose status is unknown."""
    found = list[Any]()
    report = harness.run(name, lambda run: verify(run, VerifyRequest(), found), "verify")
    assert report.error is None
    return {day.reason for day in found if day.status == "unknown" and "without an offset" in str(day.reason)}


def warning(harness: Harness, name: str) -> str | None:
    with harness.db.connect() as connection:
        return naive_times.measured(connection, harness.sources[name]).warning


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("account", [UTC_ZONE, KOLKATA, BERLIN])
def test_the_right_zone_raises_no_doubt(db: Engine, name: str, account: str) -> None:
    harness = synced(db, name, account, account, YEAR)
    assert (warning(harness, name), reasons(harness, name)) == (None, set())


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize(
    ("account", "configured", "times"),
    [
        (UTC_ZONE, KOLKATA, SUMMER),
        (KOLKATA, UTC_ZONE, SUMMER),
        (BERLIN, UTC_ZONE, YEAR),
        (BERLIN, "Africa/Lagos", YEAR),  # right in winter alone
        (UTC_ZONE, "Europe/London", YEAR),
    ],
)
def test_a_wrong_zone_is_named_with_the_one_that_fits_until_it_is_set_and_replayed(
    db: Engine, name: str, account: str, configured: str, times: list[datetime]
) -> None:
    harness = synced(db, name, account, configured, times)
    said = (
        f"the provider writes times without an offset in {account}, not in {configured}: set "
        f'timezone = "{account}" for this source in etl.toml, then run `etl replay {name}`'
    )
    assert (warning(harness, name), reasons(harness, name)) == (said, {said})
    harness.sources[name] = replace(harness.sources[name], timezone=ZoneInfo(account))
    harness.run(name, lambda run: replay.replay(run, lambda changes: None), "replay")
    assert (warning(harness, name), reasons(harness, name)) == (None, set())
    created = harness.rows("SELECT created_at FROM bi.calls ORDER BY created_at DESC")
    assert [row["created_at"] for row in created] == times


def test_times_with_an_offset_need_no_zone(db: Engine) -> None:
    records = [
        json.dumps(autocalls(n, at, UTC_ZONE) | {"created_at": f"{at:%Y-%m-%dT%H:%M:%SZ}", "updated_at": None}).encode()
        for n, at in enumerate(SUMMER)
    ]
    harness, _ = make_stub_harness(db, *records)
    harness.sources["autocalls"] = replace(harness.sources["autocalls"], timezone=ZoneInfo(KOLKATA))
    harness.sync("autocalls")
    with db.connect() as connection:
        assert naive_times.measured(connection, harness.sources["autocalls"]) == naive_times.NaiveTimes(has_any=False)


def test_transcripts_whose_times_are_nonsense_say_nothing(db: Engine) -> None:
    """As the example on Ravan's own page, whose turns lie six months before the call."""
    records = [autocalls(n, at, UTC_ZONE) for n, at in enumerate(SUMMER)]
    for record in records:
        record["transcript"][0]["timestamp"] -= 180 * 86_400
    harness, _ = make_stub_harness(db, *(json.dumps(record).encode() for record in records))
    harness.sync("autocalls")
    assert warning(harness, "autocalls") is None


@pytest.mark.parametrize(("account", "configured"), [(UTC_ZONE, KOLKATA), (KOLKATA, UTC_ZONE), (UTC_ZONE, UTC_ZONE)])
def test_a_change_happened_between_the_response_without_it_and_the_one_with_it(
    db: Engine, account: str, configured: str
) -> None:
    """Without a single time in a transcript."""
    harness, shelf = make_stub_harness(db)
    harness.sources["autocalls"] = replace(harness.sources["autocalls"], timezone=ZoneInfo(configured))
    for hour in range(5):
        at = harness.clock.now()
        harness.clock.sleep(300)
        for status, changed in (("in-progress", at), ("completed", at + timedelta(minutes=6))):
            call = autocalls(hour, at, account) | {"transcript": None, "status": status}
            call["updated_at"] = naive(changed, account)
            shelf.records[:] = [json.dumps(call).encode()]
            harness.run("autocalls", lambda run: backfill(run, again=True))
            harness.clock.sleep(600)
        harness.clock.sleep(3600)
    assert harness.scalar("SELECT count(*) FROM bi.call_changes WHERE field = 'updated_at'") == 5
    said = warning(harness, "autocalls")
    assert (f'set timezone = "{account}"' in said) if said else account == configured


class ByDay(StubProvider):
    """Filters by days of its own zone."""

    zone = ZoneInfo(KOLKATA)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        first, last = (request.url.params[name] for name in ("date_from", "date_to"))
        everything = self.records
        self.records = [each for each in everything if first <= self.day(json.loads(each)) <= last]
        answer = super().handle_request(request)
        self.records = everything
        return answer

    def day(self, record: Record) -> str:
        at = datetime.fromisoformat(record["created_at"])
        return f"{(at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(self.zone):%Y-%m-%d}"


@pytest.mark.parametrize("is_naive", [True, False])
def test_the_zone_of_days_is_recommended_only_where_it_moves_no_time(db: Engine, is_naive: bool) -> None:
    harness, _ = make_stub_harness(db)
    records = [autocalls(n, NOW - timedelta(hours=2 * n), UTC_ZONE) for n in range(200)]
    for record in () if is_naive else records:
        record |= {name: record[name].replace(" ", "T") + "Z" for name in ("created_at", "updated_at")}
    harness.transport = ByDay([json.dumps(record).encode() for record in records])
    harness.sync("autocalls")
    found = list[Any]()
    harness.run("autocalls", lambda run: verify(run, VerifyRequest(), found), "verify")
    if is_naive:  # each call is compared, and its time stays right
        assert {day.status for day in found} <= {"verified", "count_match"}
    else:
        assert {day.reason for day in found} == {
            "the provider counts its days at UTC+05:30, the configured UTC is UTC+00:00: set "
            'timezone = "Asia/Kolkata" for this source in etl.toml'
        }


def test_a_sandbox_of_utc_accounts_configured_with_another_zone_is_found_out(db: Engine) -> None:
    harness = make_harness(db, World(3, calls=200, days=20, now=NOW))
    for name in ("autocalls", "vaani"):
        harness.sync(name)
        assert warning(harness, name) is None
        harness.sources[name] = replace(harness.sources[name], timezone=ZoneInfo(KOLKATA))
        assert 'set timezone = "UTC"' in str(warning(harness, name))
        assert len(reasons(harness, name)) == 1


def test_check_and_verify_say_it_and_verify_does_not_take_it_for_a_gap(tmp_path: Path, database_url: str) -> None:
    with Sandbox(World(3, calls=60, days=5, now=NOW)) as sandbox:
        given = {**sandbox.environment(), "DATABASE_URL": f"{database_url}?sslmode=disable", "ETL_CONFIG": "a.toml"}
        (tmp_path / "a.toml").write_text(
            '[sources.autocalls]\nprovider = "autocalls"\napi_key = "env:AUTOCALLS_API_KEY"\n'
            'timezone = "Asia/Kolkata"\n'
        )
        for words in (["sync"], ["check"], ["verify"], ["status"]):
            done = run_etl(*words, cwd=tmp_path, given=given)
            assert done.returncode == 0, done.stderr
            assert ('set timezone = "UTC" for this source' in done.stdout) == (words != ["sync"])
