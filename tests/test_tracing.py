"""Spans of a run: their names, parents and attributes, and that they carry no personal data."""

import subprocess
import sys

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import Engine

from tests.harness import make_harness

WITHOUT = """
import sys
sys.modules["opentelemetry"] = None
from etl.runtime import tracing
with tracing.span("run", source="s") as nothing:
    assert nothing is None
tracing.setup()
"""


def test_a_run_is_a_span_with_its_requests_and_batches_in_it(db: Engine) -> None:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    trace.set_tracer_provider(provider)  # once in a process, as etl.runtime.tracing.setup does
    make_harness(db).sync("autocalls")
    provider.shutdown()  # no later test of this process is recorded
    spans = kept.get_finished_spans()
    [run] = [span for span in spans if span.name == "run"]
    assert {span.name for span in spans} == {"run", "request", "batch"}
    assert run.attributes is not None
    assert run.attributes["source"] == "autocalls"
    assert {key for span in spans for key in span.attributes or ()} == {"source", "kind", "run_id"}
    batches = [span for span in spans if span.name == "batch"]
    assert {span.parent and span.parent.span_id for span in batches} == {run.context.span_id}


def test_without_the_extra_nothing_happens() -> None:
    assert subprocess.run([sys.executable, "-c", WITHOUT], check=False, timeout=60).returncode == 0
