"""A chart of Superset: its form, and the query that the form makes, for whoever asks by API."""

from typing import Any, NamedTuple

from bi.superset.datasets import AMOUNT, DATASETS, MONEY, RATE

# To the end of the local day, which may be tomorrow by the server's clock; Superset's own "Last month" ends yesterday.
THIRTY_DAYS = 'DATEADD(DATETIME("today"), -29, day) : DATEADD(DATETIME("today"), 2, day)'
AMOUNTS = {"cost", "expected_cost", "ratio"}
Json = dict[str, Any]


class Chart(NamedTuple):
    """A chart and its place: width in twelfths of a row, height in units of 8 pixels."""

    title: str
    dataset: str
    form: Json
    query: Json
    width: int
    height: int = 44


def big_number(title: str, dataset: str, metric: str, subtitle: str = "", *, width: int = 3) -> Chart:
    """One number, and its course by day."""
    time = DATASETS[dataset].time
    form = {
        "viz_type": "big_number", "metric": metric, "x_axis": time, "time_grain_sqla": "P1D", "show_trend_line": True,
        "start_y_axis_at_zero": True, "y_axis_format": DATASETS[dataset].metrics[metric].format,
        "time_format": "%d %b", "aggregation": "raw", "header_font_size": 0.4, "subtitle_font_size": 0.15,
        "subtitle": subtitle, **_money(metric), **_ranged(dataset),
    }  # fmt: skip
    return Chart(title, dataset, form, _query(dataset, [_axis(str(time))], [metric]), width, 26)


def total(title: str, dataset: str, metric: str, subtitle: str, *, width: int = 3) -> Chart:
    """One number."""
    form = {
        "viz_type": "big_number_total", "metric": metric, "y_axis_format": DATASETS[dataset].metrics[metric].format,
        "subtitle": subtitle, "header_font_size": 0.4, "subtitle_font_size": 0.15, **_ranged(dataset),
    }  # fmt: skip
    return Chart(title, dataset, form, _query(dataset, [], [metric]), width, 26)


def over_time(
    title: str, dataset: str, metrics: list[str], *, by: str | None = None, kind: str = "bar", width: int = 6,
    grain: str = "P1D", x: str | None = None, unit: str = "",
) -> Chart:  # fmt: skip
    """Bars, stacked, or lines over days or weeks."""
    axis = x or str(DATASETS[dataset].time)
    form = {
        "viz_type": f"echarts_timeseries_{kind}", "x_axis": axis, "time_grain_sqla": grain, "metrics": metrics,
        "groupby": [by] if by else [], "row_limit": 10000, "show_legend": bool(by or len(metrics) > 1),
        "legendType": "scroll", "legendOrientation": "top", "rich_tooltip": True, "x_axis_time_format": "%d %b",
        "tooltipTimeFormat": "%a %d %b %Y", "y_axis_format": DATASETS[dataset].metrics[metrics[0]].format,
        "y_axis_title": unit, "y_axis_title_margin": 55 if unit else 0, "truncate_metric": True,
        "stack": "Stack" if kind == "bar" else None, "markerEnabled": False, "truncateYAxis": False,
        "y_axis_bounds": [0, 1 if DATASETS[dataset].metrics[metrics[0]].format == RATE else None], **_money(metrics[0]),
        **_ranged(dataset),
    }  # fmt: skip
    return Chart(title, dataset, form, _query(dataset, [_axis(axis, grain), *([by] if by else [])], metrics), width)


def bars(
    title: str, dataset: str, metrics: list[str], x: str, *, width: int = 6, by: str | None = None,
    only: str | None = None,
) -> Chart:  # fmt: skip
    """A bar for each value of a column, longest first."""
    form = {
        "viz_type": "echarts_timeseries_bar", "x_axis": x, "xAxisForceCategorical": True, "metrics": metrics,
        "groupby": [by] if by else [], "orientation": "horizontal", "x_axis_sort": metrics[0], "x_axis_sort_asc": True,
        "show_legend": bool(by or len(metrics) > 1), "legendOrientation": "top", "show_value": True, "row_limit": 100,
        "y_axis_format": DATASETS[dataset].metrics[metrics[0]].format, "truncate_metric": True,
        "stack": "Stack" if by else None, "y_axis_bounds": [0, None], **_money(metrics[0]), **_ranged(dataset),
    }  # fmt: skip
    query = _query(dataset, [x, *([by] if by else [])], metrics)
    return Chart(title, dataset, *_restricted(form, query, only), width)


def heatmap(title: str, dataset: str, metric: str, x: str, y: str, *, width: int = 6) -> Chart:
    """A coloured cell for each pair of values."""
    form = {
        "viz_type": "heatmap_v2", "x_axis": x, "groupby": y, "metric": metric, "normalize_across": "heatmap",
        "sort_x_axis": "alpha_asc", "sort_y_axis": "alpha_desc", "linear_color_scheme": "schemeGnBu",
        "y_axis_format": DATASETS[dataset].metrics[metric].format, "show_legend": True, "show_values": False,
        "legend_type": "continuous", "row_limit": 10000, "xscale_interval": 1, "yscale_interval": 1, "left_margin": 60,
        "bottom_margin": 40,
        "value_bounds": [None, None], **_ranged(dataset),
    }  # fmt: skip
    return Chart(title, dataset, form, _query(dataset, [x, y], [metric]), width)


def table(
    title: str, dataset: str, columns: list[str], metrics: list[str], *, width: int = 12, only: str | None = None
) -> Chart:
    """A row for each value, largest first by the first metric."""
    form = {
        "viz_type": "table", "query_mode": "aggregate", "groupby": columns, "metrics": metrics, "row_limit": 1000,
        "timeseries_limit_metric": metrics[0], "order_desc": True, "server_pagination": False, "show_cell_bars": False,
        "table_timestamp_format": "%d %b %H:%M", "include_search": False, "color_pn": False, **_ranged(dataset),
        "column_config": {
            name: {"d3NumberFormat": DATASETS[dataset].metrics[name].format, **_money(name, "currencyFormat")}
            for name in metrics
        },
    }  # fmt: skip
    query = _query(dataset, columns, metrics, [[metrics[0], False]])
    return Chart(title, dataset, *_restricted(form, query, only), width)


def rows(
    title: str, dataset: str, columns: list[str], *, order: str, only: str | None = None, width: int = 12
) -> Chart:
    """Rows as the view has them, newest first."""
    form: Json = {
        "viz_type": "table", "query_mode": "raw", "all_columns": columns, "order_by_cols": [f'["{order}", false]'],
        "row_limit": 1000, "server_pagination": False, "table_timestamp_format": "%d %b %H:%M", **_ranged(dataset),
        "show_cell_bars": False,
        "column_config": {name: {"d3NumberFormat": AMOUNT} for name in columns if name in AMOUNTS},
    }  # fmt: skip
    query = {**_query(dataset, columns, [], [[order, False]]), "row_limit": 1000}
    del query["metrics"]
    return Chart(title, dataset, *_restricted(form, query, only), width, 36)


def _money(metric: str, key: str = "currency_format") -> Json:
    """The currency of an amount, by the dataset's column of currencies."""
    return {key: {"symbol": "AUTO", "symbolPosition": "prefix"}} if metric in MONEY else {}


def _restricted(form: Json, query: Json, only: str | None) -> tuple[Json, Json]:
    if only:
        form["adhoc_filters"].append({"clause": "WHERE", "expressionType": "SQL", "sqlExpression": only})
        query["extras"] = {"where": f"({only})"}
    return form, query


def _ranged(dataset: str) -> Json:
    """The filter on time that a dashboard's own filter replaces."""
    time = DATASETS[dataset].time
    ranged = {"clause": "WHERE", "expressionType": "SIMPLE", "operator": "TEMPORAL_RANGE", "subject": time,
              "comparator": THIRTY_DAYS}  # fmt: skip
    return {"adhoc_filters": [ranged] if time else []}


def _axis(column: str, grain: str = "P1D") -> Json:
    return {"columnType": "BASE_AXIS", "expressionType": "SQL", "label": column, "sqlExpression": column,
            "timeGrain": grain}  # fmt: skip


def _query(dataset: str, columns: list[Any], metrics: list[str], order: list[Any] | None = None) -> Json:
    time = DATASETS[dataset].time
    filters = [{"col": time, "op": "TEMPORAL_RANGE", "val": THIRTY_DAYS}] if time else []
    return {
        "columns": columns, "metrics": metrics, "filters": filters, "orderby": order or [], "row_limit": 10000,
        "extras": {}, "annotation_layers": [], "post_processing": [],
    }  # fmt: skip
