"""The main job without a key: it runs whatever else is configured, and what it says is true and fits."""

import json
import re
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from etl import embedded
from etl.cli.demo_summary import QUERIES
from etl.db.connections import open_engine
from etl.db.statements import fetch_all
from tests.commands import run_etl

BROKEN = {
    "DATABASE_URL": "mysql://nowhere", "ETL_CONFIG": "missing.toml", "RINGG_API_KEY": "a key", "RAVAN_API_KEY": "k",
    "ETL_NONSENSE": "1",
}  # fmt: skip


TRUTH = text(
    "SELECT source, sum(calls) AS calls, sum(answered) AS answered, sum(minutes) AS minutes,"
    " sum(cost) AS cost, max(cost_unit) AS unit FROM bi.daily_call_metrics GROUP BY source"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory whose configuration is wrong in every way."""
    (tmp_path / "etl.toml").write_text("[broken")
    (tmp_path / ".env").write_text("not a line\nDATABASE_URL=mysql://nowhere\nVAANI_API_KEYS=1\n")
    return tmp_path


def test_it_runs_whatever_is_configured_and_what_it_says_is_true_and_fits(folder: Path) -> None:
    home = folder / "etl"
    try:
        said = run_etl("demo", cwd=folder, given=BROKEN)
        assert said.returncode == 0, said.stderr
        assert "Traceback" not in said.stderr
        server = embedded.running(home)
        assert server
        made = open_engine(f"{server.url('demo')}?sslmode=disable")
        with made.connect() as connection:
            _each_provider_has_its_line(connection, said.stdout)
            _its_queries_run_and_find_something(connection, said.stdout)
        made.dispose()
        assert f"  {server.url('demo')}\n" in said.stdout
    finally:
        embedded.stop(home)
    _each_source_says_how_far_it_has_come(said.stderr)
    assert [line for line in said.stdout.splitlines() if len(line) > 80] == []
    assert "\x1b" not in said.stdout + said.stderr


def _each_source_says_how_far_it_has_come(progress: str) -> None:
    events = [json.loads(line) for line in progress.splitlines()]
    done = {event["source"] for event in events if event["event"] == "progress" and event["rows"] == event["total"]}
    assert done == {"ringg", "ravan", "autocalls", "vaani"}


def _each_provider_has_its_line(connection: Connection, summary: str) -> None:
    rows = connection.execute(TRUTH).all()
    assert len(rows) == 4
    for row in rows:
        numbers = rf"{row.calls:,} +{row.answered:,} +{row.minutes:,.1f} +{row.cost:,.2f} +{row.unit}"
        assert re.search(rf"^{row.source} +{numbers} +[\d,]+ +\d{{4}}-\d\d-\d\d$", summary, re.M)
    assert re.search(r"^Complete +yes: for each provider the counts match$", summary, re.M)


def _its_queries_run_and_find_something(connection: Connection, summary: str) -> None:
    shown = "\n".join(line.removeprefix("  ") for line in summary.splitlines())
    connection.execute(text("SET LOCAL ROLE bi_reader"))
    for _, query in QUERIES:
        assert f"{query.decode()};" in shown
        assert fetch_all(connection, query)
