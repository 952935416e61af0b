"""Work → spans of OpenTelemetry: run, request, batch. Without ``callhouse[otel]``, or an endpoint, nothing happens."""

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
    """A span around a piece of work; its attributes are names and numbers of ours, and never a person's data."""
    if _tracer is None:
        return nullcontext()
    # an exception's text may quote what was received: that there was one is enough
    return _tracer.start_as_current_span(name, attributes=attributes, record_exception=False)


def setup() -> None:
    """Send spans to the endpoint that OpenTelemetry's own variables name, if one is named."""
    if _tracer is None or not any(os.environ.get(name) for name in ENDPOINTS):
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
