"""Sync state: which account a source is of, and how its runs ended."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from etl import pipeline
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
