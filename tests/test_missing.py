"""What a certified whole reading no longer lists is marked missing; retention and silence are not deletion."""

from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import Engine

from etl import pipeline
from etl.model import Window
from etl.sync.checkpoint import BEGINNING
from etl.sync.run import RunResult
from tests.worlds import PROVIDERS, House, adds_up, moving

ORDERS = ("desc", "asc", "unsorted")


def read_again(place: House, name: str) -> RunResult:
    """The whole history, whatever is held of it."""
    window = Window(BEGINNING, place.clock.now())
    return place.run(name, partial(pipeline.backfill, window=window, again=True), "backfill")


def missing(place: House, name: str) -> set[str]:
    query = "SELECT provider_call_id AS id FROM bi.calls WHERE source = :source AND delisted_at IS NOT NULL"
    return {row["id"] for row in place.rows(query, source=name)}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", PROVIDERS)
def test_a_call_that_is_gone_is_marked_and_one_that_comes_back_is_not(db: Engine, name: str, order: str) -> None:
    place = moving(db, 60, order=order)
    place.sync(name)
    middle = place.world.calls(name)[30].call_id
    place.clock.sleep(3600)
    place.world.delete(name, middle)
    place.clock.sleep(3600)
    report = read_again(place, name)
    assert (report.status, report.error) == ("succeeded", None)
    assert missing(place, name) == {middle}
    assert any("no longer listed" in note for note in report.notes)
    assert middle in place.holds(name)
    assert place.rows("SELECT field FROM bi.call_changes WHERE field = 'delisted_at'") == [{"field": "delisted_at"}]
    assert place.one("SELECT bool_and(completeness = 'count_match') FROM ops.streams")
    assert adds_up(place)

    place.world.restore(name, middle)
    report = read_again(place, name)
    assert missing(place, name) == set()
    assert (report.counts.updated, report.counts.inserted) == (1, 0)
    written = place.written()
    read_again(place, name)
    assert place.written() == written


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", PROVIDERS)
def test_the_oldest_calls_that_leave_together_are_retention(db: Engine, name: str, order: str) -> None:
    place = moving(db, 60, order=order)
    place.sync(name)
    place.clock.sleep(3600)
    for call in place.world.calls(name)[:7]:
        place.world.delete(name, call.call_id)
    read_again(place, name)
    assert missing(place, name) == set()
    assert len(place.holds(name)) == 60
    assert place.one("SELECT bool_and(completeness = 'count_match') FROM ops.streams")
    place.clock.sleep(3600)
    place.sync(name)
    assert place.one("SELECT bool_and(completeness = 'count_match') FROM ops.streams")


def test_forgotten_calls_that_are_listed_again_are_no_gap(db: Engine) -> None:
    place = moving(db, 60)
    place.sync("vaani")
    place.clock.sleep(3600)
    forgotten = [call.call_id for call in place.world.calls("vaani")[:7]]
    for call_id in forgotten:
        place.world.delete("vaani", call_id)
    read_again(place, "vaani")
    of_list = "SELECT remote_oldest_at IS NULL, completeness, reason FROM ops.streams"
    for back, expected in ((forgotten[4:], (False, "unknown")), (forgotten[:4], (True, "count_match"))):
        for call_id in back:
            place.world.restore("vaani", call_id)
        place.clock.sleep(3600)
        place.sync("vaani")
        *found, reason = place.rows(of_list)[0].values()
        assert tuple(found) == expected
        assert expected[1] == "count_match" or "listed again" in str(reason)


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_list_that_is_empty_all_at_once_says_nothing_about_its_calls(db: Engine, name: str) -> None:
    place = moving(db, 20)
    place.sync(name)
    place.clock.sleep(3600)
    for call in place.world.calls(name):
        place.world.delete(name, call.call_id)
    read_again(place, name)
    assert missing(place, name) == set()
    assert place.one("SELECT bool_and(completeness = 'unknown') FROM ops.streams")


def test_a_sweep_of_a_list_with_a_filter_is_a_whole_reading_of_its_window(db: Engine) -> None:
    place = moving(db, 200, days=10)
    place.sync("ringg")
    calls = place.world.calls("ringg")
    recent, old = calls[-30], calls[5]
    assert place.clock.now() - recent.created_at < timedelta(days=6) < place.clock.now() - old.created_at
    place.clock.sleep(86_400)
    for call in (recent, old):
        place.world.delete("ringg", call.call_id)
    place.sync("ringg")
    assert missing(place, "ringg") == {recent.call_id}
