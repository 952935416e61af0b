"""Sync state: which account a source is of, and how its runs ended."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine

from etl import pipeline
from etl.db.statements import Statements, fetch_all
from etl.ops import health
from etl.reports.status import status
from etl.state import registry
from etl.sync import run
from tests.harness import InterceptingTransport, kill, make_harness, run_until_killed


def test_a_source_under_another_host_is_refused(db: Engine) -> None:
    harness = make_harness(db)
    harness.sync("ringg")
    elsewhere = replace(harness.sources["ringg"], base_url="https://calls.example/ringg")
    with pytest.raises(registry.SourceMismatch, match=r"calls\.example.*127\.0\.0\.1"):
        run.run_source(harness.dependencies(), elsewhere, "sync", pipeline.sync, is_manual=True)


def test_a_run_that_was_killed_is_said_to_be_interrupted(db: Engine) -> None:
    harness = make_harness(db)
    sandbox = harness.transport
    harness.transport = InterceptingTransport(sandbox, lambda count, request: kill(harness))
    assert run_until_killed(harness, "ringg")
    assert harness.rows("SELECT status FROM ops.runs") == [{"status": "running"}]
    harness.transport = sandbox
    harness.sync("ringg")
    runs = harness.rows("SELECT status, finished_at IS NOT NULL AS ended FROM ops.runs ORDER BY run_id")
    assert runs == [{"status": "interrupted", "ended": True}, {"status": "succeeded", "ended": True}]


def test_another_time_zone_is_shown_once_the_metrics_are_counted_by_it(db: Engine) -> None:
    harness = make_harness(db)
    harness.sync("ringg")
    days = "SELECT day, sum(calls) AS calls FROM bi.daily_call_metrics GROUP BY day ORDER BY day"
    in_utc = harness.rows(days)
    zone, source = "SELECT report_timezone FROM ops.sources WHERE source = 'ringg'", harness.sources["ringg"]
    before = harness.scalar(zone)
    reporting = replace(source.reporting, timezone=ZoneInfo("Pacific/Kiritimati"))
    harness.sources["ringg"] = replace(source, reporting=reporting)
    harness.execute("ALTER TABLE warehouse.call_rollup ADD CONSTRAINT refused CHECK (false) NOT VALID")
    assert harness.run("ringg").status == "failed"
    assert (harness.scalar(zone), harness.rows(days)) == (before, in_utc)
    (row,) = status(db, [harness.sources["ringg"]], harness.clock.now())
    assert row["metrics_message"] == "metrics are being counted by the days and hours of Pacific/Kiritimati: 0 %"
    harness.execute("ALTER TABLE warehouse.call_rollup DROP CONSTRAINT refused")
    harness.sync("ringg")
    assert harness.scalar(zone) == "Pacific/Kiritimati"
    assert harness.rows(days) == harness.rows(
        "SELECT local_date AS day, count(*) AS calls FROM bi.calls GROUP BY 1 ORDER BY 1"
    )
    assert harness.rows(days) != in_utc
    (row,) = status(db, [harness.sources["ringg"]], harness.clock.now())
    assert row["metrics_message"] is None


STEPS = [timedelta(minutes=2), timedelta(minutes=30), timedelta(hours=2), timedelta(days=3000)]


@pytest.mark.parametrize("step", [*STEPS, *(-step for step in STEPS)])
def test_what_a_wrong_clock_has_stored_costs_one_pause_at_most_once_it_is_right(db: Engine, step: timedelta) -> None:
    harness = make_harness(db, None, "H09:first=1,provider=ringg")
    harness.clock.step(step.total_seconds())
    assert harness.run("ringg").status == "failed"
    harness.sync("autocalls")
    harness.run("vaani", lambda run: run.client._gate.back_off_until(harness.clock.now() + timedelta(minutes=1)))
    harness.clock.step(-step.total_seconds())
    now = harness.clock.now()
    with db.begin() as connection:
        pause = registry.register(connection, harness.sources["ringg"], now)
        assert pause is None or pause[0] <= now + timedelta(minutes=15)
        blocked = registry.blocked_until(connection, "vaani", now)
        assert blocked is None or blocked <= now + timedelta(minutes=1)
        assert max(health.progress(connection, now).values()) <= now
    harness.run("ringg")
    with db.connect() as connection:
        last = {row.source: row.run_id for row in fetch_all(connection, Statements("runs").last_run_of_each_source)}
    assert last["ringg"] == harness.scalar("SELECT max(run_id) FROM ops.runs WHERE source = 'ringg'")


@pytest.mark.parametrize(("seconds", "said"), [
    (7200, "this machine's clock is 2 h ahead of that of the database server"),
    (-10**8, "this machine's clock is 1,157 d behind that of the database server"), (5, None), (-5, None),
])  # fmt: skip
def test_a_clock_that_differs_from_the_servers_is_said(db: Engine, seconds: int, said: str | None) -> None:
    with db.connect() as connection:
        assert registry.clock_difference(connection, datetime.now(UTC) + timedelta(seconds=seconds)) == said
