"""One call's life, as the books tell it: what was seen, what changed, and which reading comes to it again."""

import json
import uuid
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from etl.loader.writer import call_key
from etl.reports import call_history
from etl.reports.call_history_model import CallHistory
from etl.sandbox.world import World
from tests.commands import etl
from tests.shelf import Shelf, ringg, shelved
from tests.worlds import NOW, House, hours, house, moving

NEXT = timedelta(minutes=5)
PERSON = "Asha Verma"


def lives(place: House, wanted: str, *, show_values: bool = False) -> list[CallHistory]:
    sources = list(place.sources.values())
    with place.db.connect() as connection:
        return [
            call_history.call_history(connection, each, sources, place.clock.now(), show_values=show_values)
            for each in call_history.resolve(connection, wanted)
        ]


def life(place: House, wanted: str, *, show_values: bool = False) -> CallHistory:
    (only,) = lives(place, wanted, show_values=show_values)
    return only


def synced(place: House, shelf: Shelf, *records: bytes) -> datetime:
    shelf.records = list(records)
    place.clock.sleep(3600)
    place.sync("ringg")
    return place.clock.now()


def ages(*counts: float) -> dict[str, bytes]:
    """Records of calls so many hours old, over and done, by their ids."""
    return {f"{count:g}h": ringg(f"{count:g}h", created_at=(NOW - hours(count)).isoformat()) for count in counts}


def scheduled(place: House, name: str = "ringg") -> datetime:
    """A daemon that has noted its next run."""
    at = place.clock.now() + NEXT
    place.do("UPDATE ops.sources SET next_run_at = :at WHERE source = :name", at=at, name=name)
    return at


def test_a_life_has_every_version_change_and_run_and_hides_what_shows_a_person(db: Engine) -> None:
    place, shelf = shelved(db)
    first = synced(place, shelf, ringg("a", status="ongoing"))
    ended = {"status": "completed", "call_cost": 1.5, "custom_args_values": {"callee_name": PERSON}}
    changed = synced(place, shelf, ringg("a", **ended, to_number="+919876543211"))
    seen = synced(place, shelf, ringg("a", **ended, to_number="+919876543211"))
    told = life(place, "a")
    held = told.held
    assert held is not None
    assert held.call_key == call_key("ringg", "a")
    assert (held.first_seen_at, held.changed_at, held.last_seen_at) == (first, changed, seen)
    assert [(each.kind, each.received_at, each.is_newest) for each in held.versions] == [
        ("call", first, False),
        ("call", changed, True),
    ]
    assert [(run.kind, run.received, run.changed > 0, run.saw_it_last) for run in told.runs] == [
        ("sync", 1, False, False),
        ("sync", 1, True, False),
        ("sync", 0, False, True),
    ]
    changes = {each.field: (each.old_value, each.new_value) for each in held.changes}
    assert {each.changed_at for each in held.changes} == {changed}
    assert changes["provider_status"] == ("ongoing", "completed")
    assert changes["to_number"] == (call_history.HIDDEN, call_history.HIDDEN)
    assert PERSON not in repr(told)
    assert "+91" not in repr(told)
    shown = {each.field: each for each in life(place, "a", show_values=True).held.changes}  # type: ignore[union-attr]
    assert shown["to_number"].new_value == "+919876543211"
    assert held.cost.said == "held"
    assert held.transcript.said == "none yet: it would come with the record"


def test_a_cost_is_told_by_its_components(db: Engine) -> None:
    place = house(db, World(3, calls={"ravan": 20}, now=NOW))
    place.sync("ravan")
    rows = place.rows("SELECT * FROM bi.call_costs")
    for key in {row["call_key"] for row in rows}:
        told = life(place, str(key)).held
        assert told is not None
        assert told.cost.components == {
            row["component"]: {"amount": row["amount"], "unit": row["unit"]} for row in rows if row["call_key"] == key
        }
    assert len(rows) > 20


def test_every_column_whose_changes_are_shown_exists(db: Engine) -> None:
    from etl.db import tables

    assert call_history.OPEN - {column.name for column in tables.calls.columns} == {"transcript"}


def test_a_flag_says_what_it_means(db: Engine) -> None:
    place, shelf = shelved(db)
    synced(place, shelf, ringg("a", call_duration=-3))
    held = life(place, "a").held
    assert held is not None
    assert held.flags["duration_negative"].startswith("The duration is below zero")


def test_a_call_is_found_by_its_key_its_id_and_its_source_and_id(db: Engine) -> None:
    place, shelf = shelved(db)
    synced(place, shelf, ringg("a:b"), ringg("b"))
    key = call_key("ringg", "a:b")
    for wanted in ("a:b", "ringg:a:b", str(key), str(key).upper()):
        assert life(place, wanted).held.call_key == key  # type: ignore[union-attr]
    for wanted in ("a", "ringg:", "", str(uuid.uuid4()), "vaani:b", "b\udcff"):
        assert lives(place, wanted) == []


def test_a_call_that_never_became_a_row_is_explained_by_the_quarantine(db: Engine) -> None:
    place, shelf = shelved(db)
    at = synced(place, shelf, ringg("bad", created_at=None))
    told = life(place, "ringg:bad")
    assert told.held is None
    assert [(each.reason, each.first_seen_at, each.resolved_at) for each in told.rejected] == [
        ("created_at is missing", at, None)
    ]
    assert [(run.kind, run.quarantined) for run in told.runs] == [("sync", 1)]
    loaded = synced(place, shelf, ringg("bad"))
    told = life(place, "bad")
    assert told.held is not None
    assert told.rejected[0].resolved_at == loaded


def test_the_reading_that_comes_next_follows_from_age_and_the_sweeps(db: Engine) -> None:
    calls = ages(0.1, 3, 5.99, 30, 47.99, 100, 167.99, 300)
    place, _ = shelved(db, *calls.values())
    place.sync("ringg")
    next_run = scheduled(place)
    now = place.clock.now()
    told = {name: life(place, name).held.next_reading for name in calls}  # type: ignore[union-attr]
    assert {name: (each.by, each.at) for name, each in told.items()} == {
        "0.1h": ("head", next_run),
        "3h": ("sweep", now + hours(1)),
        "5.99h": ("sweep", now + hours(6)),  # the hourly one comes too late for it
        "30h": ("sweep", now + hours(6)),
        "47.99h": ("sweep", now + hours(24)),
        "100h": ("sweep", now + hours(24)),
        "167.99h": (None, None),
        "300h": (None, None),
    }
    assert "6 h back, due every 1 h" in told["3h"].said
    assert told["300h"].said.startswith("settled")
    assert all(each.is_scheduled for each in told.values() if each.by)


def test_the_widest_sweep_goes_on_to_the_oldest_call_that_is_not_final(db: Engine) -> None:
    calls = ages(0.1, 400, 600, 800)
    calls["500h"] = ringg("500h", created_at=(NOW - hours(500)).isoformat(), status="ongoing")
    calls["900h"] = ringg("900h", created_at=(NOW - hours(900)).isoformat(), status="ongoing")
    place, _ = shelved(db, *calls.values())
    place.sync("ringg")
    scheduled(place)
    told = {name: life(place, name).held.next_reading for name in calls}  # type: ignore[union-attr]
    assert {name for name, each in told.items() if each.by} == {"0.1h", "400h", "500h"}
    assert "etl backfill ringg --from" in told["900h"].said


def test_what_keeps_it_from_being_read_is_said(db: Engine) -> None:
    place, _ = shelved(db, *ages(3).values())
    place.sync("ringg")
    told = life(place, "3h").held
    assert told is not None
    assert not told.next_reading.is_scheduled
    assert "`etl sync` does it" in told.next_reading.said
    until = place.clock.now() + hours(2)
    place.do("UPDATE ops.sources SET paused_until = :until, pause_reason = 'the key was refused'", until=until)
    told = life(place, "3h").held
    assert told is not None
    assert told.next_reading.at == until
    assert "the key was refused" in told.next_reading.said
    later = until + hours(0.5)
    place.do("UPDATE ops.rate_limits SET blocked_until = :later WHERE source = 'ringg'", later=later)
    told = life(place, "3h").held
    assert told is not None
    assert told.next_reading.at == later
    assert "left alone" in told.next_reading.said
    with place.db.connect() as connection:
        alone = call_history.call_history(connection, call_history.resolve(connection, "3h")[0], [], place.clock.now())
    assert alone.held is not None
    assert alone.held.next_reading.by is None


@pytest.mark.parametrize(("name", "order"), [("ravan", "asc"), ("vaani", "unsorted")])
def test_what_is_foretold_happens(db: Engine, name: str, order: str) -> None:
    place = moving(db, calls=30, days=9, order=order)
    place.sync(name)
    place.clock.sleep(1800)
    scheduled(place, name)
    foretold = {}
    for call_id in place.holds(name):
        held = life(place, f"{name}:{call_id}").held
        assert held is not None
        if held.next_reading.at:
            foretold[call_id] = held.next_reading.at
    assert len(foretold) > 10
    asked_at = place.clock.now()
    while place.clock.now() < asked_at + hours(25):
        place.clock.sleep(2.5 * 3600)
        assert place.run(name, by_hand=False).status == "succeeded"
        for call_id in [call_id for call_id, at in foretold.items() if at <= place.clock.now()]:
            held = life(place, f"{name}:{call_id}").held
            assert held is not None
            assert held.last_seen_at > asked_at, (call_id, foretold[call_id])
            del foretold[call_id]
    assert foretold == {}


def test_a_transcript_of_its_own_says_where_it_is(db: Engine) -> None:
    place = moving(db, calls=40, days=3)
    place.sync("vaani")
    said = set()
    for call_id in place.holds("vaani"):
        held = life(place, f"vaani:{call_id}").held
        assert held is not None
        by_request = "transcript" in {each.kind for each in held.versions}
        assert held.transcript.is_held or not by_request
        assert (held.transcript.asked_at is not None) == (held.transcript.attempts > 0) >= by_request
        said.add(held.transcript.said.split(":")[0])
    assert {"held", "not asked for"} <= said


# -- the command


@pytest.fixture
def configured(database_url: str) -> dict[str, str]:
    return {"DATABASE_URL": database_url, "RINGG_API_KEY": "a-key", "VAANI_API_KEY": "another-key"}


def test_the_command_tells_it_and_obeys_nothing_that_a_provider_sent(
    db: Engine, tmp_path: Path, configured: dict[str, str]
) -> None:
    place, shelf = shelved(db)
    odd = "done\x1b[31m\u202e"
    synced(place, shelf, ringg("a", status="ongoing"), ringg("bad", created_at=None))
    synced(place, shelf, ringg("a", status=odd, to_number="+919876543211"))
    said = etl("why", "a", cwd=tmp_path, given=configured)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("ringg:a\n")
    for words in ("first seen", "versions", "provider_status: ongoing → done", "read again"):
        assert words in said.stdout
    assert not {"\x1b", "\u202e"} & set(said.stdout)
    assert "9876" not in said.stdout
    assert "+919876543211" in etl("why", "a", "--show-values", cwd=tmp_path, given=configured).stdout
    assert "created_at is missing" in etl("why", "bad", cwd=tmp_path, given=configured).stdout
    told = json.loads(etl("why", "ringg:a", "--json", cwd=tmp_path, given=configured).stdout)
    assert told["held"]["call_key"] == str(call_key("ringg", "a"))
    assert datetime.fromisoformat(told["held"]["created_at"]).tzinfo


def test_an_unknown_call_is_status_1_and_an_ambiguous_one_says_how_to_choose(
    db: Engine, tmp_path: Path, configured: dict[str, str]
) -> None:
    place, _ = shelved(db, ringg("a"))
    place.sync("ringg")
    said = etl("why", "nothing", cwd=tmp_path, given=configured)
    assert (said.returncode, said.stdout) == (1, "")
    assert "etl quarantine list" in said.stderr
    place.do("""
        INSERT INTO ops.sources (source, provider, host, first_seen_at, settled_after_seconds, schedule)
        VALUES ('b', 'ringg', 'b.example', now(), 0, 'every 5m')
    """)
    place.do("INSERT INTO ops.quarantine (source, provider_call_id, digest, reason, payload, first_seen_at,"
             " last_seen_at) VALUES ('b', 'a', '', 'odd', '', now(), now())")  # fmt: skip
    said = etl("why", "a", cwd=tmp_path, given=configured)
    assert said.returncode == 2
    assert "ringg:a" in said.stderr
    assert "b:a" in said.stderr
    assert etl("why", "b:a", cwd=tmp_path, given=configured).returncode == 0
