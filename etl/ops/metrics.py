"""What this process counts, and the sync state in the database → Prometheus' text format, without personal data."""

import time
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain, product
from typing import Any

import httpx
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from etl.client.transport import DeadlineTransport
from etl.db.statements import Statements, fetch_all, fetch_one
from etl.model import Source
from etl.ops import health
from etl.state.adaptive_rate import stored_rate
from etl.sync.run import RunDependencies, RunResult

CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8"
LATENCY_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
RUN_SECONDS = (1, 5, 15, 60, 300, 900, 3600, 14400)
RECORDS = ("inserted", "updated", "unchanged", "quarantined")
NO_RESPONSE, THROTTLED = "none", "429"
RUN_STATUSES = ("succeeded", "failed", "interrupted")
STATES = ("paused", "failing", "incomplete", "stale", "never_synced", "ok")  # the first that applies

STATUS, ALERTS, SERVER = Statements("status"), Statements("alerts"), Statements("server")


class Metrics:
    """The counters of one daemon; ``monotonic`` gives seconds that never step back.

    A source has some 25 series, and no histogram: there may be thousands of sources.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a third of all series, which no query here needs
        self._monotonic = monotonic
        self._beat_at = monotonic()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = self._counter(
            "requests", "Requests sent, by HTTP status; none without a response.", "source", "status"
        )
        self._latency = self._histogram("request", "Time from a request to its response.", LATENCY_SECONDS, "provider")
        self._runs = self._counter("runs", "Runs that finished.", "source", "status")
        self._durations = self._histogram("run", "Time from the start of a run to its end.", RUN_SECONDS, "kind")
        self._records = self._counter("records", "Records received, by result.", "source", "result")
        self._abandoned = self._counter("runs_abandoned", "Runs that hung and were abandoned.", "source")

    def _counter(self, name: str, description: str, *labels: str) -> Counter:
        return Counter(name, description, labels, "callhouse", registry=self.registry)

    def _histogram(self, name: str, description: str, buckets: Sequence[float], *labels: str) -> Histogram:
        named = f"{name}_duration_seconds"
        return Histogram(named, description, labels, "callhouse", registry=self.registry, buckets=buckets)

    def begin(self, sources: Sequence[str]) -> None:
        """Start every count of these sources at zero: Prometheus sees no increase from no series to its first value."""
        for source in sources:
            self._abandoned.labels(source)
            self._requests.labels(source, THROTTLED)
            for status in RUN_STATUSES:
                self._runs.labels(source, status)

    def beat(self) -> None:
        """Record a heartbeat of the daemon's main loop."""
        self._beat_at = self._monotonic()

    def heartbeat_age_seconds(self) -> float:
        """The time since the last heartbeat."""
        return self._monotonic() - self._beat_at

    def counting(self, deps: RunDependencies) -> RunDependencies:
        """The same dependencies, with every request counted."""
        given = deps.transport

        def counted(source: Source) -> httpx.BaseTransport:
            return MeteredTransport(given(source) or DeadlineTransport(source.base_url, deps.clock), self, source)

        return replace(deps, transport=counted)

    def request(self, source: Source, status: str, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(source.name, status).inc()
        self._latency.labels(source.provider).observe(seconds)

    def run(self, result: RunResult, seconds: float) -> None:
        """Count a run that finished."""
        self._runs.labels(result.source, result.status).inc()
        self._durations.labels(result.kind).observe(seconds)
        for name in RECORDS:
            self._records.labels(result.source, name).inc(getattr(result.counts, name))

    def abandoned(self, source: str) -> None:
        """Count a run that hung."""
        self._abandoned.labels(source).inc()


class MeteredTransport(httpx.BaseTransport):
    """Passes requests on and counts them, with the status and the latency of each."""

    def __init__(self, inner: httpx.BaseTransport, metrics: Metrics, source: Source) -> None:
        self._inner, self._metrics, self._source = inner, metrics, source

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One request."""
        began, status = time.monotonic(), NO_RESPONSE
        try:
            response = self._inner.handle_request(request)
            status = str(response.status_code)
            return response
        finally:
            self._metrics.request(self._source, status, time.monotonic() - began)

    def close(self) -> None:
        """Closes the connections."""
        self._inner.close()


def exposition(metrics: Metrics, db: Engine, sources: Sequence[Source], now: datetime) -> bytes:
    """All metrics in Prometheus' text format; while the database is down, those of this process alone."""
    registry = CollectorRegistry()
    registry.register(_Collected(list(chain(metrics.registry.collect(), _from_database(metrics, db, sources, now)))))
    return generate_latest(registry)


class _Collected(Collector):
    """Finished metrics as a collector that a registry takes."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics


def _from_database(metrics: Metrics, db: Engine, sources: Sequence[Source], now: datetime) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "callhouse_heartbeat_age_seconds",
        "Time since the last heartbeat of the daemon's main loop.",
        metrics.heartbeat_age_seconds(),
    )
    yield _gauge(
        "rate_budget_per_minute", "The configured rate limit.", ((s.name, s.requests_per_minute) for s in sources)
    )
    names = [source.name for source in sources]
    try:
        with db.connect() as connection:
            fetch_one(connection, SERVER.set_statement_timeout, {"timeout": "10s"})
            rows = fetch_all(connection, STATUS.source_metrics, {"now": now, "sources": names})
            alerts = fetch_all(connection, ALERTS.open_alerts, {"sources": names})
            late = {name for name, _ in health.stale(sources, health.progress(connection, now), now)}
    except SQLAlchemyError:
        yield GaugeMetricFamily("callhouse_database_up", "Whether the database could be read.", 0)
    else:
        yield GaugeMetricFamily("callhouse_database_up", "Whether the database could be read.", 1)
        firing = GaugeMetricFamily("callhouse_alert", "Alerts that are open.", labels=["source", "kind"])
        for alert in alerts:
            firing.add_metric([alert.source, alert.kind], 1)
        yield firing
        yield _states(sources, {row.source: row for row in rows}, late)
        yield from _of_sources(rows, now, late)


def _states(sources: Sequence[Source], rows: Mapping[str, Any], late: set[str]) -> Metric:
    """How many sources of each provider are in which state: a thousand sources as some twenty series."""
    counts = Counts((source.provider, _state(rows.get(source.name), source.name in late)) for source in sources)
    family = GaugeMetricFamily(
        "callhouse_sources", "Sources by provider and state, the worst that applies.", labels=["provider", "state"]
    )
    for provider, state in product(sorted({source.provider for source in sources}), STATES):
        family.add_metric([provider, state], counts[provider, state])
    return family


def _state(row: Any, is_late: bool) -> str:
    if row is None:
        return "never_synced"
    applying = (
        row.is_paused,
        row.last_status == "failed",
        row.completeness == "incomplete",
        is_late,
        not row.last_status,
    )
    return next((state for state, applies in zip(STATES, applying, strict=False) if applies), "ok")


def _of_sources(rows: Sequence[Any], now: datetime, late: set[str]) -> Iterator[Metric]:
    def gauge(name: str, description: str, value: Callable[[Any], Any]) -> Metric:
        return _gauge(name, description, ((row.source, value(row)) for row in rows))

    yield gauge("calls", "Calls stored.", lambda row: row.calls)
    yield gauge("newest_call_timestamp_seconds", "When the newest call was created.", lambda row: row.newest_call_at)
    yield gauge("last_success_timestamp_seconds", "When a sync last succeeded.", lambda row: row.last_success_at)
    yield gauge("last_run_duration_seconds", "Duration of the last sync.", lambda row: row.run_seconds)
    yield gauge("next_run_timestamp_seconds", "When the next run is scheduled.", lambda row: row.next_run_at)
    yield gauge(
        "stale",
        "Whether it was not read in time: three intervals of its schedule, 15 minutes at least.",
        lambda row: row.source in late,
    )
    yield gauge(
        "paused",
        "Whether it is paused: key, rights, balance or a long Retry-After.",
        lambda row: row.is_paused or False,
    )
    yield gauge(
        "backing_off", "Whether requests wait because the provider asked for it.", lambda row: row.is_backing_off
    )
    yield gauge("quarantined", "Records in quarantine.", lambda row: row.quarantined)
    yield gauge("open_calls", "Calls that may still change and are read again.", lambda row: row.open_calls)
    yield gauge("drift", "Unexpected fields, values and types in the provider's records.", lambda row: row.drift)
    yield gauge(
        "rate_per_minute", "The current rate limit, lowered after rejections.", lambda row: stored_rate(row, now)
    )
    yield gauge(
        "rate_budget_used_ratio",
        "The share of the burst that is used up; above 1 requests wait.",
        lambda row: max(0.0, float(row.ahead_seconds) / 10),
    )
    complete = GaugeMetricFamily(
        "callhouse_completeness", "1, with the status that applies.", labels=["source", "status"]
    )
    for row in rows:
        complete.add_metric([row.source, row.completeness], 1)
    yield complete


def _gauge(name: str, description: str, values: Iterable[tuple[str, Any]]) -> Metric:
    """One value per source; a time becomes seconds since 1970, and an unknown value is left out."""
    family = GaugeMetricFamily(f"callhouse_{name}", description, labels=["source"])
    for source, value in values:
        if value is not None:
            family.add_metric([source], value.timestamp() if isinstance(value, datetime) else float(value))
    return family
