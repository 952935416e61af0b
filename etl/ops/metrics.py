"""What the process counts and what the books hold → the text that Prometheus reads; nobody's data, and few labels."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Any

import httpx
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine, Row, text
from sqlalchemy.exc import SQLAlchemyError

from etl.client.transport import DeadlineTransport
from etl.model import Source
from etl.ops import health
from etl.state.adaptive_rate import AdaptiveRate, current_rate
from etl.sync.run import RunDependencies, RunResult

CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"
LATENCY_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
RUN_SECONDS = (1, 5, 15, 60, 300, 900, 3600, 14400)
VERDICTS = ("verified", "count_match", "incomplete", "unknown")
RECORDS = ("inserted", "updated", "unchanged", "quarantined")
NO_ANSWER = "none"

# Calls are counted by the day as they come: to count ten million of them takes longer than Prometheus waits.
BOOKS = text("""
    SELECT f.source, f.newest_call_at, f.last_success_at, f.completeness, f.open_calls, f.quarantined,
           s.next_run_at, s.paused_until > :now AS is_paused, coalesce(p.blocked_until > :now, false) AS is_held,
           coalesce(extract(epoch FROM p.next_slot_at - :now), 0) AS ahead_seconds,
           p.requests_per_minute, p.adaptive_rate_per_minute, p.adapted_at,
           (SELECT coalesce(sum(calls), 0) FROM warehouse.stream_rollup_daily d
             WHERE d.source = f.source AND d.partition = '') AS calls,
           (SELECT count(*) FROM ops.schema_drift d WHERE d.source = f.source) AS drift,
           (SELECT extract(epoch FROM finished_at - started_at) FROM ops.runs r
             WHERE r.source = f.source AND kind = 'sync' AND finished_at IS NOT NULL
             ORDER BY started_at DESC LIMIT 1) AS run_seconds
      FROM bi.freshness f
      JOIN ops.sources s USING (source)
      LEFT JOIN ops.rate_limits p USING (source)
     WHERE f.source = ANY(:sources)
     ORDER BY f.source
""")


ALERTS = text("SELECT source, kind FROM ops.alerts WHERE resolved_at IS NULL AND source = ANY(:sources) ORDER BY 1, 2")


class Metrics:
    """What one daemon counts from its start on; ``monotonic`` gives seconds that never step back."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._looked = monotonic()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = self._counter("requests", "Requests sent, by HTTP status.", "source", "status")
        self._latency = self._histogram("request", "From a request to its answer.", LATENCY_SECONDS, "source")
        self._runs = self._counter("runs", "Runs that ended.", "source", "kind", "status")
        self._durations = self._histogram("run", "From a run's beginning to its end.", RUN_SECONDS, "source", "kind")
        self._records = self._counter("records", "Records received, by what became of them.", "source", "became")
        self._given_up = self._counter("runs_abandoned", "Runs that hung.", "source")

    def _counter(self, name: str, said: str, *labels: str) -> Counter:
        return Counter(name, said, labels, "callhouse", registry=self.registry)

    def _histogram(self, name: str, said: str, buckets: Sequence[float], *labels: str) -> Histogram:
        named = f"{name}_duration_seconds"
        return Histogram(named, said, labels, "callhouse", registry=self.registry, buckets=buckets)

    def look(self) -> None:
        """The daemon has looked around."""
        self._looked = self._monotonic()

    def silent_seconds(self) -> float:
        """How long it has not."""
        return self._monotonic() - self._looked

    def watched(self, means: RunDependencies) -> RunDependencies:
        """The same means, every request of which is counted."""
        given = means.transport

        def counted(source: Source) -> httpx.BaseTransport:
            return MeteredTransport(given(source) or DeadlineTransport(source.base_url, means.clock), self, source.name)

        return replace(means, transport=counted)

    def request(self, source: str, status: str, seconds: float) -> None:
        """A request was answered, or was not."""
        self._requests.labels(source, status).inc()
        self._latency.labels(source).observe(seconds)

    def run(self, report: RunResult, seconds: float) -> None:
        """A run ended."""
        self._runs.labels(report.source, report.kind, report.status).inc()
        self._durations.labels(report.source, report.kind).observe(seconds)
        for became in RECORDS:
            self._records.labels(report.source, became).inc(getattr(report.counts, became))

    def abandoned(self, source: str) -> None:
        """A run hung, and was left behind."""
        self._given_up.labels(source).inc()


class MeteredTransport(httpx.BaseTransport):
    """Passes requests on, and tells the meters how each was answered, and how long it took until it was."""

    def __init__(self, inner: httpx.BaseTransport, meters: Metrics, source: str) -> None:
        self._inner, self._meters, self._source = inner, meters, source

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One request."""
        began, status = time.monotonic(), NO_ANSWER
        try:
            response = self._inner.handle_request(request)
            status = str(response.status_code)
            return response
        finally:
            self._meters.request(self._source, status, time.monotonic() - began)

    def close(self) -> None:
        """Closes the connections."""
        self._inner.close()


def exposition(meters: Metrics, db: Engine, sources: Sequence[Source], now: datetime) -> bytes:
    """All metrics in Prometheus' text format; without the database, those that the process itself counts."""
    registry = CollectorRegistry()
    registry.register(_Collected(list(chain(meters.registry.collect(), _of_books(meters, db, sources, now)))))
    return generate_latest(registry)


class _Collected(Collector):
    """Metrics that are there already, as something that a registry can collect."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics


def _of_books(meters: Metrics, db: Engine, sources: Sequence[Source], now: datetime) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "callhouse_heartbeat_age_seconds", "How long the daemon has not looked around.", meters.silent_seconds()
    )
    yield _gauge("rate_budget_per_minute", "Requests a minute.", ((s.name, s.requests_per_minute) for s in sources))
    try:
        with db.connect() as connection:
            connection.execute(text("SET LOCAL statement_timeout = '10s'"))
            rows = connection.execute(BOOKS, {"now": now, "sources": [source.name for source in sources]}).all()
            alerts = connection.execute(ALERTS, {"sources": [source.name for source in sources]}).all()
            late = {name for name, _ in health.stale(sources, health.progress(connection), now)}
    except SQLAlchemyError:
        yield GaugeMetricFamily("callhouse_database_up", "Whether the books could be read.", 0)
    else:
        yield GaugeMetricFamily("callhouse_database_up", "Whether the books could be read.", 1)
        standing = GaugeMetricFamily("callhouse_alert", "Alerts that stand.", labels=["source", "kind"])
        for alert in alerts:
            standing.add_metric([alert.source, alert.kind], 1)
        yield standing
        yield from _of_sources(rows, now, late)


def _of_sources(rows: Sequence[Row[Any]], now: datetime, late: set[str]) -> Iterator[Metric]:
    def gauge(name: str, said: str, value: Callable[[Row[Any]], Any]) -> Metric:
        return _gauge(name, said, ((row.source, value(row)) for row in rows))

    yield gauge("calls", "Calls that are held.", lambda row: row.calls)
    yield gauge("newest_call_timestamp_seconds", "When the newest call began.", lambda row: row.newest_call_at)
    yield gauge("last_success_timestamp_seconds", "When it was last read.", lambda row: row.last_success_at)
    yield gauge("last_run_duration_seconds", "How long the last reading took.", lambda row: row.run_seconds)
    yield gauge("next_run_timestamp_seconds", "When it is read next.", lambda row: row.next_run_at)
    yield gauge("stale", "Whether it missed its goal of freshness.", lambda row: row.source in late)
    yield gauge("paused", "Whether it is set aside: key, rights or balance.", lambda row: row.is_paused or False)
    yield gauge("backing_off", "Whether the provider asked to be left alone.", lambda row: row.is_held)
    yield gauge("quarantined", "Records that wait because they became no row.", lambda row: row.quarantined)
    yield gauge("open_calls", "Calls that a sweep still reads again.", lambda row: row.open_calls)
    yield gauge("drift", "Fields, words and types that nobody expected.", lambda row: row.drift)
    yield gauge("rate_per_minute", "Requests a minute that refusals leave.", lambda row: _rate(row, now))
    yield gauge(
        "rate_budget_used_ratio",
        "How much of what may be sent at once is spent; above 1 requests wait.",
        lambda row: max(0.0, float(row.ahead_seconds) / 10),
    )
    complete = GaugeMetricFamily(
        "callhouse_completeness", "1 for the verdict that holds.", labels=["source", "verdict"]
    )
    for row in rows:
        for verdict in VERDICTS:
            complete.add_metric([row.source, verdict], row.completeness == verdict)
    yield complete


def _rate(row: Row[Any], now: datetime) -> float | None:
    learned = AdaptiveRate(row.adaptive_rate_per_minute, row.adapted_at) if row.adaptive_rate_per_minute else None
    return current_rate(row.requests_per_minute, learned, now) if row.requests_per_minute else None


def _gauge(name: str, said: str, values: Iterable[tuple[str, Any]]) -> Metric:
    """One value per source; a time becomes seconds since 1970, and what is not known has no line."""
    family = GaugeMetricFamily(f"callhouse_{name}", said, labels=["source"])
    for source, value in values:
        if value is not None:
            family.add_metric([source], value.timestamp() if isinstance(value, datetime) else float(value))
    return family
