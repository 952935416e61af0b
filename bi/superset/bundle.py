"""Datasets, charts and dashboards → the YAML files of an import, in Superset's format 1.0.0."""

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from bi.superset.charts import THIRTY_DAYS, Chart
from bi.superset.dashboards import DASHBOARDS, Dashboard
from bi.superset.datasets import DATASETS, Dataset, Metric
from bi.views import Column, View

DATABASE = "Callhouse"
URI = "postgresql+psycopg2://dashboards:XXXXXXXXXX@localhost:5432/callhouse"  # an import asks for the password
VERSION = "1.0.0"
AS_TEXT = {"text[]": "array_to_string({}, ', ')", "jsonb": "{}::text"}  # else no filter of Superset's can compare them
SUM = re.compile(r"sum\((\w+)\)")
Json = dict[str, Any]


def files(views: Mapping[str, View], uri: str = URI) -> dict[str, str]:
    """Every file of the bundle by its path."""
    documents = {"metadata.yaml": {"version": VERSION, "type": "Dashboard", "timestamp": "2026-11-20T12:00:00+00:00"}}
    documents[f"databases/{DATABASE}.yaml"] = _database(uri)
    for name, dataset in DATASETS.items():
        documents[f"datasets/{DATABASE}/{name}.yaml"] = _dataset(name, dataset, views)
    for dashboard in DASHBOARDS:
        for chart in _charts(dashboard):
            documents[f"charts/{_file_name(dashboard, chart)}.yaml"] = _chart(dashboard, chart)
        documents[f"dashboards/{dashboard.slug}.yaml"] = _dashboard(dashboard)
    return {path: yaml.safe_dump(document, sort_keys=False, width=110) for path, document in documents.items()}


def chart_id(dashboard: Dashboard, chart: Chart) -> str:
    """The chart's identifier, the same in every bundle: an import replaces what an earlier one brought."""
    return _id("chart", dashboard.title, chart.title)


def _id(*words: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(["callhouse", *words])))


def _file_name(dashboard: Dashboard, chart: Chart) -> str:
    words = re.sub(r"\W+", "_", f"{dashboard.title} {chart.title}").strip("_")
    return f"{words}_{chart_id(dashboard, chart)[:4]}"


def _charts(dashboard: Dashboard) -> Iterator[Chart]:
    return (chart for row in dashboard.rows for chart in row)


def _database(uri: str) -> Json:
    return {
        "database_name": DATABASE, "sqlalchemy_uri": uri, "expose_in_sqllab": True, "allow_run_async": False,
        "allow_ctas": False, "allow_cvas": False, "allow_dml": False, "allow_csv_upload": False, "cache_timeout": 300,
        "extra": {"allows_virtual_table_explore": True}, "uuid": _id("database"), "version": VERSION,
    }  # fmt: skip


def _dataset(name: str, dataset: Dataset, views: Mapping[str, View]) -> Json:
    view = views[dataset.view]
    columns = [*view.columns.values(), *(views[other].columns[column] for other, column in dataset.besides)]
    return {
        "table_name": name, "main_dttm_col": dataset.time, "description": f"{view.meaning}.", "schema": "bi",
        "sql": dataset.sql, "filter_select_enabled": True, "cache_timeout": None, "offset": 0,
        "currency_code_column": dataset.currency,
        "always_filter_main_dttm": False, "normalize_columns": False, "uuid": _id("dataset", name),
        "metrics": [_metric(key, metric, view) for key, metric in dataset.metrics.items()],
        "columns": [*map(_column, columns), *map(_computed, dataset.computed)],
        "version": VERSION, "database_uuid": _id("database"),
    }  # fmt: skip


def _metric(name: str, metric: Metric, view: View) -> Json:
    summed = SUM.fullmatch(metric.expression)
    meaning = metric.meaning or (view.columns[summed[1]].meaning if summed else metric.title)
    return {
        "metric_name": name, "verbose_name": metric.title, "metric_type": None, "expression": metric.expression,
        "description": meaning, "d3format": metric.format, "warning_text": None,
    }  # fmt: skip


def _column(column: Column) -> Json:
    as_text = AS_TEXT.get(column.type)
    return {
        "column_name": column.name, "verbose_name": column.title, "type": "TEXT" if as_text else column.type.upper(),
        "is_dttm": column.type in ("date", "timestamp with time zone"), "is_active": True, "groupby": True,
        "filterable": True, "expression": as_text.format(column.name) if as_text else None,
        "description": column.meaning,
    }  # fmt: skip


def _computed(column: tuple[str, str, str]) -> Json:
    name, expression, meaning = column
    return {**_column(Column(name, "text", meaning)), "expression": expression}


def _chart(dashboard: Dashboard, chart: Chart) -> Json:
    context = {
        "datasource": {"id": 0, "type": "table"}, "force": False, "queries": [chart.query], "form_data": chart.form,
        "result_format": "json", "result_type": "full",
    }  # fmt: skip
    return {
        "slice_name": chart.title, "viz_type": chart.form["viz_type"], "params": chart.form,
        "query_context": json.dumps(context), "cache_timeout": None, "uuid": chart_id(dashboard, chart),
        "version": VERSION, "dataset_uuid": _id("dataset", chart.dataset),
    }  # fmt: skip


def _dashboard(dashboard: Dashboard) -> Json:
    filters = [_time_filter(dashboard), *(_filter(dashboard, *chosen) for chosen in dashboard.filters)]
    return {
        "dashboard_title": dashboard.title, "description": dashboard.meaning, "css": "", "slug": dashboard.slug,
        "uuid": _id("dashboard", dashboard.title), "published": True, "position": _position(dashboard),
        "metadata": {
            "color_scheme": "supersetColors", "cross_filters_enabled": True, "refresh_frequency": 300,
            "native_filter_configuration": filters, "filter_bar_orientation": "HORIZONTAL",
        },
        "version": VERSION,
    }  # fmt: skip


def _time_filter(dashboard: Dashboard) -> Json:
    mask = {"extraFormData": {"time_range": THIRTY_DAYS}, "filterState": {"value": THIRTY_DAYS}, "ownState": {}}
    return {
        **_any_filter(dashboard, "time"), "name": "Days", "filterType": "filter_time", "targets": [{}],
        "defaultDataMask": mask,
    }  # fmt: skip


def _filter(dashboard: Dashboard, dataset: str, column: str) -> Json:
    return {
        **_any_filter(dashboard, column), "name": column.removesuffix("_name").capitalize(),
        "filterType": "filter_select",
        "targets": [{"column": {"name": column}, "datasetUuid": _id("dataset", dataset)}],
        "controlValues": {"multiSelect": True, "enableEmptyFilter": False, "defaultToFirstItem": False,
                          "inverseSelection": False, "searchAllOptions": False},
        "defaultDataMask": {"extraFormData": {}, "filterState": {}, "ownState": {}},
    }  # fmt: skip


def _any_filter(dashboard: Dashboard, name: str) -> Json:
    return {
        "id": f"NATIVE_FILTER-{_id('filter', dashboard.title, name)[:8]}", "type": "NATIVE_FILTER", "description": "",
        "scope": {"rootPath": ["ROOT_ID"], "excluded": []}, "cascadeParentIds": [], "controlValues": {},
    }  # fmt: skip


def _position(dashboard: Dashboard) -> Json:
    position: Json = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
        "HEADER_ID": {"type": "HEADER", "id": "HEADER_ID", "meta": {"text": dashboard.title}},
        "GRID_ID": {"type": "GRID", "id": "GRID_ID", "children": [], "parents": ["ROOT_ID"]},
    }
    for number, row in enumerate(dashboard.rows):
        key = f"ROW-{number}"
        position["GRID_ID"]["children"].append(key)
        position[key] = {"type": "ROW", "id": key, "children": [], "parents": ["ROOT_ID", "GRID_ID"],
                         "meta": {"background": "BACKGROUND_TRANSPARENT"}}  # fmt: skip
        for chart in row:
            identifier = chart_id(dashboard, chart)
            position[key]["children"].append(f"CHART-{identifier[:8]}")
            position[f"CHART-{identifier[:8]}"] = {
                "type": "CHART", "id": f"CHART-{identifier[:8]}", "children": [],
                "parents": ["ROOT_ID", "GRID_ID", key],
                "meta": {"uuid": identifier, "chartId": 0, "sliceName": chart.title, "width": chart.width,
                         "height": chart.height},
            }  # fmt: skip
    return position
