"""What Prometheus reads: every figure, no person, few labels; what the shipped dashboard and rules ask for is there."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine

from etl import pipeline
from etl.db.connections import open_engine
from etl.ops.metrics import Metrics, exposition
from etl.sync import run
from tests.harness import NOW, Harness, make_harness
from tests.many_sources import counted_statements, fill

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
DASHBOARD = DEPLOY / "grafana" / "callhouse.json"
RULES = DEPLOY / "prometheus" / "callhouse.rules.yml"
NAMES = re.compile(r"\b(?:callhouse|process)_[a-z_]+")
LABELS = {"source", "provider", "state", "status", "kind", "result", "le"}


def measured(harness: Harness, metrics: Metrics, *names: str) -> None:
    """Runs as the daemon does them."""
    for name in names:
        work = pipeline.sync
        report = run.run_source(
            metrics.counting(harness.dependencies()), harness.sources[name], "sync", work, is_manual=True
        )
        metrics.run(report, 1.5)


def exposed(harness: Harness, metrics: Metrics, later: timedelta = timedelta(0)) -> str:
    return exposition(metrics, harness.db, list(harness.sources.values()), harness.clock.now() + later).decode()


def values(text: str, name: str) -> dict[tuple[str, ...], float]:
    """Every value of a metric by its labels, in their alphabetical order."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def test_requests_runs_and_records_are_counted(db: Engine) -> None:
    harness, metrics = (
        make_harness(db, None, "H01:provider=vaani,nth=2,after=3", "H06:provider=ringg,every=1"),
        Metrics(),
    )
    measured(harness, metrics, "vaani", "ringg", "autocalls")
    text = exposed(harness, metrics)
    requests = values(text, "callhouse_requests_total")
    assert requests["vaani", "429"] == 1
    assert requests["vaani", "200"] > 1
    assert {status for source, status in requests if source == "ringg"} == {"500"}
    assert values(text, "callhouse_request_duration_seconds_count")["vaani",] == requests["vaani", "200"] + 1
    assert values(text, "callhouse_runs_total") == {
        ("vaani", "succeeded"): 1, ("ringg", "failed"): 1, ("autocalls", "succeeded"): 1,
    }  # fmt: skip
    assert values(text, "callhouse_run_duration_seconds_count") == {("sync",): 3}
    assert values(text, "callhouse_records_total")["inserted", "autocalls"] == 40


def test_every_count_that_a_rule_watches_begins_at_zero(db: Engine) -> None:
    harness, metrics = make_harness(db), Metrics()
    metrics.begin(["ringg"])
    text = exposed(harness, metrics)
    assert values(text, "callhouse_runs_total")["ringg", "succeeded"] == 0
    assert values(text, "callhouse_runs_total")["ringg", "failed"] == 0
    assert values(text, "callhouse_runs_abandoned_total") == {("ringg",): 0}
    assert values(text, "callhouse_requests_total") == {("ringg", "429"): 0}


def test_gauges_come_from_the_database(db: Engine) -> None:
    harness, metrics = make_harness(db), Metrics()
    measured(harness, metrics, "ringg", "vaani")
    harness.execute("INSERT INTO ops.alerts (source, kind, message, opened_at) VALUES ('ringg', 'drift', 'x', now())")
    text = exposed(harness, metrics)
    assert values(text, "callhouse_alert") == {("drift", "ringg"): 1}
    assert values(text, "callhouse_database_up") == {(): 1}
    assert values(text, "callhouse_calls") == {("ringg",): 40, ("vaani",): 40}
    assert values(text, "callhouse_last_success_timestamp_seconds")["ringg",] <= harness.clock.now().timestamp()
    assert values(text, "callhouse_rate_per_minute")["vaani",] == harness.requests_per_minute
    assert values(text, "callhouse_completeness")["vaani", "count_match"] == 1
    assert set(values(text, "callhouse_completeness")) == {("ringg", "count_match"), ("vaani", "count_match")}
    assert set(values(text, "callhouse_stale").values()) == {0}
    assert set(values(exposed(harness, metrics, timedelta(minutes=16)), "callhouse_stale").values()) == {1}
    assert values(text, "process_resident_memory_bytes")[()] > 10_000_000


def test_a_thousand_sources_are_counted_by_provider_and_state_and_are_few_series(db: Engine) -> None:
    metrics, sources = Metrics(), fill(db, NOW, 1000, runs=4)
    metrics.begin([source.name for source in sources])
    with counted_statements(db) as sent:
        text = exposition(metrics, db, sources, NOW).decode()
    assert len(sent) == 4
    states = values(text, "callhouse_sources")
    assert sum(states.values()) == 1000
    assert sum(count for (_, state), count in states.items() if state == "failing") == 20
    assert {key: count for key, count in states.items() if key[0] == "ringg"} == {
        ("ringg", "paused"): 10, ("ringg", "failing"): 0, ("ringg", "incomplete"): 0, ("ringg", "stale"): 10,
        ("ringg", "never_synced"): 0, ("ringg", "ok"): 230,
    }  # fmt: skip
    assert text.count("\n") < 22_000
    assert "_created" not in text


def test_without_a_database_the_process_still_exposes_its_counters(db: Engine) -> None:
    harness, metrics = make_harness(db), Metrics()
    measured(harness, metrics, "ringg")
    gone = open_engine("postgresql://nobody@127.0.0.1:9/nothing")
    text = exposition(metrics, gone, list(harness.sources.values()), harness.clock.now()).decode()
    assert values(text, "callhouse_database_up") == {(): 0}
    assert values(text, "callhouse_runs_total") == {("ringg", "succeeded"): 1}
    gone.dispose()


def test_no_personal_data_and_few_labels(db: Engine) -> None:
    harness, metrics = make_harness(db), Metrics()
    measured(harness, metrics, *harness.sources)
    text = exposed(harness, metrics)
    names = {name for family in text_string_to_metric_families(text) for s in family.samples for name in s.labels}
    assert names <= LABELS
    assert re.findall(r"\+\d{7,}", text) == []
    personal = {
        row["n"] for row in harness.rows("SELECT customer_number AS n FROM bi_pii.calls WHERE customer_number <> ''")
    }
    personal |= {
        row["n"] for row in harness.rows("SELECT customer_name AS n FROM bi_pii.calls WHERE customer_name <> ''")
    }
    assert personal
    assert [each for each in personal if each in text] == []


@pytest.fixture
def names(db: Engine) -> set[str]:
    """Every name that can be asked for."""
    harness, metrics = make_harness(db), Metrics()
    metrics.abandoned("ringg")
    measured(harness, metrics, "ringg")
    harness.execute("UPDATE ops.sources SET next_run_at = now()")
    return {sample.name for f in text_string_to_metric_families(exposed(harness, metrics)) for sample in f.samples}


def expressions(node: Any) -> list[str]:
    """Every query of a dashboard or of a file of rules."""
    if isinstance(node, dict):
        own = [
            value for key, value in node.items() if key in ("expr", "query", "definition") and isinstance(value, str)
        ]
        return own + [found for value in node.values() for found in expressions(value)]
    return [found for value in node for found in expressions(value)] if isinstance(node, list) else []


@pytest.mark.parametrize("file", [DASHBOARD, RULES])
def test_what_the_dashboard_and_the_rules_ask_for_is_there(names: set[str], file: Path) -> None:
    read = json.loads(file.read_text()) if file == DASHBOARD else yaml.safe_load(file.read_text())
    asked = {name for expression in expressions(read) for name in NAMES.findall(expression)}
    assert len(asked) > 5
    assert asked - names == set()


def test_every_rule_says_what_to_do() -> None:
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules) > 5
    for rule in rules:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"].keys() == {"summary", "description"}
        assert not rule["expr"].strip().endswith(("==", ">"))
