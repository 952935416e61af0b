"""Records that cannot become rows: quarantined with reason and bytes, counted once, and loaded once they can be."""

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from etl.sandbox.in_process import SandboxTransport
from etl.sandbox.world import World
from etl.state import quarantine
from etl.state.drift import MOST
from etl.sync import replay
from etl.sync.run import MAX_LOGGED_DRIFT, BatchLimits, RunResult, run_source
from tests.commands import run_etl
from tests.harness import NOW, PROVIDERS, Harness, counts_add_up, differences, make_harness
from tests.stub_provider import StubProvider, make_stub_harness, ringg_record

BAD = {
    "the record has no usable id": ringg_record(None),
    "created_at is missing": ringg_record("bad", created_at=None),
    "created_at is not a time": ringg_record("bad", created_at="on Tuesday"),
    "the record is not an object": b'"a call"',
    "duplicate key": b'{"id":"bad","id":"worse","created_at":"2025-04-30T10:00:00Z"}',
}


def waiting(harness: Harness) -> list[dict[str, Any]]:
    return harness.rows("SELECT * FROM ops.quarantine ORDER BY quarantine_id")


def synced(harness: Harness, shelf: StubProvider, *records: bytes) -> RunResult:
    """Sync an hour later, when the list holds these records."""
    shelf.records = list(records)
    harness.clock.sleep(3600)
    report = harness.sync("ringg")
    assert counts_add_up(harness)
    return report


def retried(harness: Harness) -> RunResult:
    report = harness.run("ringg", replay.retry, "replay")
    assert (report.status, report.error, report.requests) == ("succeeded", None, 0)
    assert counts_add_up(harness)
    return report


# -- waiting


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_record_waits_with_its_reason_and_bytes_and_its_neighbours_load(db: Engine, reason: str) -> None:
    harness, shelf = make_stub_harness(db, ringg_record("a"), BAD[reason], ringg_record("b"))
    began = harness.clock.now()
    report = harness.sync("ringg")
    assert (report.counts.inserted, report.counts.quarantined) == (2, 1)
    [row] = waiting(harness)
    assert (row["source"], bytes(row["payload"]), row["resolved_at"]) == ("ringg", BAD[reason], None)
    assert reason in row["reason"]
    assert (row["first_seen_at"], row["last_seen_at"]) == (began, began)
    assert harness.scalar("SELECT quarantined FROM bi.freshness") == 1
    synced(harness, shelf, *shelf.records)
    assert waiting(harness) == [{**row, "last_seen_at": harness.clock.now()}]


@pytest.mark.parametrize(
    ("name", "fault"),
    [(name, fault) for name in PROVIDERS for fault in ("V01:in=6", "V09:in=6")]
    + [("vaani", "V17:variant=null,in=6"), ("autocalls", "V17:variant=text,in=6")],
)
def test_nothing_of_a_list_with_bad_records_is_lost(db: Engine, name: str, fault: str) -> None:
    harness = make_harness(db, World(3, calls=60, days=2, now=NOW, phones=("+918040000001",)), fault)
    report = harness.sync(name)
    assert counts_add_up(harness)
    assert report.counts.quarantined > 0
    distinct = {bytes(row["payload"]) for row in waiting(harness)}
    assert report.counts.quarantined == len(waiting(harness)) == len(distinct)
    harness.transport = SandboxTransport(harness.world)
    harness.clock.sleep(90_000)
    harness.sync(name)
    assert differences(harness, name) == []


def test_a_bad_record_counts_once_in_a_run_wherever_it_is_met(db: Engine) -> None:
    bad = ringg_record("bad", created_at=None)
    harness, _ = make_stub_harness(
        db, bad, ringg_record("a"), bad, ringg_record("b"), bad, size=2, requests_per_minute=6
    )
    report = harness.sync("ringg")
    assert (report.counts.inserted, report.counts.quarantined) == (2, 1)
    assert len(waiting(harness)) == 1
    assert counts_add_up(harness)


def test_a_newly_signed_link_is_the_same_record(db: Engine) -> None:
    link = "https://r.example/1.mp3?X-Amz-Date={0}&X-Amz-Signature={0}"
    harness, shelf = make_stub_harness(db, ringg_record("bad", created_at=None, audio_recording=link.format(1)))
    harness.sync("ringg")
    for number in (2, 3):
        synced(harness, shelf, ringg_record("bad", created_at=None, audio_recording=link.format(number)))
    [row] = waiting(harness)
    assert bytes(row["payload"]) == ringg_record("bad", created_at=None, audio_recording=link.format(1))
    assert row["last_seen_at"] == harness.clock.now()


# -- and no longer


def test_the_call_that_becomes_good_is_loaded_and_waits_no_longer(db: Engine) -> None:
    harness, shelf = make_stub_harness(db, ringg_record("bad", created_at=None), ringg_record(None))
    harness.sync("ringg")
    synced(harness, shelf, ringg_record("bad"), ringg_record(None))
    assert harness.stored_ids("ringg") == {"bad"}
    assert [row["resolved_at"] for row in waiting(harness)] == [harness.clock.now(), None]
    assert harness.scalar("SELECT quarantined FROM bi.freshness") == 1


def test_a_bad_version_of_a_stored_call_hides_no_missing_call(db: Engine) -> None:
    harness, shelf = make_stub_harness(db, ringg_record("a"), ringg_record("b"), ringg_record("c"))
    harness.sync("ringg")
    synced(harness, shelf, ringg_record("a", created_at=None), ringg_record("b"), ringg_record("c"))
    assert [row["resolved_at"] for row in waiting(harness)] == [None]
    assert harness.scalar("SELECT completeness FROM ops.streams") == "count_match"
    with harness.db.connect() as connection:
        assert quarantine.waiting(connection, "ringg") == 0  # no quarantined call is missing from the warehouse
    assert harness.scalar("SELECT quarantined FROM bi.freshness") == 1


def test_a_retry_loads_what_can_be_loaded_by_now(db: Engine) -> None:
    harness, _ = make_stub_harness(
        db,
        ringg_record("refused", transcript="user: hello", call_cost=3),
        ringg_record("bad", created_at=None),
        ringg_record("a"),
    )
    harness.execute("ALTER TABLE warehouse.calls ADD CONSTRAINT dear CHECK (cost < 3)")
    harness.sync("ringg")
    assert len(waiting(harness)) == 2
    harness.execute("ALTER TABLE warehouse.calls DROP CONSTRAINT dear")
    harness.execute("UPDATE ops.quarantine SET reason = 'of yesterday'")
    harness.clock.sleep(60)
    report = retried(harness)
    assert (report.counts.received, report.counts.inserted, report.counts.quarantined) == (2, 1, 1)
    assert harness.stored_ids("ringg") == {"a", "refused"}
    loaded, left = sorted(waiting(harness), key=lambda row: str(row["provider_call_id"] == "bad"))
    assert (loaded["resolved_at"], left["resolved_at"]) == (harness.clock.now(), None)
    assert (loaded["reason"], left["reason"]) == ("of yesterday", "created_at is missing")
    assert harness.scalar("SELECT text FROM bi_pii.transcript_turns") == "hello"
    before = harness.tuple_counts()
    harness.clock.sleep(3600)
    harness.sync("ringg")
    assert harness.tuple_counts() == before


def test_a_retry_never_overwrites_what_came_since(db: Engine) -> None:
    harness, shelf = make_stub_harness(db, ringg_record("a", call_cost=1))
    harness.execute("ALTER TABLE warehouse.calls ADD CONSTRAINT cheap CHECK (cost > 1)")
    harness.sync("ringg")
    harness.execute("ALTER TABLE warehouse.calls DROP CONSTRAINT cheap")
    synced(harness, shelf, ringg_record("a", call_cost=2))
    harness.execute("UPDATE ops.quarantine SET resolved_at = NULL")
    retried(harness)
    assert harness.scalar("SELECT cost FROM bi.calls") == 2
    assert [row["resolved_at"] for row in waiting(harness)] == [harness.clock.now()]


# -- the commands


def test_the_commands_list_show_and_retry(db: Engine, database_url: str, tmp_path: Path) -> None:
    bad = ringg_record("bad", created_at=None, name="Asha")
    harness, _ = make_stub_harness(db, bad, ringg_record("refused", call_cost=3))
    harness.execute("ALTER TABLE warehouse.calls ADD CONSTRAINT dear CHECK (cost < 3)")
    harness.sync("ringg")
    harness.execute("ALTER TABLE warehouse.calls DROP CONSTRAINT dear")
    given = {
        "DATABASE_URL": f"{database_url}?sslmode=disable",
        "RINGG_API_KEY": "sandbox-ringg-key",
        "RINGG_BASE_URL": harness.sources["ringg"].base_url,
    }
    number = harness.scalar("SELECT quarantine_id FROM ops.quarantine WHERE provider_call_id = 'bad'")

    listed = run_etl("quarantine", "list", cwd=tmp_path, given=given)
    assert listed.returncode == 0
    assert f"{number}  ringg  2025-05-01 12:00  created_at is missing\n" in listed.stdout
    assert listed.stderr.startswith("2 records")
    assert "Asha" not in listed.stdout

    shown = run_etl("quarantine", "show", str(number), cwd=tmp_path, given=given)
    assert (shown.returncode, shown.stdout) == (0, bad.decode() + "\n")
    assert run_etl("quarantine", "show", "9999", cwd=tmp_path, given=given).returncode == 2

    again = run_etl("quarantine", "retry", cwd=tmp_path, given=given)
    assert again.returncode == 0
    assert harness.stored_ids("ringg") == {"refused"}

    left = run_etl("quarantine", "list", "--json", cwd=tmp_path, given=given)
    assert [each["quarantine_id"] for each in json.loads(left.stdout)] == [number]
    everything = json.loads(run_etl("quarantine", "list", "--all", "--json", cwd=tmp_path, given=given).stdout)
    assert {each["quarantine_id"]: each["resolved_at"] is None for each in everything} == {
        row["quarantine_id"]: row["quarantine_id"] == number for row in waiting(harness)
    }
    assert all("payload" not in each for each in everything)

    dismissed = run_etl("quarantine", "dismiss", str(number), "9999", cwd=tmp_path, given=given)
    assert (dismissed.returncode, dismissed.stdout) == (2, "1 record dismissed\n")
    assert "not in quarantine: 9999" in dismissed.stderr
    assert run_etl("quarantine", "list", cwd=tmp_path, given=given).stdout == ""
    assert "(dismissed)" in run_etl("quarantine", "list", "--all", cwd=tmp_path, given=given).stdout
    assert "is no number of a record" in run_etl("quarantine", "show", "abc", cwd=tmp_path, given=given).stderr


def test_a_dismissed_record_stays_so_and_stands_for_its_call(db: Engine) -> None:
    bad = ringg_record("bad", created_at=None)
    harness, provider = make_stub_harness(db, bad, ringg_record("good"))
    harness.sync("ringg")
    [record] = waiting(harness)
    with harness.db.begin() as connection:
        assert quarantine.dismiss(connection, [record["quarantine_id"]], NOW) == {record["quarantine_id"]}
    harness.clock.sleep(3600)
    harness.sync("ringg")  # the same bytes again
    assert harness.scalar("SELECT quarantined FROM bi.freshness") == 0
    assert harness.scalar("SELECT completeness FROM bi.freshness") == "count_match"
    with harness.db.connect() as connection:
        assert quarantine.listed(connection, ["ringg"]) == []
    provider.records = [ringg_record("bad"), ringg_record("good")]
    harness.clock.sleep(3600)
    harness.sync("ringg")
    assert harness.stored_ids("ringg") == {"bad", "good"}
    assert waiting(harness)[0]["resolved_at"] is not None


# -- drift


def test_drift_is_counted_per_field_and_reported_once(db: Engine, caplog: pytest.LogCaptureFixture) -> None:
    odd = {"ai_mood": "Asha is angry", "status": "teleported", "call_duration": ["+919876543210"]}
    harness, shelf = make_stub_harness(
        db, ringg_record("a", **odd), ringg_record("b", **odd), ringg_record("c"), size=2
    )
    harness.sync("ringg")
    drift = "SELECT field, kind, detail, record_count FROM ops.schema_drift ORDER BY field"
    found = [tuple(row.values()) for row in harness.rows(drift)]
    assert found == [
        ("ai_mood", "new_field", "string", 2),
        ("call_duration", "type", "array", 2),
        ("status", "unknown_word", "teleported", 2),
    ]
    assert [record.getMessage() for record in caplog.records].count("schema_drift") == 3
    synced(
        harness, shelf, ringg_record("a", **odd), ringg_record("b", **odd), ringg_record("c"), ringg_record("d", **odd)
    )
    assert [record.getMessage() for record in caplog.records].count("schema_drift") == 3
    assert {row["record_count"] for row in harness.rows(drift)} == {3}
    first, last = harness.rows("SELECT DISTINCT first_seen_at, last_seen_at FROM ops.schema_drift")[0].values()
    assert first < last == harness.clock.now()
    assert harness.rows("SELECT provider_status, outcome FROM bi.calls WHERE provider_call_id = 'a'") == [
        {"provider_status": "teleported", "outcome": "unknown"}
    ]


def test_a_call_that_was_bad_for_a_while_and_is_as_it_was_waits_no_more(db: Engine) -> None:
    harness, shelf = make_stub_harness(db, ringg_record("a", call_cost=1))
    harness.sync("ringg")
    shelf.records = [ringg_record("a", created_at=None)]
    harness.sync("ringg")
    assert harness.scalar("SELECT count(*) FROM ops.quarantine WHERE resolved_at IS NULL") == 1
    shelf.records = [ringg_record("a", call_cost=1)]
    harness.sync("ringg")
    assert harness.scalar("SELECT count(*) FROM ops.quarantine WHERE resolved_at IS NULL") == 0


def test_a_bad_version_beside_a_good_one_of_its_call_waits(db: Engine) -> None:
    harness, shelf = make_stub_harness(db, ringg_record("a", created_at=None), ringg_record("a"))
    for _ in range(2):
        synced(harness, shelf, *shelf.records)
        assert harness.stored_ids("ringg") == {"a"}
        assert [row["resolved_at"] for row in waiting(harness)] == [None]


def test_the_drift_of_a_provider_that_names_its_fields_by_numbers_is_bounded(
    db: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    records = [ringg_record(str(number), **{f"k{number}_{n}": 1 for n in range(40)}, mood="x") for number in range(200)]
    harness, _ = make_stub_harness(db, *records)
    report = harness.sync("ringg")
    assert report.counts.inserted == 200
    assert harness.scalar("SELECT count(*) FROM ops.schema_drift") == MOST
    logged = [record.getMessage() for record in caplog.records]
    assert (logged.count("schema_drift"), logged.count("schema_drift_more")) == (MAX_LOGGED_DRIFT, 1)
    more = int(report.notes[-1].split()[0])
    assert report.notes[-1] == (
        f"{more} more unexpected fields, words and types were received;"
        " ops.schema_drift lists the first thousand of a source"
    )
    assert more == 200 * 40 + 1 - MAX_LOGGED_DRIFT
    assert harness.scalar("SELECT record_count FROM ops.schema_drift WHERE field = 'mood'") == 200
    assert harness.scalar("SELECT count(*) FROM bi.calls WHERE extra ->> 'mood' = 'x'") == 200


def test_large_records_in_quarantine_are_retried_a_few_at_a_time(db: Engine) -> None:
    harness, _ = make_stub_harness(db, *[ringg_record(str(n), created_at="x", pad="y" * 1000) for n in range(9)])
    harness.sync("ringg")
    harness.execute("UPDATE ops.quarantine SET payload = convert_to(replace(convert_from(payload, 'UTF8'),"
                    " '\"x\"', '\"2025-04-30T10:00:00Z\"'), 'UTF8')")  # fmt: skip
    few = replace(harness.dependencies(), batch_limits=BatchLimits(size_bytes=2500))
    report = run_source(few, harness.sources["ringg"], "replay", replay.retry, is_manual=True)
    assert (report.status, report.counts.inserted, report.counts.pages) == ("succeeded", 9, 5)


def test_what_waits_is_read_a_few_records_at_a_time(db: Engine) -> None:
    harness, shelf = make_stub_harness(db)
    assert synced(harness, shelf, *BAD.values()).counts.quarantined == len(BAD)
    harness.execute("UPDATE ops.quarantine SET payload = payload || convert_to(repeat(' ', 8000000), 'UTF8')")
    harness.execute(
        "INSERT INTO ops.quarantine (source, digest, payload, reason, first_seen_at, last_seen_at)"
        " SELECT source, digest || convert_to(n::text, 'UTF8'), payload, reason, first_seen_at, last_seen_at"
        " FROM ops.quarantine, generate_series(1, 3) n"
    )
    tracemalloc.start()
    with db.connect() as connection:
        sizes = sorted(map(len, quarantine.payloads_waiting(connection, "ringg")))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sizes == sorted(len(payload) + 8_000_000 for payload in BAD.values() for _ in range(4))
    assert peak < 60_000_000 < sum(sizes) == 160_000_000 + 4 * sum(map(len, BAD.values()))
