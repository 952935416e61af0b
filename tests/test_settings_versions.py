"""A setting that changes what is stored → which calls were read before it, until a replay reads them anew."""

import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlalchemy import Engine

from etl import pipeline
from etl.db.connections import open_engine
from etl.embedded import Server
from etl.extractors import mapping_version, providers
from etl.model import Lookback, Provider
from etl.reports.status import status
from etl.sandbox.socket_server import Sandbox
from etl.sandbox.world import World
from etl.sync import replay
from tests.commands import run_etl
from tests.harness import NOW, Harness, make_harness
from tests.postgres import database_copy
from tests.stub_provider import StubProvider, make_stub_harness, ringg_record, vaani_record
from tests.test_naive_times import RECORDS
from tests.test_web import plain, seen

KOLKATA = ZoneInfo("Asia/Kolkata")
SETTINGS: dict[str, tuple[str, str, Any]] = {
    "timezone": ("autocalls", "timezone", KOLKATA),
    "timezone of a transcript by request": ("vaani", "timezone", KOLKATA),
    "cost_unit": ("vaani", "cost_unit", "EUR"),
    "phones": ("ravan", "partitions", ("+918040000001",)),
}
ROWS = """
    SELECT provider_call_id, direction, outcome, from_number, to_number, customer_number, agent_number, created_at,
           started_at, answered_at, ended_at, updated_at, duration_seconds, talk_seconds, cost, cost_unit, quality_flags
      FROM warehouse.calls ORDER BY 1
"""
TURNS = """
    SELECT provider_call_id, turn_index, speaker, t.text, spoken_at, offset_seconds
      FROM bi.transcript_turns t JOIN warehouse.calls USING (call_key) ORDER BY 1, 2
"""


@pytest.fixture
def another_db(server: Server, template: str) -> Iterator[Engine]:
    with database_copy(server, template) as name:
        made = open_engine(server.url(name))
        yield made
        made.dispose()


def change(harness: Harness, name: str, **settings: Any) -> None:
    harness.sources[name] = replace(harness.sources[name], **settings)


def said(harness: Harness, name: str) -> str | None:
    """What the status of a source says of calls that were read under other settings."""
    rows = status(harness.db, list(harness.sources.values()), harness.clock.now())
    return next(row["outdated_message"] for row in rows if row["source"] == name)


def replayed(harness: Harness, name: str) -> None:
    report = harness.run(name, lambda run: replay.replay(run, lambda changes: None), "replay")
    assert (report.status, report.error, report.notes) == ("succeeded", None, [])


@pytest.mark.parametrize("setting", SETTINGS)
def test_after_a_change_of_settings_a_replay_makes_of_all_calls_what_a_first_sync_would(
    db: Engine, another_db: Engine, setting: str
) -> None:
    name, field, value = SETTINGS[setting]
    worlds = [World(3, calls=30, days=5, now=NOW) for _ in range(2)]
    changed, fresh = (make_harness(each, world) for each, world in zip((db, another_db), worlds, strict=True))
    changed.sync(name)
    assert said(changed, name) is None
    before = changed.rows(ROWS)
    for harness in (changed, fresh):
        change(harness, name, **{field: value})
    assert re.fullmatch(
        rf"30 calls of \S+ to \S+ read with .*: `etl replay {name}` reads them anew", said(changed, name) or ""
    )
    report = changed.sync(name)
    assert changed.rows(ROWS) == before  # what is known is not read again
    assert report.notes == [said(changed, name)]
    assert changed.sync(name).notes == []  # it is said once
    replayed(changed, name)
    assert said(changed, name) is None
    fresh.sync(name)
    listed = fresh.stored_ids(name)  # with fewer numbers of the account these are fewer
    for query in (ROWS, TURNS):
        assert [row for row in changed.rows(query) if row["provider_call_id"] in listed] == fresh.rows(query)
    assert changed.rows(ROWS) != before
    assert changed.sync(name).counts.updated == 0


def test_new_and_changed_calls_are_read_under_the_new_settings(db: Engine) -> None:
    harness, shelf = make_stub_harness(
        db,
        *(ringg_record(name, created_at=f"2025-04-{day} 10:00:00") for name, day in (("a", 27), ("b", 28), ("c", 29))),
    )
    harness.sync("ringg")
    change(harness, "ringg", timezone=KOLKATA)
    shelf.records[:2] = [
        ringg_record("a", created_at="2025-04-27 10:00:00", call_cost=3),
        ringg_record("d", created_at="2025-04-30 10:00:00"),
    ]
    report = harness.run("ringg", lambda run: pipeline.backfill(run, again=True))
    left = "2 calls of 2025-04-28 to 2025-04-29 read with timezone UTC, now Asia/Kolkata"
    assert said(harness, "ringg") == f"{left}: `etl replay ringg` reads them anew"
    times = {row["id"]: f"{row['created_at']:%H:%M}" for row in harness.rows(
        "SELECT provider_call_id AS id, created_at FROM bi.calls"
    )}  # fmt: skip
    assert times == {"a": "04:30", "b": "10:00", "c": "10:00", "d": "04:30"}
    assert report.status == "succeeded"
    replayed(harness, "ringg")
    assert said(harness, "ringg") is None
    assert harness.scalar("SELECT count(*) FROM bi.calls WHERE created_at::time = '04:30'") == 4


def test_settings_that_change_back_leave_what_was_read_meanwhile(db: Engine) -> None:
    harness, shelf = make_stub_harness(db, ringg_record("a"))
    harness.sync("ringg")
    change(harness, "ringg", region="IN")
    shelf.records[:] = [ringg_record("b", created_at="2025-05-01T11:00:00Z", to_number="9876543210")]
    harness.sync("ringg")
    assert harness.scalar("SELECT to_number FROM warehouse.calls WHERE provider_call_id = 'b'") == "+919876543210"
    change(harness, "ringg", region=None)
    only = "1 call of 2025-05-01 to 2025-05-01 read with region IN, now none: `etl replay ringg` reads them anew"
    assert (said(harness, "ringg"), harness.sync("ringg").notes) == (only, [only])
    change(harness, "ringg", region="US", cost_unit="EUR")
    both = said(harness, "ringg") or ""
    assert both.startswith(
        "1 call of 2025-04-30 to 2025-04-30 read with region none, now US and cost_unit ringg_credits, now EUR; 1 call"
    )
    rows = status(harness.db, [harness.sources["ringg"]], harness.clock.now())
    assert rows[0]["outdated_calls"][0] == {
        "calls": 1, "first_day": "2025-04-30", "last_day": "2025-04-30",
        "changes": {"region": {"was": None, "is": "US"}, "cost_unit": {"was": "ringg_credits", "is": "EUR"}},
    }  # fmt: skip
    replayed(harness, "ringg")
    assert harness.scalar("SELECT to_number FROM warehouse.calls WHERE provider_call_id = 'b'") == "+19876543210"


def test_a_row_with_parts_of_earlier_records_keeps_their_settings(db: Engine) -> None:
    harness, shelf = make_stub_harness(db, vaani_record("a"), vaani_record("b", recording_api="https://h/r"))
    shelf.transcript = {"transcript": "[13:33:20] AGENT: Hello.\n\n[13:33:25] USER: Hi.", "status_code": 200}
    harness.sync("vaani")
    change(harness, "vaani", timezone=KOLKATA)
    # a new version of each: the transcript of both was placed by the old time zone
    shelf.records[:] = [vaani_record("a", call_cost=2), vaani_record("b", call_cost=2)]
    harness.run("vaani", lambda run: pipeline.backfill(run, again=True))
    assert (said(harness, "vaani") or "").startswith("2 calls of 2025-04-30 to 2025-04-30 read with timezone UTC")
    replayed(harness, "vaani")
    assert said(harness, "vaani") is None


def test_numbers_of_the_account_are_shown_by_their_endings(db: Engine) -> None:
    harness = make_harness(db)
    harness.sync("ravan")
    first, *_ = phones = harness.sources["ravan"].partitions
    change(harness, "ravan", partitions=(first,))
    assert f"read with phones {', '.join(f'…{each[-2:]}' for each in sorted(phones))}, now …{first[-2:]}: " in (
        said(harness, "ravan") or ""
    )


def test_calls_whose_payload_is_gone_stay_and_the_replay_says_so(db: Engine) -> None:
    harness, _ = make_stub_harness(db, ringg_record("a"))
    harness.sync("ringg")
    harness.execute("DELETE FROM raw.payloads")
    change(harness, "ringg", region="IN")
    report = harness.run("ringg", lambda run: replay.replay(run, lambda changes: None), "replay")
    assert report.notes == ["1 call stays as it was read: no payload of it is stored that can be read"]


def test_every_door_says_it_until_the_replay(tmp_path: Path, database_url: str) -> None:
    with Sandbox(World(3, calls=20, days=5, now=NOW)) as sandbox:
        given = {**sandbox.environment(), "DATABASE_URL": f"{database_url}?sslmode=disable", "ETL_CONFIG": "a.toml"}
        table = '[sources.autocalls]\nprovider = "autocalls"\napi_key = "env:AUTOCALLS_API_KEY"\n'
        (tmp_path / "a.toml").write_text(table)

        def run(*words: str) -> str:
            done = run_etl(*words, cwd=tmp_path, given=given)
            assert done.returncode == 0, done.stderr
            return done.stdout

        run("sync")
        (tmp_path / "a.toml").write_text(f'{table}timezone = "Asia/Kolkata"\n')
        sentence = re.compile(
            r"20 calls of .* read with timezone UTC, now Asia/Kolkata: `etl replay autocalls` reads them anew"
        )
        doors: dict[str, Callable[[], str]] = {
            "status": lambda: run("status"),
            "status --json": lambda: json.loads(run("status", "--json"))[0]["outdated_message"] or "",
            "check": lambda: run("check"),
        }
        assert {door for door, ask in doors.items() if sentence.search(ask())} == {*doors}
        assert sentence.search(run("sync"))
        assert len(sentence.findall(run("status"))) == 1  # though the run has it in its notes too
        run("replay")
        assert {door for door, ask in doors.items() if "read with" in ask()} == set()


@dataclass
class Filtering(StubProvider):
    """Lists what was created in the window asked for, where it is asked for one, by times of its own zone."""

    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        query, everything = request.url.params, self.records
        if "start_date" in query:
            first, last = (datetime.fromisoformat(query[name]) for name in ("start_date", "end_date"))
            self.records = [each for each in everything if first <= self.created_at(each) <= last]
        answer = super().handle_request(request)
        self.records = everything
        return answer

    def created_at(self, record: bytes) -> datetime:
        return datetime.fromisoformat(json.loads(record)["created_at"]).replace(tzinfo=self.zone)


def test_the_page_says_it_until_the_replay(db: Engine) -> None:
    harness = make_harness(db)
    harness.sync("ringg")
    assert "old settings" not in seen(harness)
    change(harness, "ringg", region="US")
    shown = plain(seen(harness, "/sources/ringg"))
    assert "old settings" in shown
    assert re.search(r"40 calls of \S+ to 2025-05-01 read with region none, now US: etl replay ringg reads them", shown)
    replayed(harness, "ringg")
    assert "old settings" not in seen(harness)


def test_an_edited_file_of_a_provider_is_another_mapping(
    tmp_path: Path,
) -> None:
    """A process that starts after the edit reads new calls by it, and says which were read by the file before."""
    text = Path("etl/extractors/ringg.py").read_text()
    made = list[Provider]()
    for number, edit in enumerate((text, text.replace('fields.text("summary")', 'fields.text("other")') + "# edited")):
        path = tmp_path / f"ringg_{number}.py"
        path.write_text(edit)
        spec = spec_from_file_location(path.stem, path)
        assert spec
        assert spec.loader
        module = sys.modules[path.stem] = module_from_spec(spec)
        spec.loader.exec_module(module)
        made.append(module.PROVIDER)
    assert mapping_version(made[0]) == mapping_version(providers()["ringg"])
    assert mapping_version(made[1]).startswith("file ")


def test_a_source_that_is_no_longer_configured_is_shown_and_asks_for_nothing(tmp_path: Path, database_url: str) -> None:
    with Sandbox(World(3, calls=20, days=5, now=NOW)) as sandbox:
        given = {**sandbox.environment(), "DATABASE_URL": f"{database_url}?sslmode=disable"}
        assert run_etl("sync", "ringg", "vaani", cwd=tmp_path, given=given).returncode == 0
        del given["VAANI_API_KEY"]
        check, status = (run_etl(word, cwd=tmp_path, given=given).stdout for word in ("check", "status"))
        assert "vaani: no longer configured; its stored calls stay, and nothing reads it" in check
        assert re.search(r"^vaani \(not configured\) +20 .* never$", status, re.M)
        assert "replay" not in status


TIMES = [NOW - timedelta(minutes=10 * n) for n in range(120, 0, -1)]
A_SHORT_LOOKBACK = (Lookback(timedelta(hours=1), timedelta(hours=1)),)


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize(("was", "zone"), [("UTC", "Asia/Kolkata"), ("Asia/Kolkata", "UTC"), ("UTC", "Asia/Tokyo")])
def test_another_time_zone_loses_no_call_that_came_before_it_was_set(
    db: Engine, name: str, order: str, was: str, zone: str
) -> None:
    """Read under the old zone, the newest calls lie hours ahead: what comes until then would count as stored."""
    harness, _ = make_stub_harness(db)
    harness.transport = shelf = Filtering(size=5, zone=ZoneInfo(zone))
    change(harness, name, timezone=ZoneInfo(was), lookbacks=A_SHORT_LOOKBACK)

    def listed(count: int) -> list[bytes]:
        records = [json.dumps(RECORDS[name](n, at, zone)).encode() for n, at in enumerate(TIMES[:count])]
        return records if order == "asc" else records[::-1]

    shelf.records[:] = listed(30)
    harness.sync(name)
    change(harness, name, timezone=ZoneInfo(zone))
    shelf.records[:] = listed(len(TIMES))
    harness.clock.sleep(60)
    report = harness.run(name, by_hand=False)
    assert report.error is None
    assert len(harness.stored_ids(name)) == len(TIMES)
    assert harness.run(name, by_hand=False).requests <= 3  # and nothing is read twice from then on
