"""What the database refuses: one call alone where its data is at fault, the whole run where the server is."""

from functools import partial

import pytest
from sqlalchemy import Engine

from etl import pipeline
from etl.extractors import providers
from etl.loader.batch import read_received
from etl.loader.writer import WriteContext, plan_row, write
from etl.model import Call, Window
from etl.sandbox.world import World
from etl.sync.checkpoint import BEGINNING
from etl.sync.retry_quarantine import retry
from etl.transformer import transform_record
from tests.shelf import ringg, shelved
from tests.worlds import NOW, PROVIDERS, House, adds_up, differences, hours, house

PLANT = "ALTER TABLE warehouse.calls ADD CONSTRAINT planted CHECK (provider_call_id <> '{}')"
RAISE = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.provider_call_id = '{}' THEN RAISE EXCEPTION 'refused' USING ERRCODE = '{}'; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON warehouse.calls FOR EACH ROW EXECUTE FUNCTION refuse()
"""
MEND = "DROP TRIGGER refuse ON warehouse.calls"


def any_call(place: House, name: str) -> str:
    return place.world.calls(name)[17].call_id


@pytest.mark.parametrize("code", ["22003", "22021", "23514", "54000"])
@pytest.mark.parametrize("name", PROVIDERS)
def test_bad_data_is_set_aside_alone(db: Engine, name: str, code: str) -> None:
    place = house(db)
    bad = any_call(place, name)
    place.do(RAISE.format(bad, code))
    place.sync(name)
    assert place.holds(name) == {call.call_id for call in place.world.calls(name)} - {bad}
    [kept] = place.rows("SELECT * FROM ops.quarantine")
    assert kept["provider_call_id"] == bad
    assert code in kept["reason"]
    assert bad.encode() in bytes(kept["payload"])
    assert adds_up(place)


@pytest.mark.parametrize("code", ["53100", "40001", "40P01", "57014", "42501", "25006"])
def test_trouble_of_the_server_fails_the_run_and_sets_nothing_aside(db: Engine, code: str) -> None:
    place = house(db)
    place.do(RAISE.format(any_call(place, "ravan"), code))
    report = place.run("ravan")
    assert report.status == "failed"
    assert code in str(report.error)
    assert place.one("SELECT count(*) FROM ops.quarantine") == 0
    assert place.one("SELECT count(*) FROM warehouse.calls") < len(place.world.calls("ravan"))
    place.do(MEND)
    place.sync("ravan")
    assert differences(place, "ravan") == []


def test_a_record_in_quarantine_waits_and_is_seen_again(db: Engine) -> None:
    place = house(db, World(3, calls=40, days=5, now=NOW))
    bad = any_call(place, "autocalls")
    place.do(PLANT.format(bad))
    place.sync("autocalls")
    [before] = place.rows("SELECT * FROM ops.quarantine")
    assert "planted" in before["reason"]
    place.clock.sleep(hours(25).total_seconds())
    place.sync("autocalls")
    [after] = place.rows("SELECT * FROM ops.quarantine")
    assert after.pop("last_seen_at") > before.pop("last_seen_at")
    assert after == before
    assert place.one("SELECT quarantined FROM bi.freshness") == 1


@pytest.mark.parametrize("by", ["sync", "retry"])
def test_a_record_in_quarantine_loads_once_it_can(db: Engine, by: str) -> None:
    place = house(db, World(3, calls=40, days=5, now=NOW))
    place.do(PLANT.format(any_call(place, "vaani")))
    place.sync("vaani")
    place.do("ALTER TABLE warehouse.calls DROP CONSTRAINT planted")
    place.clock.sleep(hours(25).total_seconds())
    if by == "retry":
        assert place.run("vaani", retry, "replay").status == "succeeded"
        assert place.one("SELECT count(*) FROM warehouse.calls") == len(place.world.calls("vaani"))
    place.sync("vaani")
    assert differences(place, "vaani") == []
    assert place.one("SELECT resolved_at IS NOT NULL FROM ops.quarantine")
    assert place.one("SELECT quarantined FROM bi.freshness") == 0


def test_what_is_refused_again_stays(db: Engine) -> None:
    place = house(db)
    place.do(PLANT.format(any_call(place, "ringg")))
    place.sync("ringg")
    place.run("ringg", retry, "replay")
    assert place.one("SELECT resolved_at IS NULL FROM ops.quarantine")
    assert adds_up(place)


def test_a_shorter_transcript_takes_the_surplus_turns_with_it(db: Engine) -> None:
    place = house(db, World(3, calls=40, days=5, now=NOW))
    place.sync("autocalls")
    talker = max(place.rows("SELECT * FROM bi.calls"), key=lambda row: row["turn_count"])
    call_id, key = talker["provider_call_id"], talker["call_key"]
    call = place.world.find("autocalls", call_id)
    assert call is not None
    turns = place.world.seen(call, NOW).story.turns
    place.world.change("autocalls", call_id, turns=turns[:2])
    place.clock.sleep(hours(25).total_seconds())
    place.sync("autocalls")
    assert differences(place, "autocalls") == []
    assert place.one("SELECT count(*) FROM bi.transcript_turns WHERE call_key = :key", key=key) == 2
    changed = place.rows("SELECT field FROM bi.call_changes WHERE call_key = :key", key=key)
    assert "transcript" in {row["field"] for row in changed}


def test_a_version_that_comes_back_is_kept_once_and_is_the_newest_again(db: Engine) -> None:
    place = house(db, World(3, calls=40, days=5, now=NOW))
    call = place.world.calls("ravan")[17]
    everything = partial(pipeline.backfill, window=Window(BEGINNING, NOW), again=True)
    place.sync("ravan")
    first = place.world.seen(call, NOW).story
    for summary in ("Another one.", first.summary):
        place.world.change("ravan", call.call_id, summary=summary)
        assert place.run("ravan", everything, "backfill").status == "succeeded"
    assert len(place.received(call.call_id)) == 2
    assert differences(place, "ravan") == []


def test_a_call_that_somebody_else_wrote_meanwhile_is_merged(db: Engine) -> None:
    place = house(db)
    place.sync("ringg")
    rows = "SELECT provider_call_id, cost, outcome, turn_count FROM warehouse.calls ORDER BY 1"
    before, call_id = place.rows(rows), any_call(place, "ringg")
    source, provider = place.sources["ringg"], providers()["ringg"]
    came = read_received(provider, source, place.received(call_id)[0], 1_000_000)
    assert came.reading is not None
    found = transform_record(provider, came.reading, came.record.payload)
    assert isinstance(found, Call)
    assert came.key is not None
    writing = WriteContext("ringg", "ringg", None, NOW)
    entry = plan_row(writing, came.key, None, found, came.record)
    with db.begin() as connection:
        assert write(connection, writing, [entry]) == []
    assert place.rows(rows) == before


def test_what_was_said_is_found_by_an_index(db: Engine) -> None:
    place = house(db)
    place.sync("ringg")
    [turn] = place.rows("SELECT call_key, text FROM bi.transcript_turns ORDER BY length(text) DESC LIMIT 1")
    query = "SELECT call_key, transcript FROM bi.transcripts WHERE words @@ websearch_to_tsquery('simple', :words)"
    found = place.rows(query, words=turn["text"])
    assert turn["call_key"] in {row["call_key"] for row in found}
    assert all(turn["text"] in row["transcript"] for row in found if row["call_key"] == turn["call_key"])
    plan = " ".join(row["QUERY PLAN"] for row in place.rows(f"EXPLAIN {query}", words=turn["text"]))
    assert "ix_transcripts_words" in plan


def test_an_enormous_transcript_is_held_whole_and_found_by_its_beginning(db: Engine) -> None:
    place, _ = shelved(db, ringg("a", transcript="user: aardvark " + " ".join(f"word{n}" for n in range(200_000))))
    place.sync("ringg")
    assert place.one("SELECT length(text) FROM bi.transcript_turns") > 1_500_000
    query = "SELECT count(*) FROM bi.transcripts WHERE words @@ websearch_to_tsquery('simple', 'aardvark word9')"
    assert place.one(query) == 1
