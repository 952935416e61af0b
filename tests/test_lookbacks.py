"""Lookbacks: which windows the schedule reads again, no more of them than needed, and that late changes arrive."""

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Engine

from etl.sandbox.expected import expected_rows
from etl.sandbox.lifecycle import Stage
from etl.sandbox.world import World
from tests.fakes import FakeClock
from tests.harness import (
    NOW,
    PROVIDERS,
    Harness,
    counts_add_up,
    differences,
    hours,
    make_harness,
    make_live_harness,
    requests_of,
    run_killed_at,
)

SETTLED = timedelta(days=3)  # the last change comes a day and a half after the end, and a lookback a day later
CHANGES = "SELECT call_key, field, old_value, new_value FROM warehouse.changes ORDER BY change_id"


def scheduled(harness: Harness, name: str, minutes: float) -> None:
    """Run once by the schedule, some minutes later."""
    harness.clock.sleep(minutes * 60)
    report = harness.run(name, by_hand=False)
    assert (report.status, report.error) == ("succeeded", None)


def calls(harness: Harness, name: str) -> dict[str, dict[str, Any]]:
    return {
        row["provider_call_id"]: row
        for row in harness.rows("SELECT * FROM bi_pii.calls WHERE source = :name", name=name)
    }


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_stored_value_is_never_replaced_by_null(db: Engine, name: str) -> None:
    harness = make_live_harness(db, calls=40, days=2, per_hour=2.0)
    harness.sync(name)
    before = calls(harness, name)
    for _ in range(14):
        scheduled(harness, name, 30)
        now = calls(harness, name)
        for call_id, row in before.items():
            emptied = {column for column, value in row.items() if value is not None and now[call_id][column] is None}
            assert emptied <= {"is_human_answered"}  # a call that nobody took is tried again, and then nobody can tell
            assert now[call_id]["turn_count"] >= row["turn_count"]
            assert now[call_id]["is_final"] or not row["is_final"]
        before = now


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_change_has_the_time_of_the_run_that_found_it(db: Engine, name: str) -> None:
    harness = make_live_harness(db, calls=40, days=2)
    harness.sync(name)
    for _ in range(12):
        scheduled(harness, name, 20)
    costs = {row["call_key"]: row for row in harness.rows("SELECT * FROM bi_pii.call_changes WHERE field = 'cost'")}
    priced = {
        call.call_id: harness.world.snapshot(call, harness.clock.now()).lifecycle for call in harness.world.calls(name)
    }
    found = [(costs[row["call_key"]], row) for row in calls(harness, name).values() if row["call_key"] in costs]
    assert found
    for change, row in found:
        late = change["changed_at"] - priced[row["provider_call_id"]].reached[Stage.PRICED]
        assert timedelta(0) <= late <= hours(1.5)
        assert change["old_value"] is None
        assert float(change["new_value"]) == float(row["cost"])


def test_the_daily_lookback_reaches_back_to_an_open_call_of_ten_days_ago(db: Engine) -> None:
    clock = FakeClock(NOW)
    world = World(5, calls=200, days=12, clock=clock.now, now=NOW)
    harness = make_harness(db, world, "G12:size=10", clock=clock)
    old = next(call for call in world.calls("vaani") if call.created_at > NOW - timedelta(days=10))
    end = NOW + timedelta(hours=20)
    story = world.snapshot(old, NOW).lifecycle
    world.change("vaani", old.call_id, reached=(*story.reached[: Stage.ENDED], *(end,) * 4))
    harness.sync("vaani")
    assert calls(harness, "vaani")[old.call_id]["is_final"] is False
    for _ in range(23):
        scheduled(harness, "vaani", 60)
    assert calls(harness, "vaani")[old.call_id]["is_final"] is False
    for _ in range(2):
        scheduled(harness, "vaani", 60)
    assert calls(harness, "vaani")[old.call_id]["is_final"] is True
    assert [each for each in differences(harness, "vaani") if old.call_id in each] == []


def test_a_transcript_is_requested_once_and_while_not_ready_by_lookbacks_and_manual_runs(db: Engine) -> None:
    clock = FakeClock(NOW)
    world = World(5, calls=60, days=3, clock=clock.now, now=NOW)
    answered = [call for call in world.calls("vaani") if world.snapshot(call, NOW).lifecycle.is_answered]
    in_the_list = {call.call_id for call in answered if call.shape("chat", 5) == 0}  # its record shows the turns itself
    late = [
        call
        for call in answered
        if call.call_id not in in_the_list and NOW - timedelta(days=2) < call.created_at < NOW - hours(3)
    ][-1]
    turns = world.snapshot(late, NOW).lifecycle.turns
    world.change("vaani", late.call_id, turns=())
    harness = make_harness(db, world, clock=clock)

    def times() -> Counter[str]:
        return Counter(each.path.rpartition("/")[2] for each in requests_of(harness, "vaani", lists=False))

    harness.sync("vaani")
    rows = calls(harness, "vaani")
    due = {call_id for call_id, row in rows.items() if row["is_final"] and row["answered_at"] and call_id in times()}
    assert times() == dict.fromkeys(due, 1)
    silent = {call_id for call_id, row in rows.items() if row["is_final"] and row["answered_at"]} - due
    assert silent
    assert silent <= in_the_list
    assert all(rows[call_id]["has_transcript"] for call_id in silent)
    for _ in range(5):
        scheduled(harness, "vaani", 10)
    assert times()[late.call_id] == 1
    scheduled(harness, "vaani", 20)
    within = times()[late.call_id]
    assert within == (2 if late.created_at >= harness.clock.now() - hours(6) else 1)
    world.change("vaani", late.call_id, turns=turns)
    clock.sleep(1)
    harness.sync("vaani")
    assert times()[late.call_id] == within + 1
    assert calls(harness, "vaani")[late.call_id]["has_transcript"]
    assert max(count for call_id, count in times().items() if call_id != late.call_id) == 1
    harness.sync("vaani")
    assert times()[late.call_id] == within + 1


def test_an_interrupted_lookback_is_resumed(db: Engine) -> None:
    """Sixteen pages of it were read when the process was killed, and ten of them are stored."""
    name, clock = "autocalls", FakeClock(NOW)
    world = World(6, calls={name: 2_500}, days=6, clock=clock.now, now=NOW)
    harness = make_harness(db, world, clock=clock)
    harness.sync(name)
    clock.sleep(25 * 3_600)
    late = world.calls(name)[10].call_id
    world.change(name, late, ended_by="agent")
    before = len(requests_of(harness, name))
    assert run_killed_at(harness, name, 16)
    scheduled(harness, name, 5)
    assert calls(harness, name)[late]["updated_at"] == NOW + timedelta(hours=25)
    assert len(requests_of(harness, name)) - before <= 25 + 10 + 3


@pytest.mark.parametrize("name", ["ringg", "ravan", "vaani"])
def test_a_head_of_many_pages_is_one_request_while_all_of_it_is_stored_and_final(db: Engine, name: str) -> None:
    clock = FakeClock(NOW)
    world = World(6, calls={name: 60}, days=0.01, clock=clock.now, now=NOW)
    harness = make_harness(db, world, "G12:size=10", clock=clock)
    harness.sync(name)
    clock.sleep(3 * 86_400)
    harness.sync(name)  # what ended meanwhile, and every lookback
    lists = len(world.phones) if name == "ravan" else 1

    def requests_of_a_run() -> int:
        before = len(requests_of(harness, name))
        scheduled(harness, name, 5)
        return len(requests_of(harness, name)) - before

    assert requests_of_a_run() == lists
    harness.execute("UPDATE warehouse.calls SET is_final = NULL")
    assert requests_of_a_run() > lists


def follow(harness: Harness, name: str, span: timedelta, step: timedelta) -> None:
    """Run by the schedule for a time span."""
    end = harness.clock.now() + span
    while harness.clock.now() < end:
        harness.clock.sleep(step.total_seconds())
        report = harness.run(name, by_hand=False)
        assert (report.status, report.error) == ("succeeded", None)


def open_calls(harness: Harness, name: str) -> set[str]:
    since = harness.clock.now() - SETTLED
    return {call.call_id for call in harness.world.calls(name) if call.created_at >= since}


@pytest.mark.parametrize(("order", "name"), [("desc", name) for name in PROVIDERS] + [("asc", "vaani")])
def test_days_of_scheduled_runs_store_every_change(db: Engine, name: str, order: str) -> None:
    harness = make_live_harness(db, calls=40, days=4, per_hour=0.7, order=order)
    harness.sync(name)
    follow(harness, name, timedelta(days=5), hours(2))
    young = open_calls(harness, name)
    found = differences(harness, name)
    assert [each for each in found if "not stored" in each] == []
    assert [each for each in found if each.partition(".")[0] not in young] == []
    assert len(expected_rows(harness.world, name)) - len(young) > 50
    assert counts_add_up(harness)


def test_a_change_is_recorded_once_with_its_old_and_new_value(db: Engine) -> None:
    harness = make_live_harness(db, calls=40, days=2, per_hour=2.0)
    harness.sync("autocalls")
    follow(harness, "autocalls", timedelta(days=2), hours(0.5))
    chains: dict[tuple[object, str], list[tuple[str | None, str | None]]] = defaultdict(list)
    for row in harness.rows(CHANGES):
        chains[row["call_key"], row["field"]].append((row["old_value"], row["new_value"]))
    assert len(chains) > 50
    for chain in chains.values():
        assert all(old != new for old, new in chain)
        assert all(earlier[1] == later[0] for earlier, later in pairwise(chain))
    statuses = {row["call_key"]: row["provider_status"] for row in harness.rows("SELECT * FROM bi_pii.calls")}
    assert all(chain[-1][1] == statuses[key] for (key, field), chain in chains.items() if field == "provider_status")


@pytest.mark.parametrize("name", ["ringg", "vaani"])
def test_lookbacks_happen_when_they_are_due_and_only_then(db: Engine, name: str) -> None:
    harness = make_live_harness(db, calls=120, days=12)
    harness.sync(name)
    follow(harness, name, timedelta(days=1), hours(3))  # until the live calls are over
    completed: dict[float, list[datetime]] = defaultdict(list)
    requests = []
    for _ in range(26 * 2):
        before = len(requests_of(harness, name))
        follow(harness, name, hours(0.5), hours(0.5))
        requests.append(len(requests_of(harness, name)) - before)
        for row in harness.rows("SELECT window_seconds, completed_at FROM ops.lookbacks"):
            times = completed[float(row["window_seconds"])]
            times += [row["completed_at"]] if row["completed_at"] not in times else []
    for lookback in harness.sources[name].lookbacks:
        times = completed[lookback.window.total_seconds()]
        waits = [later - earlier for earlier, later in pairwise(times)]
        assert waits
        assert max(waits) <= lookback.interval + hours(0.6)
    daily = completed[timedelta(days=7).total_seconds()]
    assert min(later - earlier for earlier, later in pairwise(daily)) >= timedelta(days=1)
    assert requests.count(1) >= len(requests) - len(daily) - 1


def test_a_final_call_past_the_last_lookback_is_not_read_again(db: Engine) -> None:
    harness = make_live_harness(db, calls=40, days=10)
    harness.sync("ravan")
    rows = harness.rows("SELECT * FROM bi_pii.calls")
    week = timedelta(days=7)
    assert {row["is_final"] for row in rows} == {True, False}
    for row in rows:
        assert row["settled_at"] == (row["created_at"] + week if row["is_final"] else None)


@pytest.mark.parametrize("name", ["ravan", "vaani"])
def test_a_call_that_shows_up_late_is_found_by_a_lookback(db: Engine, name: str) -> None:
    harness = make_live_harness(db, calls=40, days=5)
    harness.sync(name)
    follow(harness, name, hours(2), hours(1))
    for age in (1, 5, 30, 100):
        harness.world.add(name, harness.clock.now() - hours(age))
    follow(harness, name, hours(27), hours(1))
    assert [each for each in differences(harness, name) if "not stored" in each] == []


def test_a_late_transcript_is_requested_until_it_is_ready(db: Engine) -> None:
    harness = make_live_harness(db, calls=60, days=1)
    harness.sync("vaani")
    follow(harness, "vaani", hours(30), hours(2))
    assert [each for each in differences(harness, "vaani") if ".turns" in each] == []
    every = [each.path for each in requests_of(harness, lists=False)]
    assert max(every.count(path) for path in every) <= 40
