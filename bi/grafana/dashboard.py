"""A few panels on ``bi`` → the JSON of a Grafana dashboard, and what Grafana makes of a query before it asks."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

Json = dict[str, Any]
SOURCE = {"type": "grafana-postgresql-datasource", "uid": "${datasource}"}
CHOSEN = "$__timeFilter(day) AND source IN ($source)"
TIME = "day::timestamp AT TIME ZONE 'UTC' AS time"


class Panel(NamedTuple):
    """A panel: how it is drawn, its unit, its statement, and its place on 24 columns."""

    title: str
    kind: str
    unit: str
    sql: str
    meaning: str
    width: int
    height: int


def _stat(title: str, unit: str, column: str, meaning: str, relation: str = "bi.daily_call_metrics") -> Panel:
    return Panel(title, "stat", unit, f"SELECT {column} FROM {relation} WHERE {CHOSEN}", meaning, 6, 4)


PANELS = (
    _stat("How many calls?", "short", "sum(calls) AS calls", "Calls of the days that are chosen"),
    _stat("How many are answered?", "percentunit", "sum(answered) / nullif(sum(calls), 0) AS answer_rate",
          "Share of the calls that were answered, by a person or a machine"),
    _stat("How many seconds each?", "s", "60 * sum(answered_minutes) / nullif(sum(answered), 0) AS seconds",
          "Average duration of the answered calls"),
    _stat("What do they cost?", "string",
          "to_char(sum(cost_reporting), 'FM999,999,999,990.00') || ' ' || max(report_currency) AS cost",
          "In the currency of reports; calls whose cost no rate converts are left out"),
    Panel("How do the calls of a day end?", "timeseries", "short",
          f"SELECT {TIME}, sum(answered) AS answered, sum(no_answer) AS \"no answer\", sum(busy) AS busy,"
          f" sum(failed) AS failed\n  FROM bi.daily_call_metrics WHERE {CHOSEN} GROUP BY day ORDER BY day",
          "Calls per day in the time zone of reports", 12, 8),
    Panel("Which vendor's calls are answered?", "timeseries", "percentunit",
          f"SELECT {TIME}, source AS metric, sum(answered) / nullif(sum(calls), 0) AS value\n"
          f"  FROM bi.daily_call_metrics WHERE {CHOSEN} GROUP BY day, source ORDER BY day, source",
          "Answer rate per day", 12, 8),
    Panel("What does each day cost?", "timeseries", "short",
          f"SELECT {TIME}, concat_ws(', ', source, report_currency) AS metric, sum(cost_reporting) AS value\n"
          f"  FROM bi.daily_call_metrics WHERE {CHOSEN} GROUP BY day, source, report_currency ORDER BY day, source",
          "In the currency of reports", 12, 8),
    Panel("Which agents do best?", "table", "short",
          "SELECT agent_name AS agent, sum(calls) AS calls,"
          " round(100 * sum(answered) / sum(calls), 1) AS \"answered, %\","
          " round(60 * sum(answered_minutes) / nullif(sum(answered), 0)) AS \"seconds each\","
          " sum(transferred) AS transferred\n"
          f"  FROM bi.daily_call_metrics WHERE {CHOSEN} GROUP BY agent_name ORDER BY calls DESC",
          "Agents of one name count as one, whichever vendor runs them", 12, 8),
    Panel("At what hour do customers answer?", "barchart", "percentunit",
          "SELECT lpad(hour::text, 2, '0') AS hour, sum(answered) / nullif(sum(calls), 0) AS \"answer rate\"\n"
          f"  FROM bi.hourly_call_metrics WHERE {CHOSEN} GROUP BY hour ORDER BY hour",
          "Answer rate by hour, in the time zone of reports", 12, 8),
    Panel("How fresh and how complete is each source?", "table", "short",
          "SELECT source, completeness, newest_call_at AS \"newest call\", last_success_at AS \"last sync\","
          " open_calls AS \"open calls\", quarantined\n"
          "  FROM bi.freshness WHERE source IN ($source) ORDER BY source",
          "verified: the vendor's own counts were compared and agree", 12, 8),
)  # fmt: skip
OPTIONS: dict[str, Json] = {
    "stat": {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "/.*/", "values": False}, "colorMode": "none",
             "graphMode": "none", "textMode": "value"},
    "timeseries": {"legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
                   "tooltip": {"mode": "multi", "sort": "desc"}},
    "table": {"showHeader": True, "cellHeight": "sm"},
    "barchart": {"orientation": "auto", "showValue": "never", "stacking": "none", "groupWidth": 0.7, "barWidth": 0.9,
                 "xField": "hour", "xTickLabelRotation": 0,
                 "legend": {"showLegend": False, "displayMode": "list", "placement": "bottom", "calcs": []},
                 "tooltip": {"mode": "single", "sort": "none"}},
}  # fmt: skip
STACKED = {"drawStyle": "bars", "fillOpacity": 80, "lineWidth": 0, "stacking": {"mode": "normal", "group": "A"}}
LINES = {"drawStyle": "line", "lineWidth": 2, "fillOpacity": 0, "spanNulls": True}
SOURCES = "SELECT source FROM bi.freshness ORDER BY source"


def document() -> Json:
    """The dashboard, as Grafana imports it."""
    panels, x, y = [], 0, 0
    for number, panel in enumerate(PANELS, 1):
        panels.append(_panel(number, panel, {"x": x, "y": y, "w": panel.width, "h": panel.height}))
        x, y = (x + panel.width) % 24, y + (panel.height if x + panel.width == 24 else 0)
    return {
        "title": "Callhouse: calls", "uid": "callhouse-calls",
        "description": "Calls, agents and cost, from PostgreSQL.",
        "schemaVersion": 39, "version": 1, "editable": True, "refresh": "5m", "tags": ["callhouse"],
        "time": {"from": "now-30d", "to": "now"}, "timezone": "utc", "templating": {"list": _variables()},
        "panels": panels,
    }  # fmt: skip


def file() -> str:
    """The dashboard's file."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def expanded(sql: str, start: datetime, end: datetime, sources: Sequence[str]) -> str:
    """The statement that Grafana sends for these days and sources."""
    quoted = ",".join(f"'{source}'" for source in sources)
    span = f"day BETWEEN '{start:%Y-%m-%dT%H:%M:%SZ}' AND '{end:%Y-%m-%dT%H:%M:%SZ}'"
    return sql.replace("$__timeFilter(day)", span).replace("$source", quoted)


def _panel(number: int, panel: Panel, place: Json) -> Json:
    is_split = "AS metric" in panel.sql
    defaults: Json = {"unit": panel.unit}
    if panel.kind == "timeseries":
        defaults["custom"] = LINES if panel.unit == "percentunit" else STACKED
    if panel.unit == "percentunit":
        defaults |= {"min": 0, "max": 1}
    target = {"refId": "A", "datasource": SOURCE, "rawQuery": True, "editorMode": "code", "rawSql": panel.sql,
              "format": "time_series" if panel.kind == "timeseries" else "table"}  # fmt: skip
    return {
        "id": number, "title": panel.title, "type": panel.kind, "description": panel.meaning, "datasource": SOURCE,
        "gridPos": place, "fieldConfig": {"defaults": defaults, "overrides": []}, "targets": [target],
        "options": OPTIONS[panel.kind],
        **({"transformations": [{"id": "renameByRegex", "options": {"regex": "value (.*)", "renamePattern": "$1"}}]}
           if is_split else {}),
    }  # fmt: skip


def _variables() -> list[Json]:
    return [
        {"name": "datasource", "type": "datasource", "query": "grafana-postgresql-datasource", "label": "PostgreSQL"},
        {"name": "source", "type": "query", "label": "Source", "datasource": SOURCE,
         "query": SOURCES, "includeAll": True, "multi": True, "refresh": 2,
         "current": {"text": "All", "value": "$__all"}},
    ]  # fmt: skip
