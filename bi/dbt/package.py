"""The views and their comments → the files of a dbt package: where a comment says "Never null", there is a test."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from bi.superset.dashboards import DASHBOARDS
from bi.superset.datasets import DATASETS
from bi.views import Column, View

Json = dict[str, Any]
MADE = "# Made from the comments in the database: `make regenerate`.\n"
ONE_ROW_PER = {"calls": ("call_key",), "transcripts": ("call_key",), "conversation_metrics": ("call_key",),
               "customers": ("customer_id",), "freshness": ("source",)}  # fmt: skip
VALUES = {
    "direction": ["inbound", "outbound", "web", "unknown"],
    "outcome": ["completed", "transferred", "no_answer", "busy", "failed", "canceled", "voicemail", "in_progress",
                "unknown"],
    "speaker": ["agent", "customer", "system", "unknown"],
    "completeness": ["verified", "count_match", "incomplete", "unknown"],
    "answered_by": ["human", "machine", "unknown"],
    "ended_by": ["customer", "agent", "system", "unknown"],
    "duration_basis": ["provider", "timestamps", "estimate"],
}  # fmt: skip
MODELS = ("calls", "daily_call_metrics")
MEASURES = {
    "calls": "Number of calls", "answered": "Number of answered calls", "minutes": "Minutes of all calls",
    "answered_minutes": "Minutes of answered calls", "transferred": "Number of transferred calls",
    "cost_reporting": "Cost in the currency of reports",
}  # fmt: skip
RATIOS = {
    "answer_rate": ("answered", "calls", "Share of the calls that were answered"),
    "cost_per_answered_minute": ("cost_reporting", "answered_minutes", "Cost of an answered minute"),
}
SPINE = """{{ config(materialized='table') }}
SELECT day::date AS day
  FROM generate_series(timestamp '2015-01-01', current_date + interval '1 year', interval '1 day') AS day
"""
STALE = """-- Each source that has had no successful sync for a day.
SELECT source, last_success_at
  FROM {{ source('callhouse', 'freshness') }}
 WHERE last_success_at IS NULL OR last_success_at < now() - interval '1 day'
"""


def files(views: Mapping[str, View]) -> dict[str, str]:
    """Every file of the package by its path."""
    documents = {
        "dbt_project.yml": {
            "name": "callhouse", "version": "1.0.0", "config-version": 2, "profile": "callhouse",
            "models": {"callhouse": {"+materialized": "view"}},
        },
        "models/sources.yml": {"sources": [_source(views)]},
        "models/models.yml": {"models": [*(_model(views[name]) for name in MODELS), _spine()]},
        "models/metrics.yml": {"semantic_models": [_semantic_model(views)], "metrics": [*_sums(), *_ratios()]},
        "models/exposures.yml": {"exposures": [_exposure(dashboard) for dashboard in DASHBOARDS]},
    }  # fmt: skip
    made = {path: MADE + yaml.safe_dump(document, sort_keys=False, width=110) for path, document in documents.items()}
    for name in MODELS:
        made[f"models/callhouse_{name}.sql"] = f"SELECT * FROM {{{{ source('callhouse', '{name}') }}}}\n"
    return {**made, "models/callhouse_time_spine.sql": SPINE, "tests/every_source_was_synced_within_a_day.sql": STALE}


def _source(views: Mapping[str, View]) -> Json:
    return {
        "name": "callhouse", "schema": "bi", "description": "Every call of all voice agents, personal data masked.",
        "tables": [_table(view, views) for view in views.values()],
    }  # fmt: skip


def _table(view: View, views: Mapping[str, View]) -> Json:
    table: Json = {"name": view.name, "description": f"{view.meaning}."}
    if view.name == "freshness":
        age = {"warn_after": {"count": 1, "period": "hour"}, "error_after": {"count": 1, "period": "day"}}
        table["config"] = {"freshness": age, "loaded_at_field": "last_success_at"}
    return {**table, "columns": [_column(view, column) for column in view.columns.values()]}


def _column(view: View, column: Column) -> Json:
    tests: list[Any] = ["not_null"] if "Never null" in column.meaning or "never null" in column.meaning else []
    if ONE_ROW_PER.get(view.name) == (column.name,):
        tests = ["unique", "not_null"]
    elif column.name == "call_key":
        target = {"to": "source('callhouse', 'calls')", "field": "call_key"}
        tests.append({"relationships": {"arguments": target}})
    if column.name in VALUES:
        tests.append({"accepted_values": {"arguments": {"values": VALUES[column.name]}}})
    described = {"name": column.name, "data_type": column.type, "description": column.meaning}
    return {**described, "data_tests": tests} if tests else described


def _model(view: View) -> Json:
    columns = [{"name": each.name, "description": each.meaning} for each in view.columns.values()]
    return {"name": f"callhouse_{view.name}", "description": f"{view.meaning}.", "columns": columns}


def _spine() -> Json:
    return {
        "name": "callhouse_time_spine", "description": "One row per day, for metrics over time.",
        "time_spine": {"standard_granularity_column": "day"},
        "columns": [{"name": "day", "description": "The day.", "granularity": "day"}],
    }  # fmt: skip


def _semantic_model(views: Mapping[str, View]) -> Json:
    view = views["daily_call_metrics"]
    categories = [column for column in view.columns.values() if column.type == "text"]
    day = view.columns["day"]
    return {
        "name": "callhouse_days", "model": "ref('callhouse_daily_call_metrics')", "description": f"{view.meaning}.",
        "defaults": {"agg_time_dimension": "local_day"}, "primary_entity": "day_of_calls",
        "dimensions": [
            {"name": "local_day", "expr": "day", "type": "time", "type_params": {"time_granularity": "day"},
             "description": day.meaning},
            *({"name": each.name, "type": "categorical", "description": each.meaning} for each in categories),
        ],
        "measures": [
            {"name": f"{name}_sum", "expr": name, "agg": "sum", "description": view.columns[name].meaning}
            for name in MEASURES
        ],
    }  # fmt: skip


def _sums() -> Iterable[Json]:
    for name, meaning in MEASURES.items():
        yield {"name": name, "label": meaning, "description": meaning, "type": "simple",
               "type_params": {"measure": f"{name}_sum"}}  # fmt: skip


def _ratios() -> Iterable[Json]:
    for name, (numerator, denominator, meaning) in RATIOS.items():
        yield {"name": name, "label": meaning, "description": meaning, "type": "ratio",
               "type_params": {"numerator": numerator, "denominator": denominator}}  # fmt: skip


def _exposure(dashboard: Any) -> Json:
    datasets = [DATASETS[chart.dataset] for row in dashboard.rows for chart in row]
    used = sorted({name for each in datasets for name in (each.view, *(view for view, _ in each.besides))})
    return {
        "name": re.sub(r"\W", "_", dashboard.slug), "label": dashboard.title, "type": "dashboard",
        "maturity": "high", "description": dashboard.meaning, "owner": {"name": "Callhouse"},
        "depends_on": [f"source('callhouse', '{name}')" for name in used],
    }  # fmt: skip
