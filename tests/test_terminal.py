"""Progress and results: one line per step elsewhere, bars that fit on a terminal."""

import io
import json
import re
import sys

import pytest

from etl.cli.terminal import MOST_BARS, ago, progress, result_line, result_lines
from etl.loader.batch import Counts
from etl.runtime import logs
from etl.sync.run import Progress, RunResult

SOURCE = "a-source-with-a-very-long-name-indeed"


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


def step(what: str, rows: int, total: int | None) -> Progress:
    return Progress(SOURCE, what, rows, total, 7)


def test_elsewhere_each_step_is_a_log_event_with_a_rate_and_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    logs.setup()
    with progress([SOURCE]) as on_progress:
        on_progress(step("calls", 1000, 4000))
        on_progress(step("calls", 4000, 4000))
        on_progress(step("transcripts", 50, None))
        on_progress(step("transcripts", 0, 3))
    said = capsys.readouterr()
    assert said.out == ""
    steps = [json.loads(line) for line in said.err.splitlines()]
    assert {(step["event"], step["source"], step["requests"]) for step in steps} == {("progress", SOURCE, 7)}
    assert [(step["step"], step["rows"], step["total"]) for step in steps] == [
        ("calls", 1000, 4000), ("calls", 4000, 4000), ("transcripts", 50, None), ("transcripts", 0, 3),
    ]  # fmt: skip
    assert [step["rows_per_second"] is not None for step in steps] == [True, True, True, False]
    assert [step["seconds_left"] is not None for step in steps] == [True, False, False, False]


def test_on_a_terminal_bars_fit_into_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    with progress([SOURCE, "b"]) as on_progress:
        on_progress(step("number ending 18", 1_000_000, 2_000_000))
        on_progress(step("transcripts", 7, 2_000_000))
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    assert "1,000,000" in shown
    assert "left" in shown
    assert max(len(line) for line in re.split(r"[\r\n]", shown)) <= 80


def test_of_a_thousand_sources_the_latest_have_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    with progress([f"s{at:03}" for at in range(1000)]) as on_progress:
        for at in range(1000):
            on_progress(Progress(f"s{at:03}", "calls", 5, 10, 1))
            on_progress(Progress("s000", "calls", at, 1000, 1))
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    last = re.findall(r"s\d+", shown)[-MOST_BARS:]
    assert last == ["s000", *(f"s{at:03}" for at in range(1000 - MOST_BARS + 1, 1000))]


def test_of_many_results_those_that_brought_something_are_listed_and_all_are_added_up() -> None:
    quiet, new = Counts(1, 2, unchanged=2), Counts(1, 3, inserted=1, unchanged=2)
    results = [RunResult(f"s{at:02}", "sync", "succeeded", quiet, 1) for at in range(30)]
    results[3] = RunResult("s03", "sync", "succeeded", new, 2)
    results[4] = RunResult("s04", "sync", "failed", Counts(), 1, "the host cannot be reached")
    assert result_lines(results) == [
        result_line(results[3]),
        result_line(results[4]),
        "30 sources: 29 succeeded, 1 failed; 59 received in 31 requests: 1 new, 0 changed, 58 unchanged, 0 quarantined",
    ]
    assert result_lines(results[:20]) == [result_line(result) for result in results[:20]]


def test_how_a_run_ended_is_a_line_with_all_its_counts() -> None:
    counts = Counts(received=10, inserted=4, updated=3, unchanged=2, quarantined=1)
    said = result_line(RunResult("ringg", "sync", "succeeded", counts, 1200, notes=["odd"]))
    assert said == (
        "ringg: succeeded; 10 received in 1,200 requests: 4 new, 3 changed, 2 unchanged, 1 quarantined\n  note: odd"
    )


def test_a_time_that_never_was_is_never() -> None:
    assert ago(None) == "never"
    assert ago("2020-01-01T00:00:00+00:00").endswith(" d ago")
    assert ago("2999-01-01T00:00:00+00:00").startswith("in ")
