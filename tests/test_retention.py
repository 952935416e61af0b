"""keep_calls, keep_transcripts and keep_raw: what is older leaves, nothing brings it back, and no proof misses it."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine

from etl import pipeline
from etl.daemon.task_run import Task, TaskKind, TaskRun
from etl.daemon.tasks import run_task
from etl.model import Retention, Window
from etl.ops.metrics import Metrics
from etl.ops.privacy.retention import expire
from etl.reconcile import VerifyRequest, verify
from etl.sandbox.world import World
from etl.settings import ConfigurationError, load
from etl.sync.checkpoint import BEGINNING
from etl.sync.replay import replay
from etl.sync.run import RunResult
from tests.harness import NOW, PROVIDERS, Harness, counts_add_up, make_harness, requests_of
from tests.test_erasure import verified
from tests.test_rollups import differences as rollup_differences

DAYS = timedelta(days=10)
CUT = NOW - DAYS
EVERYTHING = Window(BEGINNING, NOW + timedelta(days=30))


def kept(harness: Harness, name: str, **days: timedelta) -> None:
    """Configure how long what of a source is kept."""
    harness.sources[name] = replace(harness.sources[name], retention=Retention(**days))


def done(harness: Harness, name: str, *, kind: str = "sync") -> RunResult:
    report = harness.run(name, expire, kind)
    assert (report.status, report.error) == ("succeeded", None)
    return report


def read_again(harness: Harness, name: str) -> None:
    """Everything by which a removed call could come back."""
    for work, kind in (
        (pipeline.sync, "sync"),
        (lambda run: pipeline.backfill(run, EVERYTHING, again=True), "backfill"),
        (lambda run: replay(run, lambda changes: None), "replay"),
        (lambda run: verify(run, VerifyRequest(heal=True)), "verify"),
    ):
        report = harness.run(name, work, kind)
        assert (report.status, report.error) == ("succeeded", None)


def newer(harness: Harness, name: str) -> set[str]:
    """The calls that are kept, as the provider lists them."""
    return {call.call_id for call in harness.world.calls(name) if call.created_at >= CUT}


@pytest.mark.parametrize("is_first", [True, False], ids=["first sync", "later"])
@pytest.mark.parametrize("name", PROVIDERS)
def test_calls_leave_when_they_are_older_and_do_not_come_back(db: Engine, name: str, is_first: bool) -> None:
    harness = make_harness(db, World(3, calls=60, days=30, now=NOW))
    if not is_first:
        harness.sync(name)
    before = harness.scalar("SELECT count(*) FROM warehouse.calls")
    kept(harness, name, calls=DAYS)
    if is_first:
        harness.sync(name)
    (note,) = done(harness, name).notes or ["0"]
    assert harness.stored_ids(name) == newer(harness, name)
    assert 0 < len(newer(harness, name)) < 60
    if not is_first:
        assert note == f"{before - len(newer(harness, name))} calls removed, from before {CUT:%Y-%m-%d}"
    assert verified(harness, name) <= {"verified", "unknown"}  # a list of few calls ends before the others
    assert {row["completeness"] for row in harness.rows("SELECT completeness FROM ops.streams")} == {"verified"}
    read_again(harness, name)
    assert harness.stored_ids(name) == newer(harness, name)
    assert harness.scalar("SELECT min(complete_since) FROM bi.freshness WHERE source = :s", s=name) >= CUT
    assert harness.scalar(LEFT) == 0
    assert counts_add_up(harness)
    with db.connect() as connection:
        assert rollup_differences(connection) == []


LEFT = "SELECT count(*) FROM raw.payloads, unnest(call_keys) k WHERE k NOT IN (SELECT call_key FROM warehouse.calls)"


@pytest.mark.parametrize("name", PROVIDERS)
def test_what_is_kept_longer_again_is_missing_and_read_again(db: Engine, name: str) -> None:
    harness = make_harness(db, World(3, calls=40, days=30, now=NOW))
    harness.sync(name)
    everything = harness.stored_ids(name)
    kept(harness, name, calls=DAYS)
    done(harness, name)
    kept(harness, name)
    done(harness, name)
    assert "incomplete" in verified(harness, name)
    harness.run(name, lambda run: verify(run, VerifyRequest(heal=True)), "verify")
    assert harness.stored_ids(name) == everything


@pytest.mark.parametrize("name", PROVIDERS)
def test_transcripts_leave_and_are_not_asked_for_again(db: Engine, name: str) -> None:
    harness = make_harness(db, World(3, calls=60, days=30, now=NOW))
    harness.sync(name)
    kept(harness, name, transcripts=DAYS, raw=DAYS)
    done(harness, name)
    requests = len(requests_of(harness, name, lists=False))
    assert harness.rows(TRANSCRIPTS, cut=CUT) == []
    left = harness.scalar("SELECT count(*) FROM warehouse.transcripts")
    assert left > 0
    calls = harness.stored_ids(name)
    read_again(harness, name)
    assert harness.rows(TRANSCRIPTS, cut=CUT) == []
    assert harness.scalar("SELECT count(*) FROM warehouse.transcripts") == left
    assert (harness.stored_ids(name), len(requests_of(harness, name, lists=False))) == (calls, requests)
    assert harness.scalar("SELECT count(*) FROM warehouse.calls WHERE turn_count > 0 AND NOT has_transcript") == 0


TRANSCRIPTS = """
    SELECT c.call_key FROM warehouse.calls c LEFT JOIN warehouse.transcripts t USING (call_key)
     WHERE created_at < :cut AND (has_transcript OR t.call_key IS NOT NULL)
"""


@pytest.mark.parametrize("name", PROVIDERS)
def test_raw_payloads_leave_and_an_unchanged_record_is_not_loaded_again(db: Engine, name: str) -> None:
    harness = make_harness(db, World(3, calls=40, days=6, now=NOW))
    harness.sync(name)
    rows = harness.rows("SELECT * FROM warehouse.calls ORDER BY call_key")
    kept(harness, name, raw=DAYS)
    done(harness, name)
    assert harness.scalar("SELECT count(*) FROM raw.payloads") > 0
    harness.clock.sleep(11 * 86400)
    done(harness, name)
    assert harness.scalar("SELECT count(*) FROM raw.payloads") == 0
    report = harness.run(name, lambda run: replay(run, lambda changes: None), "replay")
    assert f"raw payloads of {len(rows)} calls are removed (keep_raw): not replayed" in report.notes
    report = harness.run(name, lambda run: pipeline.backfill(run, EVERYTHING, again=True), "backfill")
    assert report.counts.received == report.counts.unchanged > 0
    assert harness.rows("SELECT * FROM warehouse.calls ORDER BY call_key") == rows
    harness.world.change(name, harness.world.calls(name)[5].call_id, cost=Decimal("9.5"))
    read_again(harness, name)
    assert len(harness.stored_ids(name)) == len(rows)


def test_a_call_whose_older_payload_left_stays_as_both_made_it(db: Engine) -> None:
    from tests.stub_provider import make_stub_harness, ringg_record

    harness, shelf = make_stub_harness(db, ringg_record("a", agent_name="Asha"))
    harness.sync("ringg")
    harness.clock.sleep(8 * 86400)
    shelf.records[0] = ringg_record("a", status="failed")
    harness.run("ringg", lambda run: pipeline.backfill(run, EVERYTHING, again=True), "backfill")
    rows = harness.rows("SELECT * FROM warehouse.calls")
    assert len(harness.versions_of("a")) == 2
    kept(harness, "ringg", raw=timedelta(days=8))
    harness.clock.sleep(86400)
    done(harness, "ringg")
    assert len(harness.versions_of("a")) == 1
    read_again(harness, "ringg")
    assert harness.rows("SELECT * FROM warehouse.calls") == rows


class NoOtherJobs:
    def submit(self, task: Task) -> None:
        """None."""

    def should_give_way(self, task: Task, *, had_turn: bool) -> bool:
        return False


def test_the_daemon_removes_it_at_night(db: Engine) -> None:
    harness = make_harness(db, World(3, calls=40, days=30, now=NOW))
    harness.sync("ringg")
    kept(harness, "ringg", calls=DAYS)
    task = TaskRun(Task(harness.sources["ringg"], TaskKind.VERIFY))
    run_task(harness.dependencies(), task, NoOtherJobs(), Metrics())
    assert harness.stored_ids("ringg") == newer(harness, "ringg")
    assert harness.scalar("SELECT completeness FROM ops.streams") == "verified"


SOURCE = '[sources.a]\nprovider = "ringg"\napi_key = "env:RINGG_API_KEY"\n'


@pytest.mark.parametrize(
    ("top", "own", "expected"),
    {
        "no duration": ('keep_raw = "forever"', "", "keep_raw is not a duration; write a number and s, m, h or d"),
        "too short": (
            "",
            'keep_calls = "7d"',
            "keep_calls is shorter than what lookbacks read again; write at least 8d",
        ),
        "transcripts in raw": (
            'keep_transcripts = "30d"',
            "",
            "the raw payloads hold the transcripts; set keep_raw too",
        ),
        "raw too long": ('keep_transcripts = "30d"', 'keep_raw = "31d"', "the raw payloads hold the transcripts"),
        "calls the shortest": ('keep_calls = "30d"', 'keep_raw = "31d"', "keep_calls is shorter than another"),
        "misspelt": ('keep_cals = "30d"', "", "the configuration file has no"),
    }.values(),
)
def test_what_makes_no_sense_is_said(tmp_path: Path, top: str, own: str, expected: str) -> None:
    (tmp_path / "etl.toml").write_text(f"{top}\n{SOURCE}{own}\n")
    with pytest.raises(ConfigurationError, match=expected) as refused:
        load({"RINGG_API_KEY": "0123456789abcdef"}, tmp_path)
    assert len(refused.value.problems) == 1


def test_a_source_has_its_own_or_what_all_have(tmp_path: Path) -> None:
    other = SOURCE.replace("sources.a", "sources.b")
    (tmp_path / "etl.toml").write_text(f'keep_raw = "90d"\nkeep_calls = "900d"\n{SOURCE}keep_raw = "30d"\n{other}')
    first, second = load({"RINGG_API_KEY": "0123456789abcdef"}, tmp_path).local_sources
    assert (first.retention.raw, first.retention.calls) == (timedelta(days=30), timedelta(days=900))
    assert second.retention == Retention(timedelta(days=900), None, timedelta(days=90))
