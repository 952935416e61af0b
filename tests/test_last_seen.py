"""What a complete scan no longer lists is marked as delisted; retention and an empty list are not deletion."""

import re
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
import pytest
from sqlalchemy import Engine

from etl import pipeline
from etl.db.statements import fetch_all
from etl.model import Window
from etl.state.last_seen import SQL
from etl.sync.checkpoint import BEGINNING
from etl.sync.run import RunResult
from tests.harness import NOW, PROVIDERS, Harness, InterceptingTransport, counts_add_up, make_harness, make_live_harness

ORDERS = ("desc", "asc", "unsorted")


def read_again(harness: Harness, name: str) -> RunResult:
    """Backfill the whole history again."""
    window = Window(BEGINNING, harness.clock.now())
    return harness.run(name, partial(pipeline.backfill, window=window, again=True), "backfill")


def missing(harness: Harness, name: str) -> set[str]:
    query = "SELECT provider_call_id AS id FROM bi.calls WHERE source = :source AND delisted_at IS NOT NULL"
    return {row["id"] for row in harness.rows(query, source=name)}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", PROVIDERS)
def test_a_call_that_is_gone_is_marked_and_one_that_comes_back_is_not(db: Engine, name: str, order: str) -> None:
    harness = make_live_harness(db, 60, order=order)
    harness.sync(name)
    middle = harness.world.calls(name)[30].call_id
    harness.clock.sleep(3600)
    harness.world.delete(name, middle)
    harness.clock.sleep(3600)
    report = read_again(harness, name)
    assert (report.status, report.error) == ("succeeded", None)
    assert missing(harness, name) == {middle}
    assert any("no longer listed" in note for note in report.notes)
    assert middle in harness.stored_ids(name)
    assert harness.rows("SELECT field FROM bi.call_changes WHERE field = 'delisted_at'") == [{"field": "delisted_at"}]
    assert harness.scalar("SELECT bool_and(completeness = 'count_match') FROM ops.streams")
    assert counts_add_up(harness)

    harness.world.restore(name, middle)
    report = read_again(harness, name)
    assert missing(harness, name) == set()
    assert (report.counts.updated, report.counts.inserted) == (1, 0)
    written = harness.tuple_counts()
    read_again(harness, name)
    assert harness.tuple_counts() == written


PLANTED = """
    INSERT INTO warehouse.calls
           (call_key, source, provider, provider_call_id, direction, outcome, is_answered, created_at, answered_by,
            ended_by, turn_count, has_transcript, quality_flags, first_seen_at, changed_at, latest_request_seq,
            content_hash)
    SELECT gen_random_uuid(), 'ringg', 'ringg', n::text, 'outbound', 'completed', true, now() - interval '1 day',
           'unknown', 'unknown', 0, false, '{}', now() - interval '1 day', now(), 1, ''
      FROM generate_series(1, 5000) n
"""


def test_statistics_from_before_the_run_do_not_make_delisting_compare_all_with_all(db: Engine) -> None:
    harness = make_harness(db)
    harness.sync("ringg")
    harness.execute("DELETE FROM warehouse.calls")
    harness.execute(PLANTED)
    harness.execute("INSERT INTO ops.call_last_seen SELECT call_key, now() - interval '1 hour', 1 FROM warehouse.calls")
    harness.execute("ANALYZE ops.call_last_seen, warehouse.calls")
    harness.execute("UPDATE ops.call_last_seen SET seen_at = now(), run_id = 2")
    values = {"now": NOW, "source": "ringg", "start": BEGINNING, "end": datetime.now(UTC), "partition": "", "run_id": 2}
    values |= {"began": datetime.now(UTC) - timedelta(minutes=1), "since": None}
    with db.begin() as connection:
        statement = b"EXPLAIN (ANALYZE, FORMAT JSON) " + SQL.mark_delisted
        (row,) = fetch_all(connection, statement, values)
    compared = re.findall(r"'Rows Removed by (?:Join )?Filter': (\d+)", str(row[0]))
    assert sum(map(int, compared)) <= 10_000
    assert missing(harness, "ringg") == set()


@pytest.mark.parametrize("step", [-7200, 7200, -(10**8)])
def test_a_clock_that_steps_during_a_scan_and_is_put_right_delists_nothing(db: Engine, step: int) -> None:
    harness = make_harness(db)
    harness.sync("vaani")
    harness.clock.sleep(3600)
    sandbox = harness.transport

    def steps(number: int, request: httpx.Request) -> None:
        harness.clock.step({1: step, 2: -step}.get(number, 0))

    harness.transport = InterceptingTransport(sandbox, steps)
    read_again(harness, "vaani")
    assert missing(harness, "vaani") == set()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", PROVIDERS)
def test_the_oldest_calls_that_leave_together_are_retention(db: Engine, name: str, order: str) -> None:
    harness = make_live_harness(db, 60, order=order)
    harness.sync(name)
    harness.clock.sleep(3600)
    for call in harness.world.calls(name)[:7]:
        harness.world.delete(name, call.call_id)
    read_again(harness, name)
    assert missing(harness, name) == set()
    assert len(harness.stored_ids(name)) == 60
    assert harness.scalar("SELECT bool_and(completeness = 'count_match') FROM ops.streams")
    harness.clock.sleep(3600)
    harness.sync(name)
    assert harness.scalar("SELECT bool_and(completeness = 'count_match') FROM ops.streams")


def test_calls_that_are_listed_again_are_not_missing(db: Engine) -> None:
    harness = make_live_harness(db, 60)
    harness.sync("vaani")
    harness.clock.sleep(3600)
    forgotten = [call.call_id for call in harness.world.calls("vaani")[:7]]
    for call_id in forgotten:
        harness.world.delete("vaani", call_id)
    read_again(harness, "vaani")
    of_list = "SELECT remote_oldest_at IS NULL, completeness, reason FROM ops.streams"
    for back, expected in ((forgotten[4:], (False, "unknown")), (forgotten[:4], (True, "count_match"))):
        for call_id in back:
            harness.world.restore("vaani", call_id)
        harness.clock.sleep(3600)
        harness.sync("vaani")
        *found, reason = harness.rows(of_list)[0].values()
        assert tuple(found) == expected
        assert expected[1] == "count_match" or "listed again" in str(reason)


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_list_that_is_empty_all_at_once_says_nothing_about_its_calls(db: Engine, name: str) -> None:
    harness = make_live_harness(db, 20)
    harness.sync(name)
    harness.clock.sleep(3600)
    for call in harness.world.calls(name):
        harness.world.delete(name, call.call_id)
    read_again(harness, name)
    assert missing(harness, name) == set()
    assert harness.scalar("SELECT bool_and(completeness = 'unknown') FROM ops.streams")


def test_a_lookback_on_a_filtered_list_is_a_complete_scan_of_its_window(db: Engine) -> None:
    harness = make_live_harness(db, 200, days=10)
    harness.sync("ringg")
    calls = harness.world.calls("ringg")
    recent, old = calls[-30], calls[5]
    assert harness.clock.now() - recent.created_at < timedelta(days=6) < harness.clock.now() - old.created_at
    harness.clock.sleep(86_400)
    for call in (recent, old):
        harness.world.delete("ringg", call.call_id)
    harness.sync("ringg")
    assert missing(harness, "ringg") == {recent.call_id}
