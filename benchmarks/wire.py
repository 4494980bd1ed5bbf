"""What writing spans for the network costs: by hand, in units of the official encoder.

Rules for this file: both write the spans that the handler makes of the recorded chain, as one batch, and what they write is
compared before it is measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from benchmarks.cases import Case
from benchmarks.gate import Goal
from benchmarks.recording import Recording
from benchmarks.targets import Operation, Work, dispatch
from otel_callbacks import OTelCallbackHandler, semconv
from otel_callbacks.export.items import Entry
from otel_callbacks.export.wire.origins import origin_of
from otel_callbacks.export.wire.requests import request
from otel_callbacks.export.wire.spans import span_item

_CONTENT: Final = '[{"role":"user","parts":[{"type":"text","content":"%s"}]}]' % ("When is high tide? " * 200)


def encoded(recording: Recording) -> tuple[Case, ...]:
    """Return the cases: the chain's four spans as they are, and with 4 kB of content each."""
    plain, told = spans_of(recording), spans_of(recording)
    for span in told:
        attributes: Any = span._attributes  # noqa: SLF001 - where our own span has them
        attributes[semconv.INPUT_MESSAGES] = _CONTENT
    return (
        _case("encode 4 spans", plain, Goal(final=0.25, gate=0.27, final_time=0.20)),
        _case("encode 4 spans, 4 kB each", told, Goal(final=0.25, gate=0.27, final_time=0.20)),
    )


def spans_of(recording: Recording) -> Sequence[ReadableSpan]:
    """Return the spans that the handler makes of *recording*."""
    exporter = InMemorySpanExporter()
    source = TracerProvider(shutdown_on_exit=False)
    source.add_span_processor(SimpleSpanProcessor(exporter))
    dispatch(OTelCallbackHandler(source), recording.fresh())
    return exporter.get_finished_spans()


def by_hand(spans: Sequence[ReadableSpan]) -> bytes:
    """Return a request as our delivery makes it: each span on its own when it ends, joined when they are sent."""
    entries = [
        Entry(origin_of(span.resource, span.instrumentation_scope), span_item(span), None) for span in spans
    ]
    return request(entries)


def officially(spans: Sequence[ReadableSpan]) -> bytes:
    """Return a request as the official exporter makes it."""
    message: bytes = encode_spans(spans).SerializeToString()
    return message


def _case(name: str, spans: Sequence[ReadableSpan], goal: Goal) -> Case:
    ours, theirs = (ExportTraceServiceRequest.FromString(write(spans)) for write in (by_hand, officially))
    assert ours == theirs, name
    return Case(name, _work(by_hand, spans), "the official encoder", _work(officially, spans), goal)


def _work(write: Any, spans: Sequence[ReadableSpan]) -> Work:
    def prepare(count: int) -> Operation:
        batch = [span for _ in range(count) for span in spans]

        def operation() -> None:
            write(batch)

        return operation

    return prepare
