"""Calls that come, go on, end and change for days, read by the schedule alone: in the end all of it is held."""

from collections import defaultdict
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import Engine

from etl.sandbox.expected import expected_rows
from tests.worlds import PROVIDERS, House, adds_up, asked, differences, hours, moving

SETTLED = timedelta(days=3)  # the last change comes a day and a half after the end, and a sweep a day later
CHANGES = "SELECT call_key, field, old_value, new_value FROM warehouse.changes ORDER BY change_id"


def follow(place: House, name: str, span: timedelta, step: timedelta) -> None:
    """Run by the schedule for a while."""
    end = place.clock.now() + span
    while place.clock.now() < end:
        place.clock.sleep(step.total_seconds())
        report = place.run(name, by_hand=False)
        assert (report.status, report.error) == ("succeeded", None)


def open_calls(place: House, name: str) -> set[str]:
    since = place.clock.now() - SETTLED
    return {call.call_id for call in place.world.calls(name) if call.created_at >= since}


@pytest.mark.parametrize(("order", "name"), [("desc", name) for name in PROVIDERS] + [("asc", "vaani")])
def test_days_of_schedule_hold_every_change(db: Engine, name: str, order: str) -> None:
    place = moving(db, calls=40, days=4, per_hour=0.7, order=order)
    place.sync(name)
    follow(place, name, timedelta(days=5), hours(2))
    young = open_calls(place, name)
    found = differences(place, name)
    assert [each for each in found if "not held" in each] == []
    assert [each for each in found if each.partition(".")[0] not in young] == []
    assert len(expected_rows(place.world, name)) - len(young) > 50
    assert adds_up(place)


def test_a_change_is_noted_once_and_leads_from_the_old_to_the_new(db: Engine) -> None:
    place = moving(db, calls=40, days=2, per_hour=2.0)
    place.sync("autocalls")
    follow(place, "autocalls", timedelta(days=2), hours(0.5))
    chains: dict[tuple[object, str], list[tuple[str | None, str | None]]] = defaultdict(list)
    for row in place.rows(CHANGES):
        chains[row["call_key"], row["field"]].append((row["old_value"], row["new_value"]))
    assert len(chains) > 50
    for chain in chains.values():
        assert all(old != new for old, new in chain)
        assert all(earlier[1] == later[0] for earlier, later in pairwise(chain))
    statuses = {row["call_key"]: row["provider_status"] for row in place.rows("SELECT * FROM bi.calls")}
    assert all(chain[-1][1] == statuses[key] for (key, field), chain in chains.items() if field == "provider_status")


@pytest.mark.parametrize("name", ["ringg", "vaani"])
def test_sweeps_happen_when_they_are_due_and_only_then(db: Engine, name: str) -> None:
    place = moving(db, calls=120, days=12)
    place.sync(name)
    follow(place, name, timedelta(days=1), hours(3))  # until what was live is over
    swept: dict[float, list[datetime]] = defaultdict(list)
    requests = []
    for _ in range(26 * 2):
        before = len(asked(place, name))
        follow(place, name, hours(0.5), hours(0.5))
        requests.append(len(asked(place, name)) - before)
        for row in place.rows("SELECT window_seconds, completed_at FROM ops.lookbacks"):
            times = swept[float(row["window_seconds"])]
            times += [row["completed_at"]] if row["completed_at"] not in times else []
    for sweep in place.sources[name].lookbacks:
        times = swept[sweep.window.total_seconds()]
        waits = [later - earlier for earlier, later in pairwise(times)]
        assert waits
        assert max(waits) <= sweep.interval + hours(0.6)
    daily = swept[timedelta(days=7).total_seconds()]
    assert min(later - earlier for earlier, later in pairwise(daily)) >= timedelta(days=1)
    assert requests.count(1) >= len(requests) - len(daily) - 1


def test_a_call_is_settled_once_it_is_final_and_no_sweep_reads_it(db: Engine) -> None:
    place = moving(db, calls=40, days=10)
    place.sync("ravan")
    rows = place.rows("SELECT * FROM bi.calls")
    week = timedelta(days=7)
    assert {row["is_final"] for row in rows} == {True, False}
    for row in rows:
        assert row["settled_at"] == (row["created_at"] + week if row["is_final"] else None)


@pytest.mark.parametrize("name", ["ravan", "vaani"])
def test_a_call_that_shows_up_late_is_found_by_a_sweep(db: Engine, name: str) -> None:
    place = moving(db, calls=40, days=5)
    place.sync(name)
    follow(place, name, hours(2), hours(1))
    for age in (1, 5, 30, 100):
        place.world.add(name, place.clock.now() - hours(age))
    follow(place, name, hours(27), hours(1))
    assert [each for each in differences(place, name) if "not held" in each] == []


def test_a_transcript_that_is_late_is_asked_for_again_until_it_is_there(db: Engine) -> None:
    place = moving(db, calls=60, days=1)
    place.sync("vaani")
    follow(place, "vaani", hours(30), hours(2))
    assert [each for each in differences(place, "vaani") if ".turns" in each] == []
    every = [each.path for each in asked(place, lists=False)]
    assert max(every.count(path) for path in every) <= 40
