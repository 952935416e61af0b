"""Moving lists under schedules that Hypothesis draws: no call is lost, none is there twice, none is stale."""

import hypothesis
import pytest
from hypothesis import given, settings
from sqlalchemy import Engine

from tests.simulation import play
from tests.strategies import Act, Schedule, schedules

AT_ONCE = 25  # schedules a test: the workers share them evenly


def draw_and_play(db: Engine, seed: int, runs: int) -> None:
    @hypothesis.seed(seed)
    @settings(max_examples=AT_ONCE)
    @given(schedules(runs))
    def each(schedule: Schedule) -> None:
        play(db, schedule)

    each()


@pytest.mark.parametrize("seed", range(20))
def test_no_schedule_loses_a_call(db: Engine, seed: int) -> None:
    draw_and_play(db, seed, runs=2)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1000, 1400))
def test_no_schedule_of_ten_thousand_loses_a_call(db: Engine, seed: int) -> None:
    draw_and_play(db, seed, runs=3)


FOUND = {
    "a phone's list, oldest first, whose pages become smaller while a second process reads it": Schedule(
        "ravan",
        "asc",
        23,
        12,
        "G12:size=5,variant=clamped",
        acts=(
            Act("sync", 400, ((3, ("kill", 0)), (6, ("clamp", "G12:size=3,variant=clamped")))),
            Act("sync", 20, ((4, ("sleeper", "backfill")), (10, ("late", 36)))),
        ),
    ),
    "oldest first, in pages that are smaller than they say, and cut off": Schedule(
        "vaani",
        "asc",
        17,
        1,
        "G12:size=5,variant=silent",
        acts=(Act("scheduled", 61), Act("sync", 1500, ((5, ("vanish newest", 5)), (3, ("kill", 0))))),
        seed=2,
    ),
    "oldest first and without a total, where a row vanishes between two pages": Schedule(
        "ringg",
        "asc",
        4,
        1,
        "G12:size=3,variant=clamped",
        "G07:variant=absent",
        acts=(Act("sync", 0, ((1, ("arrive", 1)), (4, ("vanish", 0)))),),
    ),
    "oldest first, where a row vanishes before the first page that has a total": Schedule(
        "ringg",
        "asc",
        5,
        1,
        "G12:size=3,variant=clamped",
        "G07:variant=absent",
        acts=(Act("sync", 0, ((4, ("vanish", 0)), (4, ("total", "")))),),
        seed=1,
    ),
    "oldest first, read upwards for its total was too low, while one call arrived as another vanished": Schedule(
        "ringg",
        "asc",
        19,
        1,
        "G12:size=3,variant=clamped",
        "G07:variant=differs",
        acts=(Act("sync", 0, ((8, ("vanish newest", 2)), (6, ("total", "")), (8, ("arrive", 1)))),),
        seed=2,
    ),
    "oldest first, the row that was to come pulled back from an empty last page": Schedule(
        "ringg",
        "asc",
        19,
        1,
        "G12:size=3,variant=clamped",
        "G07:variant=zero",
        acts=(Act("backfill", 1500, ((4, ("total", "")), (8, ("vanish", 0)))),),
        seed=1,
    ),
    "oldest first, looked above while the size of pages changed": Schedule(
        "autocalls",
        "asc",
        6,
        1,
        "G12:size=3,variant=clamped",
        "G07:variant=differs",
        acts=(
            Act("sync", 0),
            Act("sync", 0, ((9, ("sleeper", "sync")), (1, ("arrive", 1)), (1, ("clamp", "G12:size=5,variant=silent")))),
        ),
        seed=1,
    ),
    "oldest first, one page shown in place of another while calls arrive": Schedule(
        "ringg",
        "asc",
        17,
        1,
        "G12:size=3,variant=clamped",
        acts=(
            Act(
                "sync",
                0,
                (
                    (1, ("arrive", 1)),
                    (1, ("vanish", 0)),
                    (3, ("once", "G10:variant=alternating")),
                    (3, ("arrive", 4)),
                ),
            ),
        ),
        seed=1,
    ),
    "a page that came once in place of the last": Schedule(
        "ringg",
        "desc",
        24,
        5,
        "G12:size=3,variant=clamped",
        acts=(Act("sync", 0, ((8, ("once", "G10:variant=stuck")),)),),
        seed=4,
    ),
    "totals that are drawn by lot, and a process that slept": Schedule(
        "vaani",
        "desc",
        12,
        1,
        "G12:size=8,variant=clamped",
        "G07:variant=differs",
        acts=(Act("scheduled", 1500, ((3, ("arrive", 1)), (4, ("sleeper", "sync")))), Act("backfill", 400)),
        seed=2,
    ),
    "one page shown in place of two, at the end of a walk back": Schedule(
        "ringg",
        "asc",
        24,
        1,
        "G12:size=5,variant=silent",
        acts=(
            Act(
                "scheduled",
                20,
                (
                    (3, ("change", 54)),
                    (3, ("once", "G10:variant=alternating")),
                    (7, ("once", "G10:variant=same")),
                    (2, ("vanish", 3)),
                    (5, ("vanish", 50)),
                ),
            ),
        ),
        seed=2,
    ),
    "a page that came twice in place of another, and a total of zero": Schedule(
        "vaani",
        "desc",
        19,
        1,
        "G12:size=3,variant=clamped",
        "G07:variant=zero",
        acts=(Act("scheduled", 400, ((4, ("once", "G10:variant=same")), (5, ("once", "G10:variant=same")))),),
        seed=4,
    ),
    "a page of more rows than its size, which begins with one of the page before": Schedule(
        "ringg",
        "desc",
        17,
        5,
        "G12:size=3,variant=clamped",
        acts=(Act("backfill", 400, ((2, ("once", "G01:variant=overlap")),)),),
        seed=3,
    ),
    "small pages of a list that shuffles itself, two of them alike by chance": Schedule(
        "autocalls",
        "unsorted",
        18,
        5,
        "G12:size=3,variant=clamped",
        acts=(
            Act("sync", 1500, ((2, ("total", "")),)),
            Act("sync", 5, ((9, ("total", "")), (3, ("reorder", "reshuffled")), (12, ("once", "G10:variant=same")))),
            Act(
                "scheduled",
                61,
                (
                    (3, ("arrive", 1)),
                    (11, ("wait", 70)),
                    (10, ("clamp", "G12:size=3,variant=silent")),
                    (3, ("wait", 70)),
                ),
            ),
        ),
        seed=1,
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_a_schedule_that_once_lost_a_call_or_its_way(db: Engine, name: str) -> None:
    play(db, FOUND[name])
