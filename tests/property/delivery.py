"""What left the process: every exported span through the official encoder, as a collector would read it."""

from __future__ import annotations

from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

MAX_SPAN_BYTES = 256 * 1_024


def delivered(exporter: InMemorySpanExporter, max_bytes: int = MAX_SPAN_BYTES) -> list[Any]:
    """Return the exported spans as OTLP has them: all in one request, as neighbours, none lost and none too large."""
    spans: tuple[ReadableSpan, ...] = exporter.get_finished_spans()
    request = ExportTraceServiceRequest.FromString(encode_spans(spans).SerializeToString())
    found = [
        span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans
    ]
    assert len(found) == len(spans)
    for encoded, span in zip(sorted(found, key=_by_id), sorted(spans, key=_id), strict=True):
        # An attribute that cannot be encoded is left out by the encoder, not refused.
        assert len(encoded.attributes) == len(span.attributes or {})
        assert encoded.end_time_unix_nano >= encoded.start_time_unix_nano
        assert encoded.ByteSize() <= max_bytes
    return found


def values(span: Any) -> dict[str, Any]:
    """Return the attributes of an encoded span."""
    return {pair.key: _value(pair.value) for pair in span.attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind)


def _by_id(span: Any) -> bytes:
    return bytes(span.span_id)


def _id(span: ReadableSpan) -> bytes:
    context = span.get_span_context()
    assert context is not None
    return context.span_id.to_bytes(8, "big")
