"""Records that cannot become rows: they wait with their reason and bytes, count once, and load once they can."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from etl.sandbox.in_process import SandboxTransport
from etl.sandbox.world import World
from etl.state import quarantine
from etl.sync import retry_quarantine
from etl.sync.run import RunResult
from tests.commands import etl
from tests.shelf import Shelf, ringg, shelved
from tests.worlds import NOW, PROVIDERS, House, adds_up, differences, house

BAD = {
    "the record has no usable id": ringg(None),
    "created_at is missing": ringg("bad", created_at=None),
    "created_at is not a time": ringg("bad", created_at="on Tuesday"),
    "the record is not an object": b'"a call"',
    "a key stands twice": b'{"id":"bad","id":"worse","created_at":"2025-04-30T10:00:00Z"}',
}


def waiting(place: House) -> list[dict[str, Any]]:
    return place.rows("SELECT * FROM ops.quarantine ORDER BY quarantine_id")


def synced(place: House, shelf: Shelf, *records: bytes) -> RunResult:
    """A sync an hour later, when the list holds these records."""
    shelf.records = list(records)
    place.clock.sleep(3600)
    report = place.sync("ringg")
    assert adds_up(place)
    return report


def retried(place: House) -> RunResult:
    report = place.run("ringg", retry_quarantine.retry, "replay")
    assert (report.status, report.error, report.requests) == ("succeeded", None, 0)
    assert adds_up(place)
    return report


# -- waiting


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_record_waits_with_its_reason_and_bytes_and_its_neighbours_load(db: Engine, reason: str) -> None:
    place, shelf = shelved(db, ringg("a"), BAD[reason], ringg("b"))
    began = place.clock.now()
    report = place.sync("ringg")
    assert (report.counts.inserted, report.counts.quarantined) == (2, 1)
    [row] = waiting(place)
    assert (row["source"], bytes(row["payload"]), row["resolved_at"]) == ("ringg", BAD[reason], None)
    assert reason in row["reason"] or "twice" in row["reason"]
    assert (row["first_seen_at"], row["last_seen_at"]) == (began, began)
    assert place.one("SELECT quarantined FROM bi.freshness") == 1
    synced(place, shelf, *shelf.records)
    assert waiting(place) == [{**row, "last_seen_at": place.clock.now()}]


@pytest.mark.parametrize(
    ("name", "fault"),
    [(name, fault) for name in PROVIDERS for fault in ("V01:in=6", "V09:in=6")]
    + [("vaani", "V17:variant=null,in=6"), ("autocalls", "V17:variant=text,in=6")],
)
def test_nothing_of_a_list_with_bad_records_is_lost(db: Engine, name: str, fault: str) -> None:
    place = house(db, World(3, calls=60, days=2, now=NOW, phones=("+918040000001",)), fault)
    report = place.sync(name)
    assert adds_up(place)
    assert report.counts.quarantined > 0
    distinct = {bytes(row["payload"]) for row in waiting(place)}
    assert report.counts.quarantined == len(waiting(place)) == len(distinct)
    place.transport = SandboxTransport(place.world)
    place.clock.sleep(90_000)
    place.sync(name)
    assert differences(place, name) == []


def test_a_bad_record_counts_once_in_a_run_wherever_it_is_met(db: Engine) -> None:
    bad = ringg("bad", created_at=None)
    place, _ = shelved(db, bad, ringg("a"), bad, ringg("b"), bad, size=2, requests_per_minute=6)
    report = place.sync("ringg")
    assert (report.counts.inserted, report.counts.quarantined) == (2, 1)
    assert len(waiting(place)) == 1
    assert adds_up(place)


def test_a_link_that_is_signed_anew_makes_no_other_record(db: Engine) -> None:
    link = "https://r.example/1.mp3?X-Amz-Date={0}&X-Amz-Signature={0}"
    place, shelf = shelved(db, ringg("bad", created_at=None, audio_recording=link.format(1)))
    place.sync("ringg")
    for number in (2, 3):
        synced(place, shelf, ringg("bad", created_at=None, audio_recording=link.format(number)))
    [row] = waiting(place)
    assert bytes(row["payload"]) == ringg("bad", created_at=None, audio_recording=link.format(1))
    assert row["last_seen_at"] == place.clock.now()


# -- and no longer


def test_the_call_that_becomes_good_is_loaded_and_waits_no_longer(db: Engine) -> None:
    place, shelf = shelved(db, ringg("bad", created_at=None), ringg(None))
    place.sync("ringg")
    synced(place, shelf, ringg("bad"), ringg(None))
    assert place.holds("ringg") == {"bad"}
    assert [row["resolved_at"] for row in waiting(place)] == [place.clock.now(), None]
    assert place.one("SELECT quarantined FROM bi.freshness") == 1


def test_a_bad_version_of_a_call_that_is_held_hides_no_gap(db: Engine) -> None:
    place, shelf = shelved(db, ringg("a"), ringg("b"), ringg("c"))
    place.sync("ringg")
    synced(place, shelf, ringg("a", created_at=None), ringg("b"), ringg("c"))
    assert [row["resolved_at"] for row in waiting(place)] == [None]
    assert place.one("SELECT completeness FROM ops.streams") == "count_match"
    with place.db.connect() as connection:
        assert quarantine.waiting(connection, "ringg") == 0  # nothing that waits is missing from the warehouse
    assert place.one("SELECT quarantined FROM bi.freshness") == 1


def test_a_retry_loads_what_can_be_loaded_by_now(db: Engine) -> None:
    place, _ = shelved(
        db, ringg("refused", transcript="user: hello", call_cost=3), ringg("bad", created_at=None), ringg("a")
    )
    place.do("ALTER TABLE warehouse.calls ADD CONSTRAINT dear CHECK (cost < 3)")
    place.sync("ringg")
    assert len(waiting(place)) == 2
    place.do("ALTER TABLE warehouse.calls DROP CONSTRAINT dear")
    place.do("UPDATE ops.quarantine SET reason = 'of yesterday'")
    place.clock.sleep(60)
    report = retried(place)
    assert (report.counts.received, report.counts.inserted, report.counts.quarantined) == (2, 1, 1)
    assert place.holds("ringg") == {"a", "refused"}
    loaded, left = sorted(waiting(place), key=lambda row: str(row["provider_call_id"] == "bad"))
    assert (loaded["resolved_at"], left["resolved_at"]) == (place.clock.now(), None)
    assert (loaded["reason"], left["reason"]) == ("of yesterday", "created_at is missing")
    assert place.one("SELECT text FROM bi.transcript_turns") == "hello"
    before = place.written()
    place.clock.sleep(3600)
    place.sync("ringg")
    assert place.written() == before


def test_a_retry_never_overwrites_what_came_since(db: Engine) -> None:
    place, shelf = shelved(db, ringg("a", call_cost=1))
    place.do("ALTER TABLE warehouse.calls ADD CONSTRAINT cheap CHECK (cost > 1)")
    place.sync("ringg")
    place.do("ALTER TABLE warehouse.calls DROP CONSTRAINT cheap")
    synced(place, shelf, ringg("a", call_cost=2))
    place.do("UPDATE ops.quarantine SET resolved_at = NULL")
    retried(place)
    assert place.one("SELECT cost FROM bi.calls") == 2
    assert [row["resolved_at"] for row in waiting(place)] == [place.clock.now()]


# -- the commands


def test_the_commands_list_show_and_retry(db: Engine, database_url: str, tmp_path: Path) -> None:
    bad = ringg("bad", created_at=None, name="Asha")
    place, _ = shelved(db, bad, ringg("refused", call_cost=3))
    place.do("ALTER TABLE warehouse.calls ADD CONSTRAINT dear CHECK (cost < 3)")
    place.sync("ringg")
    place.do("ALTER TABLE warehouse.calls DROP CONSTRAINT dear")
    given = {
        "DATABASE_URL": f"{database_url}?sslmode=disable",
        "RINGG_API_KEY": "sandbox-ringg-key",
        "RINGG_BASE_URL": place.sources["ringg"].base_url,
    }
    number = place.one("SELECT quarantine_id FROM ops.quarantine WHERE provider_call_id = 'bad'")

    listed = etl("quarantine", "list", cwd=tmp_path, given=given)
    assert listed.returncode == 0
    assert f"{number}  ringg  2025-05-01 12:00  created_at is missing\n" in listed.stdout
    assert listed.stderr.startswith("2 records")
    assert "Asha" not in listed.stdout

    shown = etl("quarantine", "show", str(number), cwd=tmp_path, given=given)
    assert (shown.returncode, shown.stdout) == (0, bad.decode() + "\n")
    assert etl("quarantine", "show", "9999", cwd=tmp_path, given=given).returncode == 2

    again = etl("quarantine", "retry", cwd=tmp_path, given=given)
    assert again.returncode == 0
    assert place.holds("ringg") == {"refused"}

    left = etl("quarantine", "list", "--json", cwd=tmp_path, given=given)
    assert [each["quarantine_id"] for each in json.loads(left.stdout)] == [number]
    everything = json.loads(etl("quarantine", "list", "--all", "--json", cwd=tmp_path, given=given).stdout)
    assert {each["quarantine_id"]: each["resolved_at"] is None for each in everything} == {
        row["quarantine_id"]: row["quarantine_id"] == number for row in waiting(place)
    }
    assert all("payload" not in each for each in everything)


# -- drift


def test_what_nobody_expected_is_counted_per_field_and_said_once(db: Engine, caplog: pytest.LogCaptureFixture) -> None:
    odd = {"ai_mood": "Asha is angry", "status": "teleported", "call_duration": ["+919876543210"]}
    place, shelf = shelved(db, ringg("a", **odd), ringg("b", **odd), ringg("c"), size=2)
    place.sync("ringg")
    drift = "SELECT field, kind, detail, record_count FROM ops.schema_drift ORDER BY field"
    found = [tuple(row.values()) for row in place.rows(drift)]
    assert found == [
        ("ai_mood", "new_field", "string", 2),
        ("call_duration", "type", "array", 2),
        ("status", "unknown_word", "teleported", 2),
    ]
    assert [record.getMessage() for record in caplog.records].count("drift") == 3
    synced(place, shelf, ringg("a", **odd), ringg("b", **odd), ringg("c"), ringg("d", **odd))
    assert [record.getMessage() for record in caplog.records].count("drift") == 3
    assert {row["record_count"] for row in place.rows(drift)} == {3}
    first, last = place.rows("SELECT DISTINCT first_seen_at, last_seen_at FROM ops.schema_drift")[0].values()
    assert first < last == place.clock.now()
    assert place.rows("SELECT provider_status, outcome FROM bi.calls WHERE provider_call_id = 'a'") == [
        {"provider_status": "teleported", "outcome": "unknown"}
    ]


def test_a_call_that_was_bad_for_a_while_and_is_as_it_was_waits_no_more(db: Engine) -> None:
    place, shelf = shelved(db, ringg("a", call_cost=1))
    place.sync("ringg")
    shelf.records = [ringg("a", created_at=None)]
    place.sync("ringg")
    assert place.one("SELECT count(*) FROM ops.quarantine WHERE resolved_at IS NULL") == 1
    shelf.records = [ringg("a", call_cost=1)]
    place.sync("ringg")
    assert place.one("SELECT count(*) FROM ops.quarantine WHERE resolved_at IS NULL") == 0
