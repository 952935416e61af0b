"""Runs, requests and batches → OpenTelemetry spans; a no-op without ``callhouse[otel]`` or an endpoint."""

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

try:
    from opentelemetry import trace
except ImportError:  # the extra is not installed
    _tracer = None
else:
    _tracer = trace.get_tracer("callhouse")

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def span(name: str, **attributes: str | int) -> AbstractContextManager[Any]:
    """A span; its attributes are our own names and numbers, never personal data."""
    if _tracer is None:
        return nullcontext()
    # the text of an exception may quote a response: that there was one is enough
    return _tracer.start_as_current_span(name, attributes=attributes, record_exception=False)


def setup() -> None:
    """Send spans to the endpoint in OpenTelemetry's own environment variables, if one is set."""
    if _tracer is None or not any(os.environ.get(name) for name in ENDPOINTS):
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
