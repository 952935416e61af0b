"""What the database refuses: bad data quarantines one call, a server error fails the run."""

import json
import tracemalloc
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine

from etl import pipeline
from etl.extractors import providers
from etl.loader.batch import WriteContext, read_received
from etl.loader.plan import insert
from etl.loader.writer import write
from etl.model import Call, Window
from etl.sandbox.world import World
from etl.sync.checkpoint import BEGINNING
from etl.sync.replay import retry
from etl.transformer import transform_record
from tests.harness import NOW, PROVIDERS, Harness, counts_add_up, differences, hours, make_harness
from tests.stub_provider import make_stub_harness, ringg_record

PLANT = "ALTER TABLE warehouse.calls ADD CONSTRAINT planted CHECK (provider_call_id <> '{}')"
RAISE = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.provider_call_id = '{}' THEN RAISE EXCEPTION 'refused' USING ERRCODE = '{}'; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON warehouse.calls FOR EACH ROW EXECUTE FUNCTION refuse()
"""
FIX = "DROP TRIGGER refuse ON warehouse.calls"


def any_call(harness: Harness, name: str) -> str:
    return harness.world.calls(name)[17].call_id


@pytest.mark.parametrize("code", ["22003", "22021", "23514", "54000"])
@pytest.mark.parametrize("name", PROVIDERS)
def test_bad_data_is_quarantined_alone(db: Engine, name: str, code: str) -> None:
    harness = make_harness(db)
    bad = any_call(harness, name)
    harness.execute(RAISE.format(bad, code))
    harness.sync(name)
    assert harness.stored_ids(name) == {call.call_id for call in harness.world.calls(name)} - {bad}
    [kept] = harness.rows("SELECT * FROM ops.quarantine")
    assert kept["provider_call_id"] == bad
    assert code in kept["reason"]
    assert bad.encode() in bytes(kept["payload"])
    assert counts_add_up(harness)


@pytest.mark.parametrize(
    "code", ["53100", "53200", "58030", "XX000", "40001", "40P01", "55P03", "57014", "42501", "25006"]
)
def test_a_server_error_fails_the_run_and_quarantines_nothing(db: Engine, code: str) -> None:
    harness = make_harness(db)
    harness.execute(RAISE.format(any_call(harness, "ravan"), code))
    report = harness.run("ravan")
    assert report.status == "failed"
    assert code in str(report.error)
    assert harness.scalar("SELECT count(*) FROM ops.quarantine") == 0
    assert harness.scalar("SELECT count(*) FROM warehouse.calls") < len(harness.world.calls("ravan"))
    harness.execute(FIX)
    harness.sync("ravan")
    assert differences(harness, "ravan") == []


def test_a_record_in_quarantine_waits_and_is_seen_again(db: Engine) -> None:
    harness = make_harness(db, World(3, calls=40, days=5, now=NOW))
    bad = any_call(harness, "autocalls")
    harness.execute(PLANT.format(bad))
    harness.sync("autocalls")
    [before] = harness.rows("SELECT * FROM ops.quarantine")
    assert "planted" in before["reason"]
    harness.clock.sleep(hours(25).total_seconds())
    harness.sync("autocalls")
    [after] = harness.rows("SELECT * FROM ops.quarantine")
    assert after.pop("last_seen_at") > before.pop("last_seen_at")
    assert after == before
    assert harness.scalar("SELECT quarantined FROM bi.freshness") == 1


@pytest.mark.parametrize("by", ["sync", "retry"])
def test_a_record_in_quarantine_loads_once_it_can(db: Engine, by: str) -> None:
    harness = make_harness(db, World(3, calls=40, days=5, now=NOW))
    harness.execute(PLANT.format(any_call(harness, "vaani")))
    harness.sync("vaani")
    harness.execute("ALTER TABLE warehouse.calls DROP CONSTRAINT planted")
    harness.clock.sleep(hours(25).total_seconds())
    if by == "retry":
        assert harness.run("vaani", retry, "replay").status == "succeeded"
        assert harness.scalar("SELECT count(*) FROM warehouse.calls") == len(harness.world.calls("vaani"))
    harness.sync("vaani")
    assert differences(harness, "vaani") == []
    assert harness.scalar("SELECT resolved_at IS NOT NULL FROM ops.quarantine")
    assert harness.scalar("SELECT quarantined FROM bi.freshness") == 0


def test_what_is_refused_again_stays(db: Engine) -> None:
    harness = make_harness(db)
    harness.execute(PLANT.format(any_call(harness, "ringg")))
    harness.sync("ringg")
    harness.run("ringg", retry, "replay")
    assert harness.scalar("SELECT resolved_at IS NULL FROM ops.quarantine")
    assert counts_add_up(harness)


def test_a_shorter_transcript_takes_the_surplus_turns_with_it(db: Engine) -> None:
    harness = make_harness(db, World(3, calls=40, days=5, now=NOW))
    harness.sync("autocalls")
    talker = max(harness.rows("SELECT * FROM bi.calls"), key=lambda row: row["turn_count"])
    call_id, key = talker["provider_call_id"], talker["call_key"]
    call = harness.world.find("autocalls", call_id)
    assert call is not None
    turns = harness.world.snapshot(call, NOW).lifecycle.turns
    harness.world.change("autocalls", call_id, turns=turns[:2])
    harness.clock.sleep(hours(25).total_seconds())
    harness.sync("autocalls")
    assert differences(harness, "autocalls") == []
    assert harness.scalar("SELECT count(*) FROM bi.transcript_turns WHERE call_key = :key", key=key) == 2
    changed = harness.rows("SELECT field FROM bi.call_changes WHERE call_key = :key", key=key)
    assert "transcript" in {row["field"] for row in changed}


def test_a_version_that_comes_back_is_kept_once_and_is_the_newest_again(db: Engine) -> None:
    harness = make_harness(db, World(3, calls=40, days=5, now=NOW))
    call = harness.world.calls("ravan")[17]
    everything = partial(pipeline.backfill, window=Window(BEGINNING, NOW), again=True)
    harness.sync("ravan")
    first = harness.world.snapshot(call, NOW).lifecycle
    for summary in ("Another one.", first.summary):
        harness.world.change("ravan", call.call_id, summary=summary)
        assert harness.run("ravan", everything, "backfill").status == "succeeded"
    assert len(harness.versions_of(call.call_id)) == 2
    assert differences(harness, "ravan") == []


def test_a_call_that_somebody_else_wrote_meanwhile_is_merged(db: Engine) -> None:
    harness = make_harness(db)
    harness.sync("ringg")
    rows = "SELECT provider_call_id, cost, outcome, turn_count FROM warehouse.calls ORDER BY 1"
    before, call_id = harness.rows(rows), any_call(harness, "ringg")
    source, provider = harness.sources["ringg"], providers()["ringg"]
    came = read_received(provider, source, harness.versions_of(call_id)[0], 1_000_000)
    assert came.context is not None
    found = transform_record(provider, came.context)
    assert isinstance(found, Call)
    ctx = WriteContext("ringg", "ringg", None, NOW, b"key")
    change = insert(ctx, found, came)
    with db.begin() as connection:
        assert write(connection, ctx, [change]) == ([change], [])
    assert harness.rows(rows) == before


def test_a_value_that_fits_no_column_is_refused_alone(db: Engine) -> None:
    harness, _ = make_stub_harness(db, ringg_record("first"))
    harness.sync("ringg")
    source, provider, ctx = (
        harness.sources["ringg"],
        providers()["ringg"],
        WriteContext("ringg", "ringg", None, NOW, b"key"),
    )
    odd: dict[str, dict[str, Any]] = {
        "good": {},
        "name": {"customer_name": "\ud800"},
        "json": {"extra": {"a": "\ud800"}},
    }
    odd |= {
        "flag": {"quality_flags": ["\ud800"]},
        "cost": {"cost": Decimal("NaN")},
        "number": {"cost": Decimal("1E+999999")},
    }
    changes = []
    for name, columns in odd.items():
        came = read_received(provider, source, ringg_record(name), 1_000_000)
        assert came.context is not None
        found = transform_record(provider, came.context)
        assert isinstance(found, Call)
        changes.append(insert(ctx, found._replace(columns={**found.columns, **columns}), came))
    with db.begin() as connection:
        written, refused = write(connection, ctx, changes)
    assert written == changes[:1]
    reasons = {record.call_id: record.error for record in refused}
    assert {reasons.pop(name) for name in ("name", "json", "flag")} == {"a value does not fit its column"}
    assert "numbers_are_numbers" in str(reasons.pop("cost"))
    assert list(reasons) == ["number"]
    assert harness.stored_ids("ringg") == {"first", "good"}


def test_transcripts_are_searched_by_an_index(db: Engine) -> None:
    harness = make_harness(db)
    harness.sync("ringg")
    [turn] = harness.rows(  # names are nobody's to search
        "SELECT call_key, text FROM bi_pii.transcript_turns JOIN bi_pii.calls USING (call_key)"
        " WHERE strpos(text, split_part(customer_name, ' ', 1)) = 0 ORDER BY length(text) DESC LIMIT 1"
    )
    matches = "search_vector @@ websearch_to_tsquery('bi.words', :words)"
    query = f"SELECT call_key, transcript FROM bi_pii.transcripts WHERE {matches}"
    found = harness.rows(query, words=turn["text"])
    assert turn["call_key"] in {row["call_key"] for row in found}
    assert all(turn["text"] in row["transcript"] for row in found if row["call_key"] == turn["call_key"])
    plan = " ".join(row["QUERY PLAN"] for row in harness.rows(f"EXPLAIN {query}", words=turn["text"]))
    assert "ix_transcripts_tsv" in plan
    vector = "warehouse.transcript_tsv(t.texts, t.customer_name)"
    by_page = f"SELECT FROM warehouse.transcripts t WHERE {vector} @@ CAST('sun' AS tsquery)"
    plan = " ".join(row["QUERY PLAN"] for row in harness.rows(f"EXPLAIN {by_page}"))
    assert "ix_transcripts_tsv" in plan
    assert "to_tsvector" in plan, "the function is not inlined"


def test_a_phrase_is_found_within_one_turn_and_words_in_any(db: Engine) -> None:
    harness, _ = make_stub_harness(db, ringg_record("a", transcript="user: call me back\nbot: tomorrow at nine"))
    harness.sync("ringg")
    query = "SELECT count(*) FROM bi.transcripts WHERE search_vector @@ websearch_to_tsquery('simple', :words)"
    found = {words: harness.scalar(query, words=words) for words in ('"me back"', '"back tomorrow"', "nine call")}
    assert found == {'"me back"': 1, '"back tomorrow"': 0, "nine call": 1}


@pytest.mark.parametrize(
    "said", ["a/b", "see https://r.example/1.mp3?sig=5ecret", "x.mp3?sig=5ecret", "100%2f%2Fb?c=d"]
)
def test_what_may_be_a_link_is_searched_without_its_signature(db: Engine, said: str) -> None:
    harness, _ = make_stub_harness(db, ringg_record("a", transcript=f"user: {said} thanks\nbot: bye"))
    harness.sync("ringg")
    vector = "warehouse.transcript_tsv(texts, customer_name)"
    bare = f"SELECT warehouse.bare_transcript_tsv(texts) = {vector} FROM warehouse.transcripts"
    assert harness.scalar(bare)
    assert "5ecret" not in harness.scalar("SELECT CAST(search_vector AS text) FROM bi.transcripts")


def test_an_enormous_transcript_is_stored_whole_and_found_by_its_beginning(db: Engine) -> None:
    harness, _ = make_stub_harness(
        db,
        ringg_record(
            "a", transcript="user: aardvark " + " ".join(("word", "sun", "sea")[n % 3] for n in range(400_000))
        ),
    )
    harness.sync("ringg")
    assert harness.scalar("SELECT length(text) FROM bi_pii.transcript_turns") > 1_500_000
    query = "SELECT count(*) FROM bi.transcripts WHERE search_vector @@ websearch_to_tsquery('simple', 'aardvark sea')"
    assert harness.scalar(query) == 1


def test_a_page_that_is_too_large_for_memory_is_loaded_request_by_request(db: Engine) -> None:
    record = json.loads(ringg_record(0))
    harness, shelf = make_stub_harness(db)
    shelf.records = [json.dumps({**record, "id": n, "x": [{"a": 1}] * 40_000}).encode() for n in range(20)]
    tracemalloc.start()
    report = harness.sync("ringg")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.counts[:3] == (1, 20, 20)
    assert harness.scalar("SELECT count(*) FROM raw.payloads") == 4
    assert peak < 90 << 20  # all of them at once take 200 MB
    harness.sync("ringg")
    assert counts_add_up(harness)
