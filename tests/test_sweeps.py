"""What the schedule asks for between and within sweeps: no more than it has to, and nothing becomes poorer by it."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from etl.sandbox.lifecycle import Stage
from etl.sandbox.world import World
from tests.clocks import FakeClock
from tests.worlds import (
    NOW,
    PROVIDERS,
    House,
    asked,
    differences,
    hours,
    house,
    moving,
    run_killed_at,
)


def scheduled(place: House, name: str, minutes: float) -> None:
    """One run by the schedule, so much later."""
    place.clock.sleep(minutes * 60)
    report = place.run(name, by_hand=False)
    assert (report.status, report.error) == ("succeeded", None)


def calls(place: House, name: str) -> dict[str, dict[str, Any]]:
    return {
        row["provider_call_id"]: row for row in place.rows("SELECT * FROM bi.calls WHERE source = :name", name=name)
    }


@pytest.mark.parametrize("name", PROVIDERS)
def test_nothing_that_is_held_becomes_poorer(db: Engine, name: str) -> None:
    place = moving(db, calls=40, days=2, per_hour=2.0)
    place.sync(name)
    before = calls(place, name)
    for _ in range(14):
        scheduled(place, name, 30)
        now = calls(place, name)
        for call_id, row in before.items():
            emptied = {column for column, value in row.items() if value is not None and now[call_id][column] is None}
            assert emptied == set()
            assert now[call_id]["turn_count"] >= row["turn_count"]
            assert now[call_id]["is_final"] or not row["is_final"]
        before = now


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_change_is_noted_at_the_time_of_the_run_that_saw_it(db: Engine, name: str) -> None:
    place = moving(db, calls=40, days=2)
    place.sync(name)
    for _ in range(12):
        scheduled(place, name, 20)
    costs = {row["call_key"]: row for row in place.rows("SELECT * FROM bi.call_changes WHERE field = 'cost'")}
    priced = {call.call_id: place.world.seen(call, place.clock.now()).story for call in place.world.calls(name)}
    found = [(costs[row["call_key"]], row) for row in calls(place, name).values() if row["call_key"] in costs]
    assert found
    for change, row in found:
        late = change["changed_at"] - priced[row["provider_call_id"]].reached[Stage.PRICED]
        assert timedelta(0) <= late <= hours(1.5)
        assert change["old_value"] is None
        assert float(change["new_value"]) == float(row["cost"])


def test_the_daily_sweep_goes_back_to_a_call_of_ten_days_ago_that_is_not_final(db: Engine) -> None:
    clock = FakeClock(NOW)
    world = World(5, calls=200, days=12, clock=clock.now, now=NOW)
    place = house(db, world, "G12:size=10", clock=clock)
    old = next(call for call in world.calls("vaani") if call.created_at > NOW - timedelta(days=10))
    end = NOW + timedelta(hours=20)
    story = world.seen(old, NOW).story
    world.change("vaani", old.call_id, reached=(*story.reached[: Stage.ENDED], *(end,) * 4))
    place.sync("vaani")
    assert calls(place, "vaani")[old.call_id]["is_final"] is False
    for _ in range(23):
        scheduled(place, "vaani", 60)
    assert calls(place, "vaani")[old.call_id]["is_final"] is False
    for _ in range(2):
        scheduled(place, "vaani", 60)
    assert calls(place, "vaani")[old.call_id]["is_final"] is True
    assert [each for each in differences(place, "vaani") if old.call_id in each] == []


def test_a_transcript_is_asked_for_once_and_where_it_is_not_ready_by_sweeps_and_by_hand(db: Engine) -> None:
    clock = FakeClock(NOW)
    world = World(5, calls=60, days=3, clock=clock.now, now=NOW)
    answered = [call for call in world.calls("vaani") if world.seen(call, NOW).story.is_answered]
    in_the_list = {call.call_id for call in answered if call.shape("chat", 5) == 0}  # its record shows the turns itself
    late = [
        call
        for call in answered
        if call.call_id not in in_the_list and NOW - timedelta(days=2) < call.created_at < NOW - hours(3)
    ][-1]
    turns = world.seen(late, NOW).story.turns
    world.change("vaani", late.call_id, turns=())
    place = house(db, world, clock=clock)

    def times() -> Counter[str]:
        return Counter(each.path.rpartition("/")[2] for each in asked(place, "vaani", lists=False))

    place.sync("vaani")
    rows = calls(place, "vaani")
    due = {call_id for call_id, row in rows.items() if row["is_final"] and row["answered_at"] and call_id in times()}
    assert times() == dict.fromkeys(due, 1)
    silent = {call_id for call_id, row in rows.items() if row["is_final"] and row["answered_at"]} - due
    assert silent
    assert silent <= in_the_list
    assert all(rows[call_id]["has_transcript"] for call_id in silent)
    for _ in range(5):
        scheduled(place, "vaani", 10)
    assert times()[late.call_id] == 1
    scheduled(place, "vaani", 20)
    within = times()[late.call_id]
    assert within == (2 if late.created_at >= place.clock.now() - hours(6) else 1)
    world.change("vaani", late.call_id, turns=turns)
    clock.sleep(1)
    place.sync("vaani")
    assert times()[late.call_id] == within + 1
    assert calls(place, "vaani")[late.call_id]["has_transcript"]
    assert max(count for call_id, count in times().items() if call_id != late.call_id) == 1
    place.sync("vaani")
    assert times()[late.call_id] == within + 1


def test_a_sweep_that_was_cut_off_is_gone_on_with_and_not_begun_anew(db: Engine) -> None:
    """Sixteen pages of it were read when the process was killed, and ten of them are held."""
    name, clock = "autocalls", FakeClock(NOW)
    world = World(6, calls={name: 2_500}, days=6, clock=clock.now, now=NOW)
    place = house(db, world, clock=clock)
    place.sync(name)
    clock.sleep(25 * 3_600)
    late = world.calls(name)[10].call_id
    world.change(name, late, ended_by="agent")
    before = len(asked(place, name))
    assert run_killed_at(place, name, 16)
    scheduled(place, name, 5)
    assert calls(place, name)[late]["updated_at"] == NOW + timedelta(hours=25)
    assert len(asked(place, name)) - before <= 25 + 10 + 3


@pytest.mark.parametrize("name", ["ringg", "ravan", "vaani"])
def test_a_head_of_many_pages_is_asked_for_once_while_all_in_it_is_held_and_settled(db: Engine, name: str) -> None:
    clock = FakeClock(NOW)
    world = World(6, calls={name: 60}, days=0.01, clock=clock.now, now=NOW)
    place = house(db, world, "G12:size=10", clock=clock)
    place.sync(name)
    clock.sleep(3 * 86_400)
    place.sync(name)  # what ended meanwhile, and every sweep
    lists = len(world.phones) if name == "ravan" else 1

    def requests_of_a_run() -> int:
        before = len(asked(place, name))
        scheduled(place, name, 5)
        return len(asked(place, name)) - before

    assert requests_of_a_run() == lists
    place.do("UPDATE warehouse.calls SET is_final = NULL")
    assert requests_of_a_run() > lists
