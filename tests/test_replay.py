"""Raw payloads through the transformer again: nothing where nothing changed, and everything where some was lost."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from etl.sandbox.world import World
from etl.sync import replay
from etl.sync.replay import ReplayDiff
from etl.sync.run import RunResult
from tests.commands import etl
from tests.shelf import ringg, shelved
from tests.worlds import NOW, PROVIDERS, VERSIONS, House, adds_up, differences, house, moving

TABLES = ("warehouse.calls", "warehouse.transcripts", "raw.payloads")


def replayed(place: House, name: str) -> tuple[RunResult, ReplayDiff]:
    """A replay that has to succeed, and what it changed."""
    found = ReplayDiff()
    report = place.run(name, lambda reader: replay.replay(reader, found), "replay")
    assert (report.status, report.error, report.requests) == ("succeeded", None, 0)
    assert adds_up(place)
    return report, found


def compared(place: House, name: str) -> ReplayDiff:
    """What a replay would change; it writes nothing."""
    before, found = content(place, ()), ReplayDiff()
    replay.compare(place.db, place.sources[name], found)
    assert content(place, ()) == before
    return found


def content(place: House, besides: Sequence[str] = ("changed_at",)) -> dict[str, list[dict[str, Any]]]:
    rows = {name: place.rows(f"SELECT * FROM {name} ORDER BY 1") for name in TABLES}
    return {name: [{k: v for k, v in row.items() if k not in besides} for row in found] for name, found in rows.items()}


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_replay_by_the_same_program_writes_nothing(db: Engine, name: str) -> None:
    place = moving(db, 50, days=2, per_hour=3)
    for _ in range(4):  # calls go on, end, are priced and transcribed
        place.sync(name)
        place.clock.sleep(1800)
    before, calls = place.written(), len(place.holds(name))
    assert place.one(VERSIONS) > calls
    report, found = replayed(place, name)
    assert place.written() == before
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
    place = house(db, World(3, calls=30, days=2, now=NOW))
    place.sync(name)
    before = content(place)
    place.do(DAMAGE[damage])
    assert content(place) != before
    would = compared(place, name)
    report, found = replayed(place, name)
    assert content(place) == before
    assert differences(place, name) == []
    assert found == would
    assert found.changed == report.counts.updated > 0
    assert found.calls == 30 == report.counts.received
    assert replayed(place, name)[1].changed == 0


def test_what_a_replay_changes_is_named_and_noted(db: Engine) -> None:
    place, _ = shelved(db, ringg("a", call_cost=5, transcript="user: hello\nbot: hi"), ringg("b"))
    place.sync("ringg")
    place.do("UPDATE warehouse.calls SET cost = 4 WHERE provider_call_id = 'a'")
    place.do("UPDATE warehouse.transcripts SET texts = texts - 1")
    place.clock.sleep(60)
    key = str(place.one("SELECT call_key FROM warehouse.calls WHERE provider_call_id = 'a'"))
    would = compared(place, "ringg")
    assert (would.calls, would.changed) == (2, 1)
    assert would.columns == {"cost": 1, "transcript": 1}
    assert would.examples == {"cost": key, "transcript": key}
    replayed(place, "ringg")
    noted = place.rows("SELECT field, old_value, new_value, changed_at FROM bi.call_changes ORDER BY field")
    assert [tuple(row.values()) for row in noted] == [
        ("cost", "4", "5", place.clock.now()),
        ("transcript", "2 turns", "2 turns", place.clock.now()),
    ]


def test_versions_that_came_with_one_answer_keep_their_order(db: Engine) -> None:
    pairs = [(ringg(f"call-{n}", call_cost=1), ringg(f"call-{n}", call_cost=2)) for n in range(12)]
    place, shelf = shelved(db, *(version for pair in pairs for version in pair))
    shelf.total = len(pairs)
    place.sync("ringg")
    assert {row["cost"] for row in place.rows("SELECT cost FROM bi.calls")} == {2}
    assert replayed(place, "ringg")[1].changed == 0


def test_a_content_that_came_again_is_the_last_one(db: Engine) -> None:
    contents = [ringg("a", call_cost=1, agent_name="A"), ringg("a", call_cost=2)]
    place, shelf = shelved(db, contents[0])
    for each in (*contents, contents[0]):
        shelf.records = [each]
        place.sync("ringg")
        place.clock.sleep(3600)
    assert place.one("SELECT cost FROM bi.calls") == 1
    assert replayed(place, "ringg")[1] == ReplayDiff(calls=1)


def test_a_call_whose_payloads_are_gone_stays_as_it_is(db: Engine) -> None:
    place, _ = shelved(db, ringg("a"), ringg("b"))
    place.sync("ringg")
    place.do("UPDATE warehouse.calls SET cost = 3")
    place.do("DELETE FROM raw.payloads")
    before = place.written()
    assert replayed(place, "ringg")[1] == ReplayDiff()
    assert place.written() == before


def test_a_row_that_the_database_refuses_stays_and_waits(db: Engine) -> None:
    place, _ = shelved(db, ringg("a", call_cost=5), ringg("b", call_cost=6))
    place.sync("ringg")
    place.do("UPDATE warehouse.calls SET cost = 1")
    place.do("ALTER TABLE warehouse.calls ADD CONSTRAINT cheap CHECK (cost < 6)")
    report, _ = replayed(place, "ringg")
    assert (report.counts.updated, report.counts.quarantined) == (1, 1)
    assert place.rows("SELECT cost FROM bi.calls ORDER BY provider_call_id") == [{"cost": 5}, {"cost": 1}]
    [row] = place.rows("SELECT * FROM ops.quarantine")
    assert (row["provider_call_id"], bytes(row["payload"])) == ("b", ringg("b", call_cost=6))
    assert "constraint cheap" in row["reason"]


def test_the_command_says_what_would_change_and_then_changes_it(db: Engine, database_url: str, tmp_path: Path) -> None:
    place, _ = shelved(db, ringg("a", call_cost=5), ringg("b", call_cost=6))
    place.sync("ringg")
    place.do("UPDATE warehouse.calls SET cost = 1 WHERE provider_call_id = 'a'")
    key = place.one("SELECT call_key FROM warehouse.calls WHERE provider_call_id = 'a'")
    before = place.written()
    dry = etl("replay", "--dry-run", cwd=tmp_path, given=given(place, database_url))
    assert (dry.returncode, dry.stderr) == (0, "")
    assert dry.stdout == f"ringg: 2 calls replayed, 1 would change\n  cost: 1 calls, such as {key}\n"
    assert place.written() == before
    wet = etl("replay", cwd=tmp_path, given=given(place, database_url))
    assert wet.returncode == 0
    assert f"ringg: 2 calls replayed, 1 changed\n  cost: 1 calls, such as {key}\n" in wet.stdout
    assert place.one("SELECT cost FROM bi.calls WHERE provider_call_id = 'a'") == 5
    assert place.rows("SELECT kind, status FROM ops.runs ORDER BY run_id DESC LIMIT 1") == [
        {"kind": "replay", "status": "succeeded"}
    ]


def given(place: House, database_url: str) -> dict[str, str]:
    """The environment of a command that knows one source, of the house's own host."""
    source = place.sources["ringg"]
    return {
        "DATABASE_URL": f"{database_url}?sslmode=disable",
        "RINGG_API_KEY": "sandbox-ringg-key",
        "RINGG_BASE_URL": source.base_url,
    }
