"""What is said of the daemon's health: alive, ready, and why not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from etl.db.connections import open_engine
from etl.ops import health
from tests.harness import NOW, Harness, make_harness
from tests.many_sources import fill

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday


def test_it_is_alive_as_long_as_its_heart_beats() -> None:
    assert health.alive(20).is_healthy
    assert not health.alive(91).is_healthy
    assert "restart it" in health.alive(91).message[0]


@pytest.mark.parametrize(
    ("schedule", "due"),
    [
        ("every 1m", AT + timedelta(minutes=15)),
        ("every 30m", AT + timedelta(minutes=90)),
        ("0 9 * * mon-fri", datetime(2026, 11, 25, 9, tzinfo=UTC)),  # Monday, Tuesday, Wednesday
    ],
)
def test_the_goal_is_three_times_of_the_schedule_and_a_weekend_is_no_delay(
    db: Engine, schedule: str, due: datetime
) -> None:
    source = replace(make_harness(db).sources["ringg"], schedule=schedule)
    assert health.freshness_deadline(source, AT) == due
    assert health.stale([source], {"ringg": AT}, due) == []
    assert health.stale([source], {"ringg": AT}, due + timedelta(seconds=1)) == [("ringg", AT)]


def said(harness: Harness, after: timedelta) -> tuple[bool, tuple[str, ...]]:
    found = health.ready(harness.db, list(harness.sources.values()), harness.clock.now() + after)
    return found.is_healthy, found.message


def test_it_is_ready_while_every_source_comes_on(db: Engine) -> None:
    harness = make_harness(db)
    assert said(harness, timedelta(0)) == (True, ("ready",))
    harness.sync("ringg")
    harness.sync("vaani")
    assert said(harness, timedelta(minutes=14)) == (True, ("ready",))
    well, lines = said(harness, timedelta(minutes=16))
    assert not well
    assert [line.partition(":")[0] for line in lines] == ["ringg", "vaani"]


def test_a_source_that_is_paused_or_fails_makes_it_degraded_before_it_is_stale(db: Engine) -> None:
    harness = make_harness(db, None, "H06:provider=ringg,every=1", "H06:provider=vaani,every=1")
    for name in ("ringg", "vaani", "autocalls"):
        harness.run(name)
    assert said(harness, timedelta(0)) == (True, ("ready, degraded: ringg, vaani paused or failing",))


def test_of_many_sources_ten_are_named_and_the_others_counted(db: Engine) -> None:
    sources = fill(db, NOW, 700, runs=4)
    found = health.ready(db, sources, NOW)
    assert (found.is_healthy, len(found.message), found.message[-1]) == (False, 11, "and 32 sources more")
    with db.begin() as connection:
        connection.execute(text("UPDATE ops.runs SET finished_at = :now WHERE status = 'succeeded'"), {"now": NOW})
    (line,) = health.ready(db, sources, NOW).message
    assert line.endswith(" and 18 more paused or failing")
    assert line.count(",") == 10


def test_a_source_that_fails_is_stalled_and_the_others_are_not(db: Engine) -> None:
    harness = make_harness(db, None, "H06:provider=ringg,every=1")
    harness.run("ringg")
    harness.clock.sleep(3600)
    harness.sync("autocalls")
    well, lines = said(harness, timedelta(0))
    assert not well
    assert [line.partition(":")[0] for line in lines] == ["ringg"]


def test_a_long_reading_that_comes_on_is_not_stalled(db: Engine) -> None:
    harness = make_harness(db)
    harness.sync("ringg")
    later = harness.clock.now() + timedelta(hours=2)
    with db.begin() as connection:
        connection.execute(
            text("INSERT INTO ops.checkpoints VALUES ('ringg', '', :at, :at, '{}', :at)"),
            {"at": later - timedelta(minutes=1)},
        )
    assert health.ready(db, [harness.sources["ringg"]], later).is_healthy


def test_without_a_database_or_with_another_revision_it_is_not_ready(db: Engine) -> None:
    gone = open_engine("postgresql://nobody:secret-word@127.0.0.1:9/nothing")
    found = health.ready(gone, [], AT)
    assert not found.is_healthy
    assert "nothing listens there" in found.message[0]
    assert "secret-word" not in found.message[0]
    with db.begin() as connection:
        connection.execute(text("UPDATE ops.alembic_version SET version_num = '0000'"))
    assert not health.ready(db, [], AT).is_healthy
    gone.dispose()
