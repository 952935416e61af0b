"""What is made for BI tools: whole, up to date with the views, and each statement of it runs as a reader of ``bi``.

The tools themselves are tried by ``make superset``, ``make grafana`` and ``make dbt``.
"""

import json
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Engine

from bi import views
from bi.dbt import package
from bi.grafana import dashboard as grafana
from bi.grafana.dashboard import Panel
from bi.superset import bundle
from bi.superset.charts import Chart
from bi.superset.dashboards import DASHBOARDS
from bi.superset.datasets import DATASETS
from bi.warehouse import NOON

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
CHARTS = [(dashboard, chart) for dashboard in DASHBOARDS for row in dashboard.rows for chart in row]
DAYS = "BETWEEN date '2026-10-21' AND date '2026-11-21'"


def asked(db: Engine, statement: str) -> list[Any]:
    """The rows that a BI tool is answered."""
    with db.begin() as reader:
        reader.exec_driver_sql("SET LOCAL ROLE bi_reader")
        return list(reader.exec_driver_sql(statement, execution_options={"no_parameters": True}))


def compare(directory: Path, made: Mapping[str, str]) -> None:
    """The files of a directory are those that are made; with ETL_REGENERATE they are written."""
    if os.environ.get("ETL_REGENERATE"):
        for path in [each for each in directory.rglob("*") if each.is_file()]:
            path.unlink()
        for name, content in made.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(content, "utf-8")
        pytest.skip("written anew")
    there = {
        str(path.relative_to(directory)): path.read_text("utf-8") for path in directory.rglob("*") if path.is_file()
    }
    assert there == made


# -- Superset


def test_the_bundle_is_made_from_the_views_as_they_are(filled: Engine) -> None:
    compare(DEPLOY / "superset" / "callhouse", bundle.files(views.read(filled)))


def test_the_parts_of_the_bundle_find_each_other(filled: Engine) -> None:
    made = {path: yaml.safe_load(content) for path, content in bundle.files(views.read(filled)).items()}
    by_kind = {
        kind: {document["uuid"]: document for path, document in made.items() if path.startswith(kind)}
        for kind in ("databases", "datasets", "charts", "dashboards")
    }
    assert {each["database_uuid"] for each in by_kind["datasets"].values()} == by_kind["databases"].keys()
    assert {each["dataset_uuid"] for each in by_kind["charts"].values()} == by_kind["datasets"].keys()
    places = [place for each in by_kind["dashboards"].values() for place in each["position"].values()
              if isinstance(place, dict) and place["type"] == "CHART"]  # fmt: skip
    assert sorted(place["meta"]["uuid"] for place in places) == sorted(by_kind["charts"])
    assert all(json.loads(chart["query_context"])["queries"] for chart in by_kind["charts"].values())
    for dashboard in by_kind["dashboards"].values():
        for chosen in dashboard["metadata"]["native_filter_configuration"]:
            for target in filter(None, chosen["targets"]):
                columns = by_kind["datasets"][target["datasetUuid"]]["columns"]
                assert target["column"]["name"] in {column["column_name"] for column in columns}


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_has_the_columns_that_it_names_and_each_is_explained(filled: Engine, name: str) -> None:
    made = yaml.safe_load(bundle.files(views.read(filled))[f"datasets/Callhouse/{name}.yaml"])
    source = f"({made['sql']})" if made["sql"] else f"bi.{made['table_name']}"
    with filled.connect() as connection:
        stored = connection.exec_driver_sql(f"SELECT * FROM {source} x LIMIT 0").keys()
    computed = [column for column, _, _ in DATASETS[name].computed]
    named = [each["column_name"] for each in made["columns"]]
    assert sorted(named) == sorted({*stored, *computed})
    assert all(each["description"] for each in [*made["columns"], *made["metrics"], made])
    for each in made["columns"]:
        if each["expression"]:
            asked(filled, f"SELECT {each['expression']} FROM {source} x LIMIT 1")


@pytest.mark.parametrize(("dashboard", "chart"), CHARTS, ids=lambda value: getattr(value, "title", ""))
def test_a_chart_has_data(filled: Engine, dashboard: Any, chart: Chart) -> None:
    assert asked(filled, statement(chart))
    assert chart.title.endswith("?")


def statement(chart: Chart) -> str:
    """What a chart asks, in SQL."""
    dataset, query = DATASETS[chart.dataset], chart.query
    expressions = {name: expression for name, expression, _ in dataset.computed}
    names = [column if isinstance(column, str) else column["sqlExpression"] for column in query["columns"]]
    columns = [expressions.get(name, name) for name in names]
    measures = [dataset.metrics[name].expression for name in query.get("metrics", ())]
    grouped = f" GROUP BY {', '.join(map(str, range(1, len(columns) + 1)))}" if columns and measures else ""
    source = f"({dataset.sql})" if dataset.sql else f"bi.{dataset.view}"
    conditions = [f"{dataset.time} {DAYS}" if dataset.time else "true", query["extras"].get("where", "true")]
    return f"SELECT {', '.join([*columns, *measures])} FROM {source} x WHERE {' AND '.join(conditions)}{grouped}"


def test_rows_of_a_dashboard_fill_twelve_columns() -> None:
    widths = {(each.title, sum(chart.width for chart in row)) for each in DASHBOARDS for row in each.rows}
    assert {width for _, width in widths} == {12}


# -- Grafana


def test_the_dashboard_of_grafana_is_the_one_that_is_made() -> None:
    file = DEPLOY / "grafana" / "calls.json"
    if os.environ.get("ETL_REGENERATE"):
        file.write_text(grafana.file(), "utf-8")
        pytest.skip("written anew")
    assert file.read_text("utf-8") == grafana.file()


@pytest.mark.parametrize("panel", grafana.PANELS, ids=lambda panel: panel.title)
def test_a_panel_has_data(filled: Engine, panel: Panel) -> None:
    sources = [row.source for row in asked(filled, grafana.SOURCES)]
    assert asked(filled, grafana.expanded(panel.sql, NOON - timedelta(days=30), NOON, sources))
    assert asked(filled, grafana.expanded(panel.sql, NOON - timedelta(days=30), NOON, sources[:1]))


def test_panels_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in grafana.document()["panels"]]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23


# -- dbt


def test_the_package_is_made_from_the_views_as_they_are(filled: Engine) -> None:
    compare(DEPLOY / "dbt", {**package.files(views.read(filled)), **kept(DEPLOY / "dbt")})


def kept(directory: Path) -> dict[str, str]:
    """What is written by hand."""
    return {"profiles.yml": (directory / "profiles.yml").read_text("utf-8")}


def test_what_the_package_tests_is_so(filled: Engine) -> None:
    source = yaml.safe_load(package.files(views.read(filled))["models/sources.yml"])["sources"][0]
    wrong = []
    for table in source["tables"]:
        for column in table["columns"]:
            for test in column.get("data_tests", ()):
                name, view = column["name"], f"bi.{table['name']}"
                if test == "not_null" and asked(filled, f"SELECT 1 FROM {view} WHERE {name} IS NULL LIMIT 1"):
                    wrong.append(f"{view}.{name} is null")
                elif test == "unique" and asked(filled, f"SELECT {name} FROM {view} GROUP BY 1 HAVING count(*) > 1"):
                    wrong.append(f"{view}.{name} is not unique")
    assert wrong == []
    assert re.search("not_null", yaml.safe_dump(source))
