"""Raw payloads through the transformer again: no change where nothing changed, and every lost value back."""

import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine

from etl.reports.replay_diff import ReplayDiff, compare
from etl.sandbox.world import World
from etl.sync import replay
from etl.sync.run import RunResult
from tests.commands import run_etl
from tests.harness import NOW, PROVIDERS, VERSIONS, Harness, counts_add_up, differences, make_harness, make_live_harness
from tests.stub_provider import make_stub_harness, ringg_record, vaani_record

TABLES = ("warehouse.calls", "warehouse.transcripts", "raw.payloads")


def replayed(harness: Harness, name: str) -> tuple[RunResult, ReplayDiff]:
    """Run a replay that has to succeed; what it changed."""
    found = ReplayDiff()
    report = harness.run(name, lambda reader: replay.replay(reader, found.add), "replay")
    assert (report.status, report.error, report.requests) == ("succeeded", None, 0)
    assert counts_add_up(harness)
    return report, found


def compared(harness: Harness, name: str) -> ReplayDiff:
    """What a replay would change; it writes nothing."""
    before, found = content(harness, ()), ReplayDiff()
    compare(harness.db, harness.sources[name], found)
    assert content(harness, ()) == before
    return found


def content(harness: Harness, besides: Sequence[str] = ("changed_at",)) -> dict[str, list[dict[str, Any]]]:
    rows = {name: harness.rows(f"SELECT * FROM {name} ORDER BY 1") for name in TABLES}
    return {name: [{k: v for k, v in row.items() if k not in besides} for row in found] for name, found in rows.items()}


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_replay_by_the_same_program_writes_nothing(db: Engine, name: str) -> None:
    harness = make_live_harness(db, 50, days=2, per_hour=3)
    for _ in range(4):  # calls go on, end, are priced and transcribed
        harness.sync(name)
        harness.clock.sleep(1800)
    before, calls = harness.tuple_counts(), len(harness.stored_ids(name))
    assert harness.scalar(VERSIONS) > calls
    report, found = replayed(harness, name)
    assert harness.tuple_counts() == before
    assert (found.calls, found.changed, found.columns) == (calls, 0, {})
    assert (report.counts.received, report.counts.unchanged) == (calls, calls)


DAMAGE = {
    "columns": "UPDATE warehouse.calls SET agent_name = NULL, outcome = 'unknown', cost = 7, is_final = NULL,"
    " extra = NULL, created_at = created_at - interval '1 hour', customer_number = 'nobody', quality_flags = '{odd}'",
    "turns": "DELETE FROM warehouse.transcripts",
    "turns and what the rows say": "WITH gone AS (DELETE FROM warehouse.transcripts)"
    " UPDATE warehouse.calls SET turn_count = 0, has_transcript = false, transcript_hash = NULL",
    "some turns": "UPDATE warehouse.transcripts SET texts = texts - 1",
    "too many turns": "UPDATE warehouse.transcripts"
    """ SET speakers = speakers || 'a', texts = texts || '["never said"]'""",
    "words": """UPDATE warehouse.transcripts SET texts = jsonb_set(texts, '{0}', '"never texts"')""",
    "speakers": "UPDATE warehouse.transcripts SET speakers = translate(speakers, 'ac', 'ca')",
    "times": """UPDATE warehouse.transcripts SET times = '[["2026-01-01T00:00:00Z", 1]]'""",
    "count": "UPDATE warehouse.calls SET turn_count = turn_count + 5",
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", PROVIDERS)
def test_what_was_damaged_by_hand_is_as_it_was(db: Engine, name: str, damage: str) -> None:
    harness = make_harness(db, World(3, calls=30, days=2, now=NOW))
    harness.sync(name)
    before = content(harness)
    harness.execute(DAMAGE[damage])
    assert content(harness) != before
    would = compared(harness, name)
    report, found = replayed(harness, name)
    assert content(harness) == before
    assert differences(harness, name) == []
    assert found == would
    assert found.changed == report.counts.updated > 0
    assert found.calls == 30 == report.counts.received
    assert replayed(harness, name)[1].changed == 0


def test_what_a_replay_changes_is_named_and_noted(db: Engine) -> None:
    harness, _ = make_stub_harness(
        db, ringg_record("a", call_cost=5, transcript="user: hello\nbot: hi"), ringg_record("b")
    )
    harness.sync("ringg")
    harness.execute("UPDATE warehouse.calls SET cost = 4 WHERE provider_call_id = 'a'")
    harness.execute("UPDATE warehouse.transcripts SET texts = texts - 1")
    harness.clock.sleep(60)
    key = str(harness.scalar("SELECT call_key FROM warehouse.calls WHERE provider_call_id = 'a'"))
    would = compared(harness, "ringg")
    assert (would.calls, would.changed) == (2, 1)
    assert would.columns == {"cost": 1, "transcript": 1}
    assert would.examples == {"cost": key, "transcript": key}
    replayed(harness, "ringg")
    noted = harness.rows("SELECT field, old_value, new_value, changed_at FROM bi_pii.call_changes ORDER BY field")
    assert [tuple(row.values()) for row in noted] == [
        ("cost", "4", "5", harness.clock.now()),
        ("transcript", "2 turns", "2 turns", harness.clock.now()),
    ]


EARLIER = """
    WITH one AS (UPDATE warehouse.transcripts SET speakers = 'u', texts = '["Processing"]', times = NULL),
         other AS (UPDATE raw.payloads SET records_zlib_msgpack = :stored WHERE kind = :kind)
    UPDATE warehouse.calls SET turn_count = 1
"""


@pytest.mark.parametrize("answer", [{"transcript": "Processing"}, {"transcript": "AGENT: Hi", "call_id": "other"}])
def test_what_was_stored_as_a_transcript_and_is_none_is_asked_for_again(db: Engine, answer: dict[str, str]) -> None:
    harness, vendor = make_stub_harness(db, vaani_record())
    vendor.transcript = {"transcript": "AGENT: Hello.\nUSER: Hi."}
    harness.sync("vaani")
    stored = zlib.compress(msgspec.msgpack.encode([json.dumps(answer).encode()]))
    harness.execute(EARLIER, stored=stored, kind="transcript")
    harness.clock.sleep(90 * 86400)  # older than a transcript that is not ready is asked for
    assert compared(harness, "vaani").columns == {"transcript": 1, "turn_count": 1, "has_transcript": 1}
    assert harness.scalar("SELECT count(*) FROM bi_pii.transcripts") == 1
    assert replayed(harness, "vaani")[1].changed == 1
    assert harness.rows("SELECT has_transcript, turn_count FROM bi_pii.calls") == [
        {"has_transcript": False, "turn_count": 0}
    ]
    assert harness.scalar("SELECT count(*) FROM bi_pii.transcripts") == 0
    assert replayed(harness, "vaani")[1].changed == 0
    harness.sync("vaani")
    assert [row["text"] for row in harness.rows("SELECT text FROM bi_pii.transcript_turns ORDER BY turn_index")] == [
        "Hello.",
        "Hi.",
    ]
    assert replayed(harness, "vaani")[1].changed == 0


def test_a_word_for_no_value_that_was_stored_as_a_transcript_is_none(db: Engine) -> None:
    harness, _ = make_stub_harness(db, ringg_record("a", transcript="bot: Hello."))
    harness.sync("ringg")
    record = ringg_record("a", transcript='"null"')
    harness.execute(EARLIER, stored=zlib.compress(msgspec.msgpack.encode([record])), kind="call")
    assert replayed(harness, "ringg")[1].changed == 1
    assert harness.rows("SELECT has_transcript, turn_count FROM bi_pii.calls") == [
        {"has_transcript": False, "turn_count": 0}
    ]
    assert harness.scalar("SELECT count(*) FROM bi_pii.transcripts") == 0


def test_a_transcript_whose_payload_is_gone_stays(db: Engine) -> None:
    harness, vendor = make_stub_harness(db, vaani_record(chat_history="Processing"))
    vendor.transcript = {"transcript": "AGENT: Hello.\nUSER: Hi."}
    harness.sync("vaani")
    harness.execute("DELETE FROM raw.payloads WHERE kind = 'transcript'")
    assert replayed(harness, "vaani")[1].changed == 0
    assert harness.scalar("SELECT count(*) FROM bi_pii.transcript_turns") == 2


def test_versions_that_came_with_one_answer_keep_their_order(db: Engine) -> None:
    pairs = [(ringg_record(f"call-{n}", call_cost=1), ringg_record(f"call-{n}", call_cost=2)) for n in range(12)]
    harness, shelf = make_stub_harness(db, *(version for pair in pairs for version in pair))
    shelf.total = len(pairs)
    harness.sync("ringg")
    assert {row["cost"] for row in harness.rows("SELECT cost FROM bi_pii.calls")} == {2}
    assert replayed(harness, "ringg")[1].changed == 0


def test_a_content_that_came_again_is_the_last_one(db: Engine) -> None:
    contents = [ringg_record("a", call_cost=1, agent_name="A"), ringg_record("a", call_cost=2)]
    harness, shelf = make_stub_harness(db, contents[0])
    for each in (*contents, contents[0]):
        shelf.records = [each]
        harness.sync("ringg")
        harness.clock.sleep(3600)
    assert harness.scalar("SELECT cost FROM bi_pii.calls") == 1
    assert replayed(harness, "ringg")[1] == ReplayDiff(calls=1)


def test_a_call_without_payloads_stays_as_it_is(db: Engine) -> None:
    harness, _ = make_stub_harness(db, ringg_record("a"), ringg_record("b"))
    harness.sync("ringg")
    harness.execute("UPDATE warehouse.calls SET cost = 3")
    harness.execute("DELETE FROM raw.payloads")
    before = harness.tuple_counts()
    assert replayed(harness, "ringg")[1] == ReplayDiff()
    assert harness.tuple_counts() == before


def test_a_row_that_the_database_refuses_stays_and_waits(db: Engine) -> None:
    harness, _ = make_stub_harness(db, ringg_record("a", call_cost=5), ringg_record("b", call_cost=6))
    harness.sync("ringg")
    harness.execute("UPDATE warehouse.calls SET cost = 1")
    harness.execute("ALTER TABLE warehouse.calls ADD CONSTRAINT cheap CHECK (cost < 6)")
    report, _ = replayed(harness, "ringg")
    assert (report.counts.updated, report.counts.quarantined) == (1, 1)
    assert harness.rows("SELECT cost FROM bi_pii.calls ORDER BY provider_call_id") == [{"cost": 5}, {"cost": 1}]
    [row] = harness.rows("SELECT * FROM ops.quarantine")
    assert (row["provider_call_id"], bytes(row["payload"])) == ("b", ringg_record("b", call_cost=6))
    assert "constraint cheap" in row["reason"]


def test_the_command_says_what_would_change_and_then_changes_it(db: Engine, database_url: str, tmp_path: Path) -> None:
    harness, _ = make_stub_harness(db, ringg_record("a", call_cost=5), ringg_record("b", call_cost=6))
    harness.sync("ringg")
    harness.execute("UPDATE warehouse.calls SET cost = 1 WHERE provider_call_id = 'a'")
    key = harness.scalar("SELECT call_key FROM warehouse.calls WHERE provider_call_id = 'a'")
    before = harness.tuple_counts()
    dry = run_etl("replay", "--dry-run", cwd=tmp_path, given=given(harness, database_url))
    assert (dry.returncode, dry.stderr) == (0, "")
    assert dry.stdout == f"ringg: 2 calls replayed, 1 would change\n  cost: 1 calls, for example {key}\n"
    assert harness.tuple_counts() == before
    wet = run_etl("replay", cwd=tmp_path, given=given(harness, database_url))
    assert wet.returncode == 0
    assert f"ringg: 2 calls replayed, 1 changed\n  cost: 1 calls, for example {key}\n" in wet.stdout
    assert harness.scalar("SELECT cost FROM bi_pii.calls WHERE provider_call_id = 'a'") == 5
    assert harness.rows("SELECT kind, status FROM ops.runs ORDER BY run_id DESC LIMIT 1") == [
        {"kind": "replay", "status": "succeeded"}
    ]


def given(harness: Harness, database_url: str) -> dict[str, str]:
    """The environment of a command with one source, on the harness's host."""
    source = harness.sources["ringg"]
    return {
        "DATABASE_URL": f"{database_url}?sslmode=disable",
        "RINGG_API_KEY": "sandbox-ringg-key",
        "RINGG_BASE_URL": source.base_url,
    }
